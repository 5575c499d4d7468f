"""Dead letters: documents that failed, about which nothing is done by itself. How they are asked for and shown."""

from datetime import datetime

import msgspec
from msgspec.structs import replace

from domain.access import Bound, unknown_instead
from domain.document import DocumentState, Failed, record_of
from domain.document_stages import attempts_at
from domain.instant import utc
from events.ids import DocumentId, KnowledgeBaseId, TaskId
from events.steps import Step


class DeadLetterQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead letters are meant; None does not restrict. `since_us` (unix µs) is the first time of a failure."""

    code: str | None = None
    step: Step | None = None
    knowledge_base_id: KnowledgeBaseId | None = None
    since_us: int | None = None

    def within(self, bound: Bound) -> "tuple[DeadLetterQuery, ...]":
        """The same for whoever may see so much: together they mean what this one means of it."""
        if bound is None:
            return (self,)
        if self.knowledge_base_id is None:
            return tuple(replace(self, knowledge_base_id=one) for one in sorted(bound))
        if self.knowledge_base_id in bound:
            return (self,)
        return (replace(self, knowledge_base_id=KnowledgeBaseId(unknown_instead(self.knowledge_base_id))),)

    def takes(self, state: DocumentState) -> bool:
        """Whether a document in this state is meant."""
        return (
            isinstance(state, Failed)
            and self.code in {None, state.code}
            and self.step in {None, state.step}
            and self.knowledge_base_id in {None, record_of(state).about.knowledge_base_id}
            and (self.since_us is None or self.since_us <= state.ended_at_us)
        )


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One document that failed. `attempts` counts every start of `step`; `searchable`: older chunks still serve."""

    document_id: DocumentId
    task_id: TaskId
    knowledge_base_id: KnowledgeBaseId
    filename: str
    step: Step
    code: str
    message: str
    attempts: int
    searchable: bool
    failed_at: datetime
    links: dict[str, str]


def dead_letter_of(document_id: DocumentId, state: DocumentState) -> DeadLetter | None:
    """None for a document that is none."""
    if not isinstance(state, Failed):
        return None
    record = record_of(state)
    about = record.about
    path = f"/api/v1/knowledge-bases/{about.knowledge_base_id}/documents/{document_id}"
    return DeadLetter(
        document_id=document_id,
        task_id=about.task_id,
        knowledge_base_id=about.knowledge_base_id,
        filename=about.filename,
        step=state.step,
        code=state.code,
        message=state.message,
        attempts=attempts_at(state, state.step),
        searchable=record.serving is not None,
        failed_at=utc(state.ended_at_us),
        links={
            "document": path,
            "task": f"/api/v1/tasks/{about.task_id}",
            "reprocess": f"{path}/reprocess",
        },
    )
