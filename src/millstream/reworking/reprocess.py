"""All documents that a query means, processed again: what that is, is shown by a dry run with the same answer.

A task names at most 1,000 documents, so there may be several. The first of them, whose id follows from the request's
Idempotency-Key, enters the log last: where it is there the request was carried out, and is answered with its tasks;
where it is not, a repeated request goes on with what is left.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from domain.document import Cancelled, DocumentState, Failed, Indexed
from domain.errors import RefusalCode, Refused
from domain.status import DocumentPhase, DocumentStatus
from events.chunking import ChunkingSettings
from events.ids import DocumentId, KnowledgeBaseId
from events.steps import Step
from events.task import DOCUMENTS_NAMED_MAX, TaskSource
from ingest.accepted import AcceptedTask
from ingest.own_chunking import OwnChunking, own_chunking
from ingest.retry import Again, begin_again
from ingest.services import IngestServices
from ingest.submit import new_task_id
from millstream.reworking.comparison import Compared
from millstream.reworking.where import WhereBody, documents_where
from projections.lists import Lists

DOCUMENTS_MAX: Final = 10_000
"""Documents of one call; it takes some seconds, and says when more are left."""

ENDED: Final = frozenset({DocumentPhase.COMPLETED, DocumentPhase.FAILED, DocumentPhase.CANCELLED})


class FromStep(StrEnum):
    """Where to begin: bytes that are here are not fetched again."""

    PARSE = "parse"
    CHUNK = "chunk"
    EMBED = "embed"
    INDEX = "index"


class ReprocessManyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which documents, and from which step on; each begins there or, where it never came so far, where it stopped.

    `settings` are their own for chunking from now on, in place of those that they had; empty: as the knowledge base
    says; left out: as before.
    """

    where: WhereBody = WhereBody()
    from_step: FromStep = FromStep.PARSE
    settings: dict[str, Any] | UnsetType = UNSET
    dry_run: bool = False


class Reprocessed(msgspec.Struct, frozen=True, kw_only=True):
    """How many documents are begun again, or would be, by their status and by the step they begin at.

    `left_out` are meant by the query and are being worked on, or are duplicates. `chunks_embedded_max` and
    `tokens_embedded_max` bound what is embedded again (null with other settings): text that comes out the same reuses
    its vectors, those of `chunks_reused` for certain. `chunking` is what they are cut by, null where that is the
    knowledge base's, or stays as it was. `compared` is told by a dry run that would cut. A request that is repeated
    tells its tasks, and counts nothing anew. `has_more`: there are more than one call takes.
    """

    dry_run: bool
    documents: int
    by_status: dict[str, int]
    by_step: dict[str, int]
    left_out: int
    chunks_embedded_max: int | None
    tokens_embedded_max: int | None
    chunks_reused: int
    has_more: bool
    chunking: ChunkingSettings | None = None
    compared: Compared | None = None
    tasks: tuple[AcceptedTask, ...] = ()


Compare = Callable[[KnowledgeBaseId, Sequence[DocumentStatus], OwnChunking], Awaitable[Compared]]
"""As `Comparison.of`."""


