"""ChunkEdited, DocumentChanged -> the rows of the document follow, without parsing or cutting it anew."""

import asyncio
from typing import Any, Final

import msgspec

from domain.decider import Decider, fold_to_decide
from domain.deciders import DOCUMENT
from domain.document import DocumentState, Erased, Indexed, Open, Removed
from events.epochs import epoch_of, fence_of
from events.ids import KnowledgeBaseId
from events.inbox import Delivery
from events.log import EventLog
from events.steps import Step
from knowledge.errors import Overtaken
from knowledge.index import Index, IndexTable
from processors.knowledge_bases import KnowledgeBases
from processors.leftovers import erase_rows
from processors.rows import RowMaker
from processors.step import Drop, Outcome, Retry

ROUNDS_MAX: Final = 20
"""How often a document may change while its rows are being written."""


class _Known(msgspec.Struct, frozen=True):
    """A document, and the fence of rows that are written for it as it is."""

    state: DocumentState
    fence: int


class Reviser:
    """Makes the rows of a document say what its history says; whoever did so before, once more harms nothing."""

    def __init__(self, log: EventLog, index: Index, known: KnowledgeBases, rows: RowMaker) -> None:
        self._log = log
        self._known = known
        self._index = index
        self._rows = rows

    async def is_done(self, knowledge_base: KnowledgeBaseId, document: str) -> bool:
        """Whether somebody has written the rows of the document as it is: to write them once more would be idle, and
        beside the next change a moment in which searches find what has just been switched off. Raises IndexUnavailable
        and what the log raises."""
        known = await self._load(document)
        if not isinstance(known.state, Indexed):
            return False
        table = IndexTable(knowledge_base, known.state.generation)
        return await self._index.fence(table, document) == known.fence

    async def revise(self, knowledge_base: KnowledgeBaseId, document: str) -> bool:
        """False where the document kept changing. Raises BlobCorrupt, EmbeddingError, IndexUnavailable and what blob
        store and log raise.

        What is being worked on gets its rows from the index step, which looks at the same state; only what was
        switched off vanishes at once. Rows are looked at again behind each write: a row that is gone fences nobody.
        """
        known = await self._load(document)
        for _ in range(ROUNDS_MAX):
            await self._write(knowledge_base, document, known)
            now = await self._load(document)
            if now.fence == known.fence:
                return True
            known = now
        return False

    async def _load(self, document: str) -> "_Known":
        history = await self._log.history(document)
        folded = fold_to_decide(DOCUMENT, history)
        return _Known(folded.state, fence_of(epoch_of(history), folded.version))

    async def _write(self, knowledge_base: KnowledgeBaseId, document: str, known: "_Known") -> None:
        match known.state:
            case Indexed() as state:
                if not state.record.enabled:
                    await self._erase_everywhere(knowledge_base, document, known.fence)
                table = IndexTable(knowledge_base, state.generation)
                made = await self._rows.rows(document, state, table)
                try:
                    await self._index.upsert(table, document, made.rows, fence=known.fence)
                except Overtaken:
                    return  # by somebody who saw a later state
            case state if isinstance(state, Open) and state.record.serving and not state.record.enabled:
                await self._erase_everywhere(knowledge_base, document, known.fence)
            case Removed() | Erased():
                await self._erase_everywhere(knowledge_base, document, known.fence)
            case _:
                return

    async def _erase_everywhere(self, knowledge_base: KnowledgeBaseId, document: str, fence: int) -> None:
        """While an index is being built, the old one still has rows."""
        await erase_rows(self._index, self._known, knowledge_base, document, fence=fence)


class ReviseStep:
    """The errand around it."""

    step = Step.REVISE

    def __init__(self, reviser: Reviser, *, time_limit_s: float, grace_s: float = 0.0) -> None:
        """`grace_s` is left to the API, which writes the rows of what it was told by itself."""
        self._grace_s = grace_s
        self._reviser = reviser
        self.time_limit_s = time_limit_s

    def subject(self, delivery: Delivery) -> tuple[Decider[Any, Any], str]:
        return DOCUMENT, delivery.stream_id

    async def run(self, delivery: Delivery) -> Outcome:
        """As `Reviser.revise`."""
        await asyncio.sleep(self._grace_s)
        if await self._reviser.is_done(delivery.knowledge_base_id, delivery.stream_id):
            return Drop("somebody has written the rows already")
        if await self._reviser.revise(delivery.knowledge_base_id, delivery.stream_id):
            return Drop("the rows say what the document says")
        return Retry("kept_changing", "the document kept changing while its rows were being written")
