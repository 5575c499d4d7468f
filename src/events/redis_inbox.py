"""The inboxes on consumer groups. An entry of an inbox is a packed pointer; keys are described in `keys.py`.

Waiting is a plain XREAD behind the last entries that an empty sweep saw, then the sweep again. A blocking XREADGROUP
would save one round trip, but give more than `count`, mix up the order, and hide deliveries when it is cancelled. Who
has emptied them goes on waiting behind the same entries when it asks again: a sweep is two commands for each inbox. All
consumers of a process that wait for the same inboxes wait in one call (redis_inbox_waits.py).

Whatever hands deliveries out goes through the client that never repeats a call by itself: a repetition after a lost
reply would succeed and leave the first call's deliveries in this consumer's hands, unseen. So does what takes a
delivery out without an event: where a replica took over meanwhile the log may have gone back, and ask for it again.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby, zip_longest
from operator import attrgetter
from typing import Any, Final, NamedTuple, Protocol

import structlog
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ResponseError

from events.errors import CorruptEvent
from events.inbox import RELEASED, Delivery, Handed, InboxDepth, InboxKey
from events.keys import Keys
from events.pointer import INBOX_CODES, delivery_of
from events.redis_acknowledging import Acknowledging
from events.redis_border import RedisClient, Script, at_the_border
from events.redis_entries import brought
from events.redis_inbox_waits import InboxWaits
from events.redis_log import BLOCK_MS_MAX, GROUP
from events.redis_streams import StreamReads

RELEASED_IDLE_MS: Final = 1_000_000_000
"""Released entries look as if nobody had touched them for 11 days."""

HANDED_OUT_AT_ONCE_MAX: Final = 32
"""Calls of one process. Hundreds of workers over gRPC that an arrival wakes at once would each take a connection."""

CONSUMER_FORGET_MS: Final = 86_400_000
"""A consumer last heard of a day ago leaves the list of heartbeats; what it may still hold stays claimable."""

SWEEP_AGAIN_S: Final = 10.0
"""While nothing comes, how often all inboxes are swept all the same: what lies behind nobody's back, as a group that
vanished or a clock that went back in a fail-over leave it, is found by nothing else."""

_log = structlog.get_logger()


class _Sweep(Protocol):
    """One call of `RedisInbox._sweep` for a consumer."""

    async def __call__(self, inboxes: Sequence[InboxKey], count: int) -> tuple[list[Handed], dict[InboxKey, str]]: ...


class _Ends(NamedTuple):
    """The entry of each inbox behind which nothing has been given out, and when all of them were swept last."""

    last: dict[InboxKey, str]
    swept_s: float


class RedisInbox:
    """Inbox on Redis. `blocking_client` waits long and repeats nothing (see `redis_clients.make_clients`)."""

    def __init__(
        self,
        client: RedisClient,
        blocking_client: RedisClient,
        keys: Keys,
        *,
        sweep_again_s: float = SWEEP_AGAIN_S,
    ) -> None:
        self._client = client
        self._blocking = blocking_client
        self._waits = InboxWaits(StreamReads(blocking_client))
        self._handing_out = asyncio.Semaphore(HANDED_OUT_AT_ONCE_MAX)
        self._sweep_again_s = sweep_again_s
        self._ends: dict[frozenset[InboxKey], _Ends] = {}
        self._keys = keys
        self._take = Script("take.lua")
        self._claim = Script("claim.lua")
        self._acknowledging = Acknowledging(blocking_client, GROUP)
        self._release = Script("release.lua")
        self._consumers = Script("consumers.lua")
        self._due = Script("due_timers.lua")
        self._move_due = Script("move_due.lua")
        self._backlog = Script("backlog.lua")

    async def take(self, inboxes: Sequence[InboxKey], *, consumer: str, count: int, wait_ms: int = 0) -> list[Delivery]:
        taken = await self._take_first(partial(self._sweep, consumer=consumer), inboxes, count, wait_ms)
        return [one.delivery for one in taken]

    async def take_with_histories(
        self, inboxes: Sequence[InboxKey], *, consumer: str, count: int, wait_ms: int = 0
    ) -> list[Handed]:
        sweep = partial(self._sweep, consumer=consumer, brings_histories=True)
        return await self._take_first(sweep, inboxes, count, wait_ms)

    async def _take_first(self, sweep: "_Sweep", inboxes: Sequence[InboxKey], count: int, wait_ms: int) -> list[Handed]:
        """What a sweep finds at once, or what the first does that something arrives for."""
        if not inboxes or count <= 0:
            return []
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_ms / 1_000
        asked = frozenset(inboxes)
        taken, ends = list[Handed](), self._ends.pop(asked, None)  # gone, if this call ends in any other way
        if ends is None or wait_ms == 0 or loop.time() - ends.swept_s >= self._sweep_again_s:
            swept_s = loop.time()
            taken, last = await sweep(inboxes, count)
            ends = _Ends(last, swept_s)
        last = ends.last
        while not taken and (rest_ms := int((deadline - loop.time()) * 1_000)) > 0:
            # A sweep that found nothing but damaged pointers has seen no ends to wait behind: the next one looks anew.
            arrived = await self._wait(last, min(rest_ms, BLOCK_MS_MAX)) if last else set(inboxes)
            if arrived:
                taken, seen = await sweep([key for key in inboxes if key in arrived], count)
                last |= seen
        if last and len(taken) < count:  # nothing new is left in any of them
            last |= {_inbox_of(one.delivery): one.delivery.entry_id for one in taken}
            self._ends[asked] = ends
        return taken

    async def mine(self, inboxes: Sequence[InboxKey], *, consumer: str, count: int) -> list[Delivery]:
        if not inboxes or count <= 0:
            return []
        mine: list[Delivery] = []
        for part in self._calls(inboxes):
            if left := count - len(mine):
                found, *_ = await self._take.run(self._client, self._names(part), (GROUP, consumer, left, "0", 0))
                mine += [one.delivery for one in await self._handed(part, found)]
        return mine

    def acknowledge(self, delivery: Delivery) -> Awaitable[None]:
        return self._acknowledging.run(self._name_of(delivery), delivery.entry_id)

    async def release(self, delivery: Delivery, *, consumer: str) -> None:
        arguments = (GROUP, consumer, delivery.entry_id, RELEASED, RELEASED_IDLE_MS)
        await self._release.run(self._client, [self._name_of(delivery)], arguments)

    async def beat(self, consumer: str) -> None:
        await self._consumers.run(self._client, [self._keys.consumers], ("beat", consumer))

    async def leave(self, consumer: str) -> None:
        await self._consumers.run(self._client, [self._keys.consumers], ("leave", consumer))

    async def claim_from_dead(
        self, inboxes: Sequence[InboxKey], *, consumer: str, count: int, silent_ms_min: int
    ) -> list[Delivery]:
        if not inboxes or count <= 0:
            return []
        judge = ("judge", silent_ms_min, CONSUMER_FORGET_MS)
        dead, living = await self._consumers.run(self._client, [self._keys.consumers], judge)
        claimed: list[Delivery] = []
        for part in self._calls(inboxes):
            if left := count - len(claimed):
                arguments = (GROUP, consumer, left, silent_ms_min, RELEASED, len(dead), *dead, *living)
                async with self._handing_out:
                    found = await self._claim.run(self._blocking, self._names(part), arguments)
                claimed += [one.delivery for one in await self._handed(part, found)]
        return claimed

    async def due(self) -> list[int]:
        calls = self._slots(range(self._keys.partitions))
        found = await asyncio.gather(
            *(self._due.run(self._client, [self._keys.due(partition) for partition in call], ()) for call in calls)
        )
        return [call[place - 1] for call, places in zip(calls, found, strict=True) for place in places]

    async def move_due(self, partition: int, *, limit: int = 100) -> int:
        inboxes = [self._keys.inbox(partition, step, lane) for step, lane in INBOX_CODES]
        moved: int = await self._move_due.run(self._client, [self._keys.due(partition), *inboxes], (limit,))
        return moved

    async def depth(self, inbox: InboxKey) -> InboxDepth:
        (found,) = await self.depths([inbox])
        return found

    async def depths(self, inboxes: Sequence[InboxKey]) -> list[InboxDepth]:
        if not inboxes:
            return []
        with at_the_border():
            async with self._client.pipeline(transaction=False) as pipeline:
                for name in self._names(inboxes):
                    pipeline.xlen(name)
                    pipeline.xpending(name, GROUP)
                answers = await pipeline.execute(raise_on_error=False)
            for answer in answers:
                if isinstance(answer, Exception) and not _is_no_group(answer):
                    raise answer
        return [_depth(*pair) for pair in zip(answers[::2], answers[1::2], strict=True)]

    @property
    def waiting(self) -> int:
        """Consumers of this process that wait for a delivery now."""
        return self._waits.waiting

    async def holds(self, inbox: InboxKey, entry_id: str) -> bool:
        (name,) = self._names([inbox])
        with at_the_border():
            return bool(await self._client.xrange(name, entry_id, entry_id, count=1))

    async def backlog(self) -> int:
        calls = self._slots(range(self._keys.partitions))
        names = [[self._keys.inbox(one, *found) for one in call for found in INBOX_CODES] for call in calls]
        return sum(await asyncio.gather(*(self._backlog.run(self._client, part, ()) for part in names)))

    async def _sweep(
        self, inboxes: Sequence[InboxKey], count: int, *, consumer: str, brings_histories: bool = False
    ) -> tuple[list[Handed], dict[InboxKey, str]]:
        """Also answers the last entry of each inbox if nothing was found."""
        taken: list[Handed] = []
        last: dict[InboxKey, str] = {}
        for part in self._calls(inboxes):
            prefixes = [self._keys.prefix(inbox.partition) for inbox in part] if brings_histories else ()
            arguments = (GROUP, consumer, count - len(taken), ">", 1, *prefixes)
            async with self._handing_out:
                found, ends, histories = await self._take.run(self._blocking, self._names(part), arguments)
            taken += await self._handed(part, found, histories)
            last.update(zip(part, map(bytes.decode, ends), strict=False))
            if len(taken) >= count:
                break
        return taken, last if len(last) == len(inboxes) else {}

    def _calls(self, inboxes: Sequence[InboxKey]) -> list[list[InboxKey]]:
        """What one call may touch, in order: everything on one server, the inboxes of one slot on a cluster."""
        if not isinstance(self._client, RedisCluster):
            return [list(inboxes)]
        return [list(part) for _, part in groupby(inboxes, key=attrgetter("partition"))]

    def _slots(self, partitions: Iterable[int]) -> list[list[int]]:
        """What one call may touch: all partitions of one server, each by itself on a cluster."""
        if isinstance(self._client, RedisCluster):
            return [[partition] for partition in partitions]
        return [list(partitions)]

    async def _wait(self, last: dict[InboxKey, str], block_ms: int) -> set[InboxKey]:
        """The inboxes in which something lies behind the last entry that was seen."""
        names = {self._name(key): key for key in last}
        arrived = await self._waits.arrived(dict(zip(names, last.values(), strict=True)), block_ms=block_ms)
        return {names[name] for name in arrived}

    async def _handed(
        self, inboxes: Sequence[InboxKey], found: Sequence[Any], histories: Sequence[Any] = ()
    ) -> list[Handed]:
        """Entries that hold no pointer lead to no event: they are told of and acknowledged, else they would come back
        for ever. What they may have stood for is in the log all the same."""
        handed = []
        for (inbox, entry_id, pointer), history in zip_longest(_entries(inboxes, found), histories):
            try:
                delivery = delivery_of(inbox, entry_id, pointer)
            except CorruptEvent as error:
                _log.error("pointer_unreadable", inbox=self._name(inbox), entry=entry_id, reason=str(error))
                await self._acknowledging.run(self._name(inbox), entry_id)
            else:
                handed.append(Handed(delivery, brought(delivery.stream_id, history) if history else None))
        return handed

    def _names(self, inboxes: Sequence[InboxKey]) -> list[str]:
        return [self._name(inbox) for inbox in inboxes]

    def _name(self, inbox: InboxKey) -> str:
        return self._keys.inbox(inbox.partition, inbox.step, inbox.lane)

    def _name_of(self, delivery: Delivery) -> str:
        return self._keys.inbox(delivery.partition, delivery.step, delivery.lane)


def _entries(inboxes: Sequence[InboxKey], found: Sequence[Any]) -> Iterator[tuple[InboxKey, str, bytes]]:
    for index, entry_id, pointer in zip(found[0::3], found[1::3], found[2::3], strict=True):
        yield inboxes[index - 1], entry_id.decode(), pointer


def _inbox_of(delivery: Delivery) -> InboxKey:
    return InboxKey(delivery.partition, delivery.step, delivery.lane)


def _depth(entries: Any, summary: Any) -> InboxDepth:
    """An inbox that nobody has asked yet has no group, and nothing pending."""
    pending = 0 if isinstance(summary, Exception) else summary["pending"]
    return InboxDepth(waiting=max(entries - pending, 0), pending=pending)


def _is_no_group(error: Exception) -> bool:
    """Nobody has read from the inbox yet, so nothing is in anybody's hands."""
    return isinstance(error, ResponseError) and str(error).startswith("NOGROUP")
