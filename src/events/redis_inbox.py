"""The inboxes on consumer groups. An entry of an inbox is a packed pointer; keys are described in `keys.py`.

Who has emptied them waits, and goes on waiting when it asks again: a sweep is two commands for each inbox. On one
server the wait itself hands out what comes, to one of all that wait (redis_taking.py). On a cluster it is a plain XREAD
behind the last entries that an empty sweep saw, then the sweep again. All consumers of a process that wait for the same
inboxes wait in one call (redis_inbox_waits.py).

Whatever hands deliveries out goes through the client that never repeats a call by itself: a repetition after a lost
reply would succeed and leave the first call's deliveries in this consumer's hands, unseen. So does what takes a
delivery out without an event: where a replica took over meanwhile the log may have gone back, and ask for it again.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from redis.asyncio.cluster import RedisCluster

from events.inbox import RELEASED, Delivery, Handed, InboxDepth, InboxKey
from events.keys import Keys
from events.pointer import INBOX_CODES
from events.redis_acknowledging import Acknowledging
from events.redis_border import RedisClient, Script, at_the_border
from events.redis_inbox_waits import InboxWaits
from events.redis_log import BLOCK_MS_MAX, GROUP
from events.redis_streams import StreamReads
from events.redis_taking import Ends, Swept, Taking, is_no_group

RELEASED_IDLE_MS: Final = 1_000_000_000
"""Released entries look as if nobody had touched them for 11 days."""

CONSUMER_FORGET_MS: Final = 86_400_000
"""A consumer last heard of a day ago leaves the list of heartbeats; what it may still hold stays claimable."""

SWEEP_AGAIN_S: Final = 10.0
"""While nothing comes, how often all inboxes are swept all the same: what lies behind nobody's back, as a group that
vanished or a clock that went back in a fail-over leave it, is found by nothing else."""


class _Consumer(NamedTuple):
    """Who takes, and whether documents' histories come along."""

    consumer: str
    brings_histories: bool


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
        self._sweep_again_s = sweep_again_s
        self._ends: dict[frozenset[InboxKey], _Ends] = {}
        self._keys = keys
        self._claim = Script("claim.lua")
        self._acknowledging = Acknowledging(blocking_client, GROUP)
        self._taking = Taking(client, blocking_client, keys, self._acknowledging)
        self._release = Script("release.lua")
        self._consumers = Script("consumers.lua")
        self._due = Script("due_timers.lua")
        self._move_due = Script("move_due.lua")
        self._backlog = Script("backlog.lua")

    async def take(self, inboxes: Sequence[InboxKey], *, consumer: str, count: int, wait_ms: int = 0) -> list[Delivery]:
        taken = await self._take_first(_Consumer(consumer, False), inboxes, count, wait_ms)
        return [one.delivery for one in taken]

    async def take_with_histories(
        self, inboxes: Sequence[InboxKey], *, consumer: str, count: int, wait_ms: int = 0
    ) -> list[Handed]:
        return await self._take_first(_Consumer(consumer, True), inboxes, count, wait_ms)

    async def _take_first(
        self, consumer: "_Consumer", inboxes: Sequence[InboxKey], count: int, wait_ms: int
    ) -> list[Handed]:
        """What a sweep finds at once, or what arrives first."""
        if not inboxes or count <= 0:
            return []
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_ms / 1_000
        asked = frozenset(inboxes)
        swept, ends = Swept([], {}, False), self._ends.pop(asked, None)  # gone, if this call ends in any other way
        if ends is None or wait_ms == 0 or loop.time() - ends.swept_s >= self._sweep_again_s:
            swept_s = loop.time()
            swept = await self._taking.sweep(inboxes, count, **consumer._asdict())
            ends = _Ends(dict(swept.ends), swept_s)
        last = ends.last
        while not swept.taken and (rest_ms := int((deadline - loop.time()) * 1_000)) > 0:
            # A sweep that found nothing but damaged pointers has seen no ends to wait behind: the next one looks anew.
            if last:
                behind = {key: last[key] for key in inboxes}
                swept = await self._arriving(consumer, behind, count, min(rest_ms, BLOCK_MS_MAX))
            else:
                swept = await self._taking.sweep(inboxes, count, **consumer._asdict())
            last |= swept.ends
        if last and not swept.is_full:  # nothing new is left in any of them
            last |= {_inbox_of(one.delivery): one.delivery.entry_id for one in swept.taken}
            last |= swept.ends
            self._ends[asked] = ends
        return swept.taken

    async def _arriving(self, consumer: "_Consumer", ends: Ends, count: int, block_ms: int) -> Swept:
        """What arrives. Of a process's consumers that wait for the same inboxes one is handed it by the very call that
        waits; the others sweep where there may be more than that one got."""
        names = {self._taking.name(key): key for key in ends}
        if isinstance(self._blocking, RedisCluster) or self._waits.is_under_way(names):
            places = dict(zip(names, ends.values(), strict=True))
            arrived = await self._waits.arrived(places, block_ms=block_ms)
            if not arrived:
                return Swept([], {}, False)
            keys = [names[one] for one in names if one in arrived]
            return await self._taking.sweep(keys, count, **consumer._asdict())
        with self._waits.own(names) as told:
            swept, more = await self._taking.when_arrived(ends, count, block_ms=block_ms, **consumer._asdict())
            told.set_result(more)
        if swept is None:
            return await self._taking.sweep(list(ends), count, **consumer._asdict())
        return swept

    async def mine(self, inboxes: Sequence[InboxKey], *, consumer: str, count: int) -> list[Delivery]:
        if not inboxes or count <= 0:
            return []
        return [one.delivery for one in await self._taking.mine(inboxes, count, consumer=consumer)]

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
        for part in self._taking.calls(inboxes):
            if left := count - len(claimed):
                arguments = (GROUP, consumer, left, silent_ms_min, RELEASED, len(dead), *dead, *living)
                async with self._taking.handing_out:
                    found = await self._claim.run(self._blocking, self._taking.names(part), arguments)
                claimed += [one.delivery for one in await self._taking.handed(part, found)]
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
                for name in self._taking.names(inboxes):
                    pipeline.xlen(name)
                    pipeline.xpending(name, GROUP)
                answers = await pipeline.execute(raise_on_error=False)
            for answer in answers:
                if isinstance(answer, Exception) and not is_no_group(answer):
                    raise answer
        return [_depth(*pair) for pair in zip(answers[::2], answers[1::2], strict=True)]

    @property
    def waiting(self) -> int:
        """Consumers of this process that wait for a delivery now."""
        return self._waits.waiting

    async def holds(self, inbox: InboxKey, entry_id: str) -> bool:
        (name,) = self._taking.names([inbox])
        with at_the_border():
            return bool(await self._client.xrange(name, entry_id, entry_id, count=1))

    async def backlog(self) -> int:
        calls = self._slots(range(self._keys.partitions))
        names = [[self._keys.inbox(one, *found) for one in call for found in INBOX_CODES] for call in calls]
        return sum(await asyncio.gather(*(self._backlog.run(self._client, part, ()) for part in names)))

    def _slots(self, partitions: Iterable[int]) -> list[list[int]]:
        """What one call may touch: all partitions of one server, each by itself on a cluster."""
        if isinstance(self._client, RedisCluster):
            return [[partition] for partition in partitions]
        return [list(partitions)]

    def _name_of(self, delivery: Delivery) -> str:
        return self._keys.inbox(delivery.partition, delivery.step, delivery.lane)


def _inbox_of(delivery: Delivery) -> InboxKey:
    return InboxKey(delivery.partition, delivery.step, delivery.lane)


def _depth(entries: Any, summary: Any) -> InboxDepth:
    """An inbox that nobody has asked yet has no group, and nothing pending."""
    pending = 0 if isinstance(summary, Exception) else summary["pending"]
    return InboxDepth(waiting=max(entries - pending, 0), pending=pending)
