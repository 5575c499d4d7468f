"""A log and its inboxes in a world where time passes when the test says so: one for memory, one for Redis."""

from typing import Protocol

from events.envelope import Position
from events.epochs import Epochs
from events.inbox import Inbox, InboxKey
from events.keys import Keys
from events.log import EventLog
from events.memory import MemoryLog
from events.memory_inbox import MemoryInbox
from events.redis_border import execute
from events.redis_clients import Clients
from events.redis_epochs import RedisEpochs
from events.redis_inbox import RedisInbox
from events.redis_log import RedisLog
from events.steps import Lane, Step
from tests.event_samples import T0_US

PARTITIONS = 4
EVENTS_PER_STREAM_MAX = 40


class LogWorld(Protocol):
    """What the suites need of an implementation."""

    log: EventLog
    epochs: Epochs
    inbox: Inbox

    async def now_us(self) -> int:
        """The store's clock."""
        ...

    async def pass_time(self, ms: int) -> None:
        """Lets time pass for heartbeats and timers."""
        ...

    async def dead_letters(self, partition: int) -> list[str]:
        """Streams among the dead letters, by time."""
        ...

    async def put_raw(self, partition: int, payload: bytes) -> Position:
        """Puts bytes into the log as a foreign writer would."""
        ...


class MemoryWorld:
    """The reference."""

    def __init__(self) -> None:
        self._now_us = T0_US
        self.memory = MemoryLog(
            partitions=PARTITIONS, clock_us=lambda: self._now_us, events_per_stream_max=EVENTS_PER_STREAM_MAX
        )
        self.log: EventLog = self.memory
        self.epochs: Epochs = self.memory
        self.inbox: Inbox = MemoryInbox(self.memory)

    async def now_us(self) -> int:
        return self._now_us

    async def pass_time(self, ms: int) -> None:
        self._now_us += ms * 1_000

    async def dead_letters(self, partition: int) -> list[str]:
        return self.memory.dead_letters(partition)

    async def put_raw(self, partition: int, payload: bytes) -> Position:
        return self.memory.put_raw(partition, payload)


class RedisWorld:
    """The real server. Its clock cannot be moved, so heartbeats and timers are moved into the past instead."""

    def __init__(self, clients: Clients) -> None:
        self.keys = Keys(PARTITIONS)
        self._client = clients.commands
        self.log: EventLog = RedisLog(
            clients.commands, clients.blocking, self.keys, events_per_stream_max=EVENTS_PER_STREAM_MAX
        )
        self.epochs: Epochs = RedisEpochs(clients.commands, self.keys)
        self.inbox: Inbox = RedisInbox(clients.commands, clients.blocking, self.keys)

    async def now_us(self) -> int:
        seconds, rest_us = await execute(self._client, "TIME")
        return int(seconds) * 1_000_000 + int(rest_us)

    async def pass_time(self, ms: int) -> None:
        for key in (self.keys.consumers, *map(self.keys.due, range(PARTITIONS))):
            for member in await execute(self._client, "ZRANGEBYSCORE", key, "(0", "+inf"):
                await execute(self._client, "ZINCRBY", key, -ms, member)

    async def dead_letters(self, partition: int) -> list[str]:
        return [stream.decode() for stream in await execute(self._client, "ZRANGE", self.keys.dead(partition), 0, -1)]

    async def put_raw(self, partition: int, payload: bytes) -> Position:
        meta = self.keys.meta(partition)
        number = await execute(self._client, "HINCRBY", meta, "number", 1)
        entry = await execute(self._client, "XADD", self.keys.log(partition), "*", "e", payload, "n", number)
        await execute(self._client, "HSET", meta, "last", entry)
        return Position.of_entry(1, entry.decode())


def inbox_key(step: Step, lane: Lane = Lane.INTERACTIVE, partition: int = 0) -> InboxKey:
    return InboxKey(partition, step, lane)
