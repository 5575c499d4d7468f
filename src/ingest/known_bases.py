"""Knowledge bases as they were seen a moment ago: most uploads go where the one before went.

What is known here decides nothing: the append compares, and where the knowledge base has changed since it is read and
asked again. One call to Redis less for each upload.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from domain.handle import Guard
from domain.knowledge_base import KnowledgeBaseState
from events.ids import KnowledgeBaseId
from events.log import EventLog
from ingest.knowledge_bases import while_active

KNOWN_US_MAX: Final = 1_000_000
"""For so long the body of an upload into a knowledge base that was deleted is read before it is refused."""

KNOWN_MAX: Final = 1_000

Known = tuple[int, Guard[KnowledgeBaseState]]


class KnownBases:
    """Of one process. `clock_us` is unix µs."""

    def __init__(self, log: EventLog, clock_us: Callable[[], int]) -> None:
        self._log = log
        self._clock_us = clock_us
        self._known: OrderedDict[KnowledgeBaseId, Known] = OrderedDict()

    async def while_active(self, knowledge_base: KnowledgeBaseId) -> Guard[KnowledgeBaseState]:
        """For what may enter the log only as long as it is there. Raises Refused, and what the log raises."""
        seen_us, guard = self._known.get(knowledge_base, (0, None))
        now_us = self._clock_us()
        if guard is not None and 0 <= now_us - seen_us <= KNOWN_US_MAX:
            return guard
        self._known.pop(knowledge_base, None)
        guard = await while_active(self._log, knowledge_base)
        self._known[knowledge_base] = now_us, guard
        while len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return guard
