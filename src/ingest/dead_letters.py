"""Dead letters begun again by a query: what it means is shown by a dry run, with the same answer."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from domain.access import Bound
from domain.dead_letters import DeadLetter, DeadLetterQuery
from domain.errors import RefusalCode, Refused
from domain.instant import EPOCH
from events.ids import DocumentId, KnowledgeBaseId, parse_knowledge_base_id
from events.steps import Step
from events.task import DOCUMENTS_NAMED_MAX, TaskSource
from ingest.accepted import AcceptedTask
from ingest.retry import Again, begin_again
from ingest.services import DeadLettersOf, IngestServices

DOCUMENTS_MAX: Final = 10_000
"""Documents of one call; it takes some seconds, and says when more are left."""

_GONE: Final = frozenset({RefusalCode.NOTHING_TO_RETRY, RefusalCode.KNOWLEDGE_BASE_DELETED})
"""Others have begun them again, or they are being erased: nothing is left to do for this call."""


class RetryBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters; what is left out does not restrict. `from_step` goes back behind the step that failed."""

    code: Annotated[str, Meta(pattern="^[a-z0-9_]{1,100}$")] | None = None
    step: Step | None = None
    knowledge_base: str | None = None
    since: Annotated[datetime, Meta(tz=True)] | None = None
    from_step: Step | None = None
    dry_run: bool = False

    def query(self) -> DeadLetterQuery:
        """Raises InvalidId."""
        return DeadLetterQuery(
            code=self.code,
            step=self.step,
            knowledge_base_id=None if self.knowledge_base is None else parse_knowledge_base_id(self.knowledge_base),
            since_us=None if self.since is None else (self.since - EPOCH) // timedelta(microseconds=1),
        )


class Retried(msgspec.Struct, frozen=True, kw_only=True):
    """How many documents are begun again, or would be; `has_more`: there are more than one call takes."""

    dry_run: bool
    documents: int
    by_code: dict[str, int]
    by_step: dict[str, int]
    by_knowledge_base: dict[str, int]
    has_more: bool
    tasks: tuple[AcceptedTask, ...] = ()


async def retry_dead_letters(
    services: IngestServices, dead_letters: DeadLettersOf, body: RetryBody, actor: str, bound: Bound = None
) -> Retried:
    """One task for each knowledge base, or several where a task cannot name them all.

    Repeating it is safe: what is being worked on is no dead letter. Raises InvalidId, Refused
    (unknown_knowledge_base), Contention, and what log and views raise.
    """
    query = body.query()
    letters, has_more = await _found(dead_letters(query, bound))
    if body.dry_run:
        return _counted(letters, has_more=has_more, dry_run=True)
    tasks = await _begin_again(services, body, query, letters, actor)
    begun = {line.document_id for task in tasks for line in task.documents}
    return _counted([one for one in letters if one.document_id in begun], has_more=has_more, tasks=tasks)


async def _found(dead_letters: AsyncIterator[DeadLetter]) -> tuple[list[DeadLetter], bool]:
    letters: list[DeadLetter] = []
    async for letter in dead_letters:
        if len(letters) == DOCUMENTS_MAX:
            return letters, True
        letters.append(letter)
    return letters, False


async def _begin_again(
    services: IngestServices, body: RetryBody, query: DeadLetterQuery, letters: list[DeadLetter], actor: str
) -> tuple[AcceptedTask, ...]:
    owned: dict[KnowledgeBaseId, list[DocumentId]] = defaultdict(list)
    for letter in letters:
        owned[letter.knowledge_base_id].append(letter.document_id)
    tasks: list[AcceptedTask] = []
    for knowledge_base, documents in owned.items():
        for start in range(0, len(documents), DOCUMENTS_NAMED_MAX):
            again = Again(
                knowledge_base_id=knowledge_base,
                documents=documents[start : start + DOCUMENTS_NAMED_MAX],
                chooses=query.takes,
                from_step=body.from_step,
                source=TaskSource.RETRY,
                reason="retry of dead letters",
            )
            try:
                tasks.append(await begin_again(services, again, None, actor))
            except Refused as refused:
                if refused.code not in _GONE:
                    raise
    return tuple(tasks)


def _counted(
    letters: list[DeadLetter], *, has_more: bool, dry_run: bool = False, tasks: tuple[AcceptedTask, ...] = ()
) -> Retried:
    return Retried(
        dry_run=dry_run,
        documents=len(letters),
        by_code=dict(Counter(one.code for one in letters)),
        by_step=dict(Counter(one.step.value for one in letters)),
        by_knowledge_base=dict(Counter(str(one.knowledge_base_id) for one in letters)),
        has_more=has_more,
        tasks=tasks,
    )
