"""The settings and the generation of knowledge bases, kept fresh by reading only what was appended since."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from domain.decider import Folded, fold_to_decide
from domain.deciders import knowledge_base_decider
from domain.knowledge_base import (
    ActiveKnowledgeBase,
    DeletedKnowledgeBase,
    KnowledgeBaseState,
    UnknownKnowledgeBase,
    active,
)
from events.ids import KnowledgeBaseId
from events.log import EventLog
from knowledge.index import IndexTable

KEPT_MAX: Final = 1_000
"""Knowledge bases kept in memory, the least recently used go first; some hundred bytes each."""

FRESH_US: Final = 1_000_000
"""For a second a state is not asked for again: at 200 small documents a second that halves the calls of a step. What
enters a knowledge base that was deleted meanwhile is removed by the deletion itself."""

WHOLE_US: Final = 60_000_000
"""After so long a state is folded from the whole history: where the log has lost its end, another event may stand at a
version that was seen, and reading on behind it would keep what is gone for ever."""


class _Kept(msgspec.Struct, frozen=True):
    folded: Folded[KnowledgeBaseState]
    read_at_us: int
    whole_at_us: int


class KnowledgeBases:
    """Folds knowledge bases. `clock_us` is unix µs."""

    def __init__(self, log: EventLog, *, clock_us: Callable[[], int]) -> None:
        self._log = log
        self._clock_us = clock_us
        self._kept: OrderedDict[KnowledgeBaseId, _Kept] = OrderedDict()

    async def active(self, knowledge_base: KnowledgeBaseId, *, is_fresh: bool = False) -> ActiveKnowledgeBase:
        """Raises Refused for one that does not exist or was deleted."""
        return active(await self.state(knowledge_base, is_fresh=is_fresh))

    async def state(self, knowledge_base: KnowledgeBaseId, *, is_fresh: bool = False) -> KnowledgeBaseState:
        """At most a second old, or as it stands."""
        decider = knowledge_base_decider(knowledge_base)
        now_us, kept = self._clock_us(), self._kept.get(knowledge_base)
        if kept is None or kept.folded.version == 0 or not 0 <= now_us - kept.whole_at_us < WHOLE_US:
            kept = _Kept(Folded(decider.initial), 0, now_us)
        if is_fresh or kept.folded.version == 0 or not 0 <= now_us - kept.read_at_us < FRESH_US:
            history = await self._log.history(knowledge_base, after_version=kept.folded.version)
            kept = _Kept(fold_to_decide(decider, history, kept.folded), now_us, kept.whole_at_us)
            self._keep(knowledge_base, kept)
        return kept.folded.state

    async def is_deleted(self, knowledge_base: KnowledgeBaseId) -> bool:
        """For those who then take away all that it had: a deletion is believed where the whole history says it. The log
        may have lost its end since it was seen, and the knowledge base lives on."""
        if isinstance(await self.state(knowledge_base), DeletedKnowledgeBase):
            self._kept.pop(knowledge_base, None)
        return isinstance(await self.state(knowledge_base), DeletedKnowledgeBase)

    async def tables(self, knowledge_base: KnowledgeBaseId) -> tuple[IndexTable, ...]:
        """Every index table that the knowledge base may ever have had."""
        match await self.state(knowledge_base, is_fresh=True):
            case UnknownKnowledgeBase():
                last = 0
            case ActiveKnowledgeBase() as known:
                last = max(known.generation, known.started)
            case DeletedKnowledgeBase(before=before):
                last = max(before.generation, before.started)
        return tuple(IndexTable(knowledge_base, generation) for generation in range(1, last + 1))

    def _keep(self, knowledge_base: KnowledgeBaseId, kept: _Kept) -> None:
        self._kept[knowledge_base] = kept
        self._kept.move_to_end(knowledge_base)
        while len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
