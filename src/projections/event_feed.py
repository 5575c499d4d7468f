"""The change feed: the facts of all partitions, a page at a time, behind a cursor that never skips.

A cursor holds a place in each partition, so it does not matter how differently fast they are written. Facts of one
partition come in the order of its log (all facts of a knowledge base are in one); partitions are merged by the time at
which the log took the facts, as far as they had come when the page was read.
"""

import heapq
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import msgspec

from domain.access import Bound
from domain.errors import RefusalCode, Refused
from events.envelope import Envelope, Position
from events.errors import InvalidId
from events.ids import KnowledgeBaseId, partition_of
from events.log import EventLog, Unreadable
from projections.cursors import Cursors
from projections.errors import InvalidCursor
from projections.lists import LIMIT_DEFAULT
from projections.on_demand import gathered
from projections.owners import Owners
from projections.queries import Queries
from projections.task_history import RecordedFact, recorded_fact

SCAN_EVENTS: Final = 1_000
"""Events read at a time, all partitions together."""

SCAN_EVENTS_MAX: Final = 10_000
"""Events looked at for one page, about 100 ms; where they were not enough, the page is short and its cursor goes on."""

CURSOR_CHARACTERS_MAX: Final = 32_768
"""256 partitions at the longest of positions; with 8 a cursor has about 300 characters."""

END: Final = "end"
"""Stands for the cursor behind everything that is in the log now."""


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of these types (none named: of all) about one knowledge base, its tasks and its documents (None: all that
    may be seen, see `bound`)."""

    types: frozenset[str] = frozenset()
    knowledge_base: KnowledgeBaseId | None = None
    bound: Bound = None

    @property
    def owners(self) -> Bound:
        """Whose facts are meant; None: everybody's."""
        return self.bound if self.knowledge_base is None else frozenset({self.knowledge_base})

    @property
    def scope(self) -> str:
        owners = "" if self.owners is None else ",".join(sorted(self.owners))
        return f"events?{owners}&{','.join(sorted(self.types))}"


class EventPage(msgspec.Struct, frozen=True):
    """There is always a cursor: the feed has no end. Without `has_more` everything that was there has been told."""

    data: tuple[RecordedFact, ...]
    next_cursor: str
    has_more: bool


class Place(msgspec.Struct, frozen=True):
    """Behind the event of this number at this position; 0 and None: before the first. Text form `number@position`."""

    number: int = 0
    position: Position | None = None

    def __str__(self) -> str:
        return f"{self.number}@{self.position or ''}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Raises ValueError and InvalidId."""
        number, _, position = text.partition("@")
        return cls(int(number), Position.parse(position) if position else None)


class _Entry(msgspec.Struct, frozen=True):
    partition: int
    entry: Envelope | Unreadable

    @property
    def time(self) -> tuple[int, int, int]:
        position = self.entry.position or Position(0, 0, 0)
        return position.ms, position.sequence, self.partition


class EventFeed:
    """Raises InvalidCursor, also where the log does not reach back to the cursor, Refused, and what the log raises."""

    def __init__(self, event_log: EventLog, queries: Queries, owners: Owners, cursors: Cursors) -> None:
        self._log = event_log
        self._queries = queries
        self._owners = owners
        self._cursors = cursors

    async def read(self, wanted: EventFilter, *, after: str | None = None, limit: int = LIMIT_DEFAULT) -> EventPage:
        """The next facts; from the oldest that is held on where no cursor is given."""
        places = await self._places(wanted, await self._partitions(wanted), after)
        found: list[Envelope] = []
        seen, has_more = 0, True
        while has_more and len(found) < limit and seen < SCAN_EVENTS_MAX:
            entries, has_more = await self._next(places)
            meant = await self._meant(wanted, entries)
            for one, is_meant in zip(entries, meant, strict=True):
                if len(found) == limit:
                    has_more = True
                    break
                places[one.partition] = Place(one.entry.number or 0, one.entry.position)
                if is_meant and isinstance(one.entry, Envelope):
                    found.append(one.entry)
            seen += len(entries)
        return EventPage(tuple(map(recorded_fact, found)), self._seal(wanted, places), has_more)

    async def _partitions(self, wanted: EventFilter) -> Sequence[int]:
        knowledge_base = wanted.knowledge_base
        if knowledge_base is None:
            if wanted.bound is None:
                return range(self._log.partitions)
            return sorted(set(map(self._queries.partition_of, wanted.bound)))
        partition = self._queries.partition_of(knowledge_base)
        # One that was deleted still has a history.
        if (await self._log.versions([knowledge_base]))[0] == 0:
            raise Refused(RefusalCode.UNKNOWN_KNOWLEDGE_BASE, "there is no knowledge base with this id")
        return [partition]

    async def _places(self, wanted: EventFilter, partitions: Sequence[int], after: str | None) -> dict[int, Place]:
        if after is None:
            return dict.fromkeys(partitions, Place())
        if after == END:
            heads = await gathered(partitions, self._log.head)
            places = [Place(head.number, head.position) for head in heads]
        else:
            opened = self._cursors.open(wanted.scope, after, characters_max=CURSOR_CHARACTERS_MAX)
            try:
                places = list(map(Place.parse, opened.split(",")))
            except (ValueError, InvalidId) as error:
                raise InvalidCursor("the cursor was given out by another version") from error
        if len(places) != len(partitions):
            raise InvalidCursor("the cursor was given out with another number of partitions")
        return dict(zip(partitions, places, strict=True))

    def _seal(self, wanted: EventFilter, places: dict[int, Place]) -> str:
        return self._cursors.seal(wanted.scope, ",".join(map(str, places.values())))

    async def _next(self, places: dict[int, Place]) -> tuple[list[_Entry], bool]:
        """The next events of all partitions by time, and whether more may be there.

        Where a partition has more than was read of it, whatever is later than what was read of it waits: it may come
        after what was not.
        """
        each = max(1, SCAN_EVENTS // len(places))

        async def read(partition: int) -> list[_Entry]:
            place = places[partition]
            page = await self._log.read(partition, after=place.position, limit=each)
            if page and place.number and page[0].number != place.number + 1:
                raise InvalidCursor("the log does not reach back to the cursor")
            return [_Entry(partition, entry) for entry in page]

        parts = await gathered(list(places), read)
        merged = list(heapq.merge(*parts, key=lambda one: one.time))
        cut_short = [part[-1].time for part in parts if len(part) == each]
        if not cut_short:
            return merged, False
        return [one for one in merged if one.time <= min(cut_short)], True

    async def _meant(self, wanted: EventFilter, entries: Sequence[_Entry]) -> list[bool]:
        envelopes = [one.entry for one in entries if isinstance(one.entry, Envelope)]
        meant = {id(one) for one in envelopes if not wanted.types or one.type in wanted.types}
        if wanted.owners is not None:
            candidates = [one for one in envelopes if id(one) in meant]
            owners = await self._owners_of(candidates)
            meant = {id(one) for one in candidates if owners[one.stream_id] in wanted.owners}
        return [id(one.entry) in meant for one in entries]

    async def _owners_of(self, envelopes: Sequence[Envelope]) -> dict[str, KnowledgeBaseId | None]:
        by_partition: defaultdict[int, list[Envelope]] = defaultdict(list)
        for one in envelopes:
            by_partition[partition_of(one.stream_id)].append(one)
        found: dict[str, KnowledgeBaseId | None] = {}
        for partition, of_partition in by_partition.items():
            found.update(await self._owners.of(partition, of_partition))
        return found
