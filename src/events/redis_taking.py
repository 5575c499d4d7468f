"""The calls of `take.lua`: what is new in some inboxes goes to a consumer, at once or as soon as something arrives.

On one server the call is sent right behind the one that waits, on its connection: the server runs it in the moment in
which that one ends, so deliveries are on disk with the events that led to them, by one sync, and the consumer hears of
both in one answer. Asked for by a second call they were a round trip and a sync away.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, zip_longest
from operator import attrgetter
from typing import Any, Final, NamedTuple

import structlog
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoScriptError

from events.errors import CorruptEvent
from events.inbox import Handed, InboxKey
from events.keys import Keys
from events.pointer import delivery_of
from events.redis_acknowledging import Acknowledging
from events.redis_border import RedisClient, Script, answered, at_the_border, exchange
from events.redis_entries import brought
from events.redis_log import GROUP
from events.redis_streams import Found
from events.redis_wire import Argument, Command

HANDED_OUT_AT_ONCE_MAX: Final = 32
"""Calls of one process. Hundreds of workers over gRPC that an arrival wakes at once would each take a connection."""

ARRIVED_MAX: Final = 16
"""Handed out to a consumer that waits. If its machine was cut off meanwhile nobody sees them until its lease ends."""

_log = structlog.get_logger()

Ends = Mapping[InboxKey, str]
"""Entries of inboxes behind which nothing has been given out."""


class Swept(NamedTuple):
    """What was handed out and, if that is nothing, the last entry of each inbox; `is_full`: more may lie there."""

    taken: list[Handed]
    ends: Ends
    is_full: bool


class Taking:
    """For the consumers of one process."""

    def __init__(self, client: RedisClient, blocking: RedisClient, keys: Keys, acknowledging: Acknowledging) -> None:
        self._client = client
        self._blocking = blocking
        self._keys = keys
        self._acknowledging = acknowledging
        self._script = Script("take.lua")
        self.handing_out = asyncio.Semaphore(HANDED_OUT_AT_ONCE_MAX)
        """Of whatever gives this process something to do."""

    async def sweep(
        self, inboxes: Sequence[InboxKey], count: int, *, consumer: str, brings_histories: bool = False
    ) -> Swept:
        """The inboxes are emptied in the order given. Raises LogUnavailable."""
        taken: list[Handed] = []
        last: dict[InboxKey, str] = {}
        for part in self.calls(inboxes):
            arguments = self._arguments(part, consumer, count - len(taken), brings_histories)
            async with self.handing_out:
                answer = await self._script.run(self._blocking, self.names(part), arguments)
            swept = await self._swept(part, answer, count)
            taken += swept.taken
            last.update(swept.ends)
            if len(taken) >= count:
                break
        return Swept(taken, last if len(last) == len(inboxes) else {}, len(taken) >= count)

    async def when_arrived(
        self, ends: Ends, count: int, *, block_ms: int, consumer: str, brings_histories: bool = False
    ) -> tuple[Swept | None, Found]:
        """What comes to lie behind `ends` within `block_ms`, at most ARRIVED_MAX, and in which streams something does.
        None where it has to be swept for. Raises LogUnavailable. On one server alone.
        """
        inboxes, count = list(ends), min(count, ARRIVED_MAX)
        names = self.names(inboxes)
        waiting: Command = ("XREAD", "COUNT", 1, "BLOCK", block_ms, "STREAMS", *names, *ends.values())
        taking = self._script.command(names, self._arguments(inboxes, consumer, count, brings_histories, ends))
        with at_the_border():
            waited, answer = await exchange(self._blocking, (waiting, taking))
            if isinstance(answer, NoScriptError):
                return None, answered([waited])[0] or {}
            answered((waited, answer))
        return await self._swept(inboxes, answer, count), waited or {}

    async def mine(self, inboxes: Sequence[InboxKey], count: int, *, consumer: str) -> list[Handed]:
        """What is in the consumer's hands already. Raises LogUnavailable."""
        mine: list[Handed] = []
        for part in self.calls(inboxes):
            if left := count - len(mine):
                arguments = (GROUP, consumer, left, "0", 0, 0, 0)
                found, *_ = await self._script.run(self._client, self.names(part), arguments)
                mine += await self.handed(part, found)
        return mine

    async def handed(
        self, inboxes: Sequence[InboxKey], found: Sequence[Any], histories: Sequence[Any] = ()
    ) -> list[Handed]:
        """Entries that hold no pointer lead to no event: they are told of and acknowledged, else they would come back
        for ever. What they may have stood for is in the log all the same."""
        handed = []
        for (inbox, entry_id, pointer), history in zip_longest(_entries(inboxes, found), histories):
            try:
                delivery = delivery_of(inbox, entry_id, pointer)
            except CorruptEvent as error:
                _log.error("pointer_unreadable", inbox=self.name(inbox), entry=entry_id, reason=str(error))
                await self._acknowledging.run(self.name(inbox), entry_id)
            else:
                handed.append(Handed(delivery, brought(delivery.stream_id, history) if history else None))
        return handed

    def calls(self, inboxes: Sequence[InboxKey]) -> list[list[InboxKey]]:
        """What one call may touch, in order: everything on one server, the inboxes of one slot on a cluster."""
        if not isinstance(self._client, RedisCluster):
            return [list(inboxes)]
        return [list(part) for _, part in groupby(inboxes, key=attrgetter("partition"))]

    def names(self, inboxes: Iterable[InboxKey]) -> list[str]:
        """Their keys."""
        return [self.name(inbox) for inbox in inboxes]

    def name(self, inbox: InboxKey) -> str:
        """Its key."""
        return self._keys.inbox(inbox.partition, inbox.step, inbox.lane)

    def _arguments(
        self, inboxes: Sequence[InboxKey], consumer: str, count: int, brings_histories: bool, ends: Ends | None = None
    ) -> list[Argument]:
        prefixes = [self._keys.prefix(inbox.partition) for inbox in inboxes] if brings_histories else ()
        behind = () if ends is None else ends.values()
        flags = int(brings_histories), int(ends is not None)
        return [GROUP, consumer, count, ">", 1, *flags, *prefixes, *behind]

    async def _swept(self, inboxes: Sequence[InboxKey], answer: Sequence[Any], count: int) -> Swept:
        found, ends, histories = answer
        last = dict(zip(inboxes, map(bytes.decode, ends), strict=True)) if ends else {}
        return Swept(await self.handed(inboxes, found, histories), last, len(found) >= 3 * count)


def _entries(inboxes: Sequence[InboxKey], found: Sequence[Any]) -> Iterator[tuple[InboxKey, str, bytes]]:
    for index, entry_id, pointer in zip(found[0::3], found[1::3], found[2::3], strict=True):
        yield inboxes[index - 1], entry_id.decode(), pointer
