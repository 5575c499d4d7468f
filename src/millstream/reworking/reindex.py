"""A new index beside the one that serves: started, brought on until it is complete, switched to; or given up.

Nothing is kept of how far it has come: what is left follows from the documents, so whoever brings it on next, after
whatever crash, finds the same. A document that searches find belongs into the generation that is wanted; while one is
in another it is cut again, for that one. So stragglers that were under way during the switch, and documents that were
already in an index that was given up, are brought where they belong by the same rule.
"""

from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec

from domain.commands import AbandonIndexGeneration, ActivateIndexGeneration, StartIndexGeneration
from domain.deciders import knowledge_base_decider
from domain.document import DocumentState, Failed, Indexed
from domain.errors import RefusalCode, Refused
from domain.handle import handle, load
from domain.instant import utc
from domain.knowledge_base import GENERATION_ENDED, ActiveKnowledgeBase, active
from domain.status import DocumentPhase, DocumentStatus
from events.ids import DocumentId, KnowledgeBaseId, TaskId
from events.knowledge_base import KnowledgeBaseSettings
from events.steps import Step
from events.task import DOCUMENTS_NAMED_MAX, TaskSource
from ingest.idempotency import parts_sha256
from ingest.knowledge_bases import merged_settings
from ingest.retry import Again, begin_again
from ingest.services import IngestServices
from millstream.reworking.where import documents_where
from projections.lists import EVERY_DOCUMENT, Lists
from projections.queries import Queries

BEGUN_TOGETHER_MAX: Final = 10_000
"""Documents begun at a time; those that are left are begun the next time somebody looks."""

HOLDING_SHOWN_MAX: Final = 100

_OVER: Final = frozenset({DocumentPhase.FAILED, DocumentPhase.CANCELLED})


class ReindexBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """May be empty: the index is built anew by the settings that hold. Only what is given of them is changed."""

    settings: dict[str, Any] = {}


class ReindexStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is. `building` None: nothing is being built, and `generation` is the one that searches read.

    Of the documents that searches find `done` are in the wanted generation, `open` are being worked on, `waiting` are
    to be begun, and `failed` hold the switch until they are retried or deleted: `holding` names the first of them.
    `tasks` are those that this very call has begun.
    """

    knowledge_base_id: KnowledgeBaseId
    generation: int
    settings: KnowledgeBaseSettings
    building: int | None
    building_settings: KnowledgeBaseSettings | None
    switched_at: datetime | None
    documents: int
    done: int
    open: int
    waiting: int
    failed: int
    holding: tuple[DocumentId, ...]
    tasks: tuple[TaskId, ...] = ()


class _Left(msgspec.Struct):
    """What a look at all documents found."""

    done: int = 0
    open: int = 0
    waiting: list[DocumentId] = []
    failed: int = 0
    holding: list[DocumentId] = []

    def count(self, status: DocumentStatus, wanted: int) -> None:
        if status.index_generation is None:
            return  # no search finds it yet: it does not wait for the switch, nor the switch for it
        was_given_up = status.error is not None and status.error.code == GENERATION_ENDED
        if status.status in _OVER and was_given_up:
            self.waiting.append(status.document_id)
        elif status.index_generation == wanted:
            self.done += 1
        elif status.status is DocumentPhase.COMPLETED:
            self.waiting.append(status.document_id)
        elif status.status in _OVER:
            self.failed += 1
            if len(self.holding) < HOLDING_SHOWN_MAX:
                self.holding.append(status.document_id)
        else:
            self.open += 1

    @property
    def is_complete(self) -> bool:
        return not (self.open or self.waiting or self.failed)


class Reindexing:
    """Raises Rejected, Refused, Contention, and what log and views raise."""

    def __init__(self, services: IngestServices, lists: Lists, queries: Queries) -> None:
        self._services = services
        self._lists = lists
        self._queries = queries

    async def start(
        self, knowledge_base: KnowledgeBaseId, body: ReindexBody, idempotency_key: str | None, actor: str
    ) -> ReindexStatus:
        """Begins the next generation and its documents. The same under the same key begins nothing twice."""
        known = await load(self._services.log, knowledge_base_decider(knowledge_base), knowledge_base)
        present = active(known.state)
        settings = merged_settings(self._services, present.settings, body.settings) if body.settings else None
        request = None if idempotency_key is None else parts_sha256(("reindex", actor, idempotency_key))
        await self._tell(knowledge_base, StartIndexGeneration(settings=settings, request_sha256=request), actor)
        return await self.advance(knowledge_base, actor)

    async def abandon(self, knowledge_base: KnowledgeBaseId, actor: str) -> ReindexStatus:
        """Gives up what is being built; documents that are in it already are brought back into the one that serves."""
        await self._tell(knowledge_base, AbandonIndexGeneration(reason="given up by request"), actor)
        return await self.advance(knowledge_base, actor)

    async def status(self, knowledge_base: KnowledgeBaseId) -> ReindexStatus:
        """Looks at every document."""
        state = await self._state(knowledge_base)
        return _status(knowledge_base, state, await self._left(knowledge_base, state))

    async def advance(self, knowledge_base: KnowledgeBaseId, actor: str) -> ReindexStatus:
        """Begins what is left, and switches where nothing is."""
        partition = self._queries.partition_of(knowledge_base)
        end = await self._queries.log_end(partition)
        state = await self._state(knowledge_base)
        # What the views do not know yet may be a document that is left.
        is_fresh = await self._queries.have_views_reached(partition, end)
        left = await self._left(knowledge_base, state)
        tasks = await self._begin(knowledge_base, state, left, actor)
        if state.building is not None and is_fresh and left.is_complete:
            await self._tell(knowledge_base, ActivateIndexGeneration(generation=state.building), actor)
            state = await self._state(knowledge_base)
        return msgspec.structs.replace(_status(knowledge_base, state, left), tasks=tuple(tasks))

    async def _begin(
        self, knowledge_base: KnowledgeBaseId, state: ActiveKnowledgeBase, left: _Left, actor: str
    ) -> list[TaskId]:
        tasks = []
        documents = left.waiting[:BEGUN_TOGETHER_MAX]
        for start in range(0, len(documents), DOCUMENTS_NAMED_MAX):
            again = Again(
                knowledge_base_id=knowledge_base,
                documents=documents[start : start + DOCUMENTS_NAMED_MAX],
                chooses=partial(_is_left, wanted=state.wanted),
                from_step=Step.CHUNK,
                source=TaskSource.REINDEX,
                reason=f"index generation {state.wanted}",
            )
            try:
                tasks.append((await begin_again(self._services, again, None, actor)).task_id)
            except Refused as refused:
                if refused.code is not RefusalCode.NOTHING_TO_RETRY:  # somebody else has begun them
                    raise
        return tasks

    async def _left(self, knowledge_base: KnowledgeBaseId, state: ActiveKnowledgeBase) -> _Left:
        left = _Left()
        async for status in documents_where(self._lists, knowledge_base, EVERY_DOCUMENT):
            left.count(status, state.wanted)
        return left

    async def _state(self, knowledge_base: KnowledgeBaseId) -> ActiveKnowledgeBase:
        return active((await load(self._services.log, knowledge_base_decider(knowledge_base), knowledge_base)).state)

    async def _tell(
        self,
        knowledge_base: KnowledgeBaseId,
        command: StartIndexGeneration | ActivateIndexGeneration | AbandonIndexGeneration,
        actor: str,
    ) -> None:
        context = self._services.context(knowledge_base, actor)
        await handle(self._services.log, knowledge_base_decider(knowledge_base), knowledge_base, [command], context)


def _is_left(state: DocumentState, *, wanted: int) -> bool:
    """What failed in the wanted generation is left to whoever mends the reason."""
    match state:
        case Indexed():
            return state.generation != wanted
        case Failed():
            return state.code == GENERATION_ENDED
        case _:
            return False


def _status(knowledge_base: KnowledgeBaseId, state: ActiveKnowledgeBase, left: _Left) -> ReindexStatus:
    building = state.building_settings or state.settings
    return ReindexStatus(
        knowledge_base_id=knowledge_base,
        generation=state.generation,
        settings=state.settings,
        building=state.building,
        building_settings=None if state.building is None else building,
        switched_at=utc(state.switched_at_us) if state.switched_at_us else None,
        documents=left.done + left.open + len(left.waiting) + left.failed,
        done=left.done,
        open=left.open,
        waiting=len(left.waiting),
        failed=left.failed,
        holding=tuple(left.holding),
    )