class Reprocessing:
    """Raises Rejected, Refused, Contention, and what log and views raise."""

    def __init__(self, services: IngestServices, lists: Lists, compare: Compare) -> None:
        self._services = services
        self._lists = lists
        self._compare = compare

    async def run(
        self, knowledge_base: KnowledgeBaseId, body: ReprocessManyBody, idempotency_key: str | None, actor: str
    ) -> Reprocessed:
        """Saying it again under the same key begins nothing twice."""
        wanted = body.where.filter()
        chunking = await own_chunking(self._services, knowledge_base, body.settings, Step(body.from_step.value))
        found: list[DocumentStatus] = []
        left_out, has_more = 0, False
        async for status in documents_where(self._lists, knowledge_base, wanted):
            if status.status not in ENDED:
                left_out += 1
            elif len(found) == DOCUMENTS_MAX:
                has_more = True
                break
            else:
                found.append(status)
        if body.dry_run:
            told = _counted(found, body, left_out, chunking, has_more=has_more)
            is_cut = body.from_step in {FromStep.PARSE, FromStep.CHUNK}
            return replace(told, compared=await self._compare(knowledge_base, found, chunking)) if is_cut else told
        again = _again(knowledge_base, (), body, chunking)
        tasks = await self._repeated(again, idempotency_key, actor)
        if not tasks:
            tasks = await self._begin(again, found, idempotency_key, actor)
        begun = {line.document_id for task in tasks for line in task.documents}
        counted = [one for one in found if one.document_id in begun]
        answer = _counted(counted, body, left_out, chunking, has_more=has_more)
        return replace(answer, documents=len(begun), tasks=tuple(tasks))

    async def _repeated(self, again: Again, key: str | None, actor: str) -> list[AcceptedTask]:
        """The tasks of a request that was carried out before, the first first; none for one that was not."""
        tasks: list[AcceptedTask] = []
        while key is not None and await self._is_there(again.knowledge_base_id, _numbered(key, len(tasks)), actor):
            tasks.append(await begin_again(self._services, again, _numbered(key, len(tasks)), actor))
        return tasks

    async def _begin(
        self, again: Again, found: Sequence[DocumentStatus], key: str | None, actor: str
    ) -> list[AcceptedTask]:
        documents = [one.document_id for one in found]
        starts = range(0, len(documents), DOCUMENTS_NAMED_MAX)
        parts = [documents[start : start + DOCUMENTS_NAMED_MAX] for start in starts]
        tasks: list[AcceptedTask] = []
        number = 1
        for part in reversed(parts):
            is_last = part is parts[0]
            if key is not None and not is_last:
                while await self._is_there(again.knowledge_base_id, _numbered(key, number), actor):
                    number += 1  # of the part before, or of an earlier try, which ended before its last task
            named = None if key is None else _numbered(key, 0 if is_last else number)
            try:
                tasks.append(await begin_again(self._services, replace(again, documents=part), named, actor))
            except Refused as refused:
                if refused.code is not RefusalCode.NOTHING_TO_RETRY:  # others have begun all of them meanwhile
                    raise
        return tasks[::-1]

    async def _is_there(self, knowledge_base: KnowledgeBaseId, key: str, actor: str) -> bool:
        return bool(await self._services.log.history(new_task_id(self._services, knowledge_base, key, actor)))


def _numbered(key: str, number: int) -> str:
    return key if number == 0 else f"{key}#{number}"


def _again(
    knowledge_base: KnowledgeBaseId, documents: Sequence[DocumentId], body: ReprocessManyBody, chunking: OwnChunking
) -> Again:
    return Again(
        knowledge_base_id=knowledge_base,
        documents=documents,
        chooses=_has_ended,
        from_step=Step(body.from_step.value),
        source=TaskSource.REPROCESS,
        reason="asked for",
        request=("reprocess_many", knowledge_base, msgspec.json.encode(body, order="sorted").decode()),
        chunking=chunking,
    )


def _has_ended(state: DocumentState) -> bool:
    return isinstance(state, Indexed | Failed | Cancelled)


def _counted(
    found: Sequence[DocumentStatus],
    body: ReprocessManyBody,
    left_out: int,
    chunking: OwnChunking,
    *,
    has_more: bool,
) -> Reprocessed:
    steps = {one.document_id: _first_step(one, body.from_step) for one in found}
    embeds = [one for one in found if steps[one.document_id] is not Step.INDEX]
    same = [one for one in found if steps[one.document_id] in {Step.EMBED, Step.INDEX} and one.searchable]
    reused = sum(one.counts.chunks for one in same)
    counts = [one.counts for one in embeds if one not in same]
    is_bounded = chunking is UNSET  # smaller chunks are more than there are now
    return Reprocessed(
        dry_run=body.dry_run,
        documents=len(found),
        by_status=dict(Counter(one.status.value for one in found)),
        by_step=dict(Counter(step.value for step in steps.values())),
        left_out=left_out,
        chunks_embedded_max=sum(one.chunks for one in counts) if is_bounded else None,
        tokens_embedded_max=sum(one.tokens for one in counts) if is_bounded else None,
        chunks_reused=reused,
        has_more=has_more,
        chunking=chunking or None,
    )


def _first_step(status: DocumentStatus, wanted: FromStep) -> Step:
    """As `ingest.retry` will choose: what never came so far goes on where it stopped."""
    order = [Step.FETCH, *(Step(one.value) for one in FromStep)]
    if status.status is DocumentPhase.COMPLETED:
        return Step(wanted.value)
    finished = [stage.step for stage in status.stages if stage.finished_at is not None and stage.step in order]
    first = Step.PARSE if status.origin is None or status.sha256 else Step.FETCH
    stopped = order[order.index(finished[-1]) + 1] if finished and finished[-1] is not order[-1] else first
    return min(stopped, Step(wanted.value), key=order.index)
