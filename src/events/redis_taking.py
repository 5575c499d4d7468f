"""The calls of `take.lua`: what is new in some inboxes goes to a consumer, at once or as soon as something arrives.

On one server whoever waits does so by XREADGROUP: of all that wait for an inbox the server wakes one, who is given
what has come, in the moment of the append that led to it and on disk with it, by one sync. The script goes out right
behind it, on its connection, and is run once it ends: it brings the histories of what was given, in the same answer. By
XREAD all were woken, and all but one for nothing, on the processors that the one needed.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, zip_longest
from operator import attrgetter
from typing import Any, Final, NamedTuple

import structlog
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoScriptError, ResponseError

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
    """What was handed out; the last entry of each inbox, if that is nothing, and behind a wait of those in which
    something has come; `is_full`: more may lie there."""

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
        self._put_back = Script("put_back.lua")
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
        """What is given to nobody yet, or comes within `block_ms`, at most ARRIVED_MAX; and of the inboxes what may not
        have been all. Behind `ends` nothing was given to this consumer: what is brings its history along. None where
        an inbox is to be made by a sweep first. Raises LogUnavailable. On one server alone.
        """
        inboxes, count = list(ends), min(count, ARRIVED_MAX)
        names = self.names(inboxes)
        waiting: Command = (
            *("XREADGROUP", "GROUP", GROUP, consumer, "COUNT", count, "BLOCK", block_ms, "STREAMS"),
            *names,
            *(">" for _ in names),
        )
        bringing = self._script.command(names, self._arguments(inboxes, consumer, ARRIVED_MAX, brings_histories, ends))
        with at_the_border():
            found, answer = await exchange(self._blocking, (waiting, bringing))
            if is_no_group(found):
                return None, {}
            if isinstance(answer, NoScriptError):
                await self._script.load(self._blocking, names)
                answer = [(), (), ()]
            answered((found, answer))
        arrived: Found = found or {}
        entries = [_Entry(names.index(name.decode()) + 1, *one) for name, of_it in arrived.items() for one in of_it]
        if surplus := entries[count:]:  # COUNT is of each inbox: where something came into several since the last look
            await self._give_back(names, surplus, consumer)
        handed = await self.handed(inboxes, *_with_histories(entries[:count], answer))
        more = {name: of_it for name, of_it in arrived.items() if len(of_it) >= count}
        return Swept(handed, _by_inbox(inboxes, answer[1]), bool(more or surplus)), more

    async def _give_back(self, names: Sequence[str], entries: Iterable["_Entry"], consumer: str) -> None:
        arguments = [argument for one in entries for argument in (one.place, one.entry_id)]
        await self._put_back.run(self._blocking, names, (GROUP, consumer, *arguments))

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
        of_whom, behind = (">", ()) if ends is None else ("0", ends.values())
        flags = int(brings_histories), int(ends is not None)
        return [GROUP, consumer, count, of_whom, 1, *flags, *prefixes, *behind]

    async def _swept(self, inboxes: Sequence[InboxKey], answer: Sequence[Any], count: int) -> Swept:
        found, ends, histories = answer
        taken = await self.handed(inboxes, found, histories)
        return Swept(taken, _by_inbox(inboxes, ends), len(found) >= 3 * count)


class _Entry(NamedTuple):
    """Of the inbox at that place, from 1."""

    place: int
    entry_id: bytes
    fields: Sequence[bytes]


def _with_histories(entries: Iterable[_Entry], answer: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """As `take.lua` answers: the entries that the wait was given, and the histories that were brought of some."""
    found, _, histories = answer
    brought_of = dict(zip(zip(found[0::3], found[1::3], strict=True), histories, strict=False))
    flat: list[Any] = []
    brought_along: list[Any] = []
    for place, entry_id, fields in entries:
        flat += (place, entry_id, fields[1])
        brought_along.append(brought_of.get((place, entry_id), ()))
    return flat, brought_along


def is_no_group(answer: Any) -> bool:
    """Whether it refuses because nobody has read from an inbox yet, so that nothing of it is in anybody's hands."""
    return isinstance(answer, ResponseError) and str(answer).startswith("NOGROUP")


def _by_inbox(inboxes: Sequence[InboxKey], ends: Sequence[Any]) -> dict[InboxKey, str]:
    return {inboxes[place - 1]: last.decode() for place, last in zip(ends[0::2], ends[1::2], strict=True)}


def _entries(inboxes: Sequence[InboxKey], found: Sequence[Any]) -> Iterator[tuple[InboxKey, str, bytes]]:
    for index, entry_id, pointer in zip(found[0::3], found[1::3], found[2::3], strict=True):
        yield inboxes[index - 1], entry_id.decode(), pointer
