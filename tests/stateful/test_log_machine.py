"""The log in memory and the log on Redis, driven side by side at random: every answer must be the same.

Entry ids differ (each store has its own clock), so positions are compared by their dense numbers and deliveries without
their entry ids.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final, TypeVar

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from events.digests import DigestChange, DigestClaim, Move
from events.document import DocumentCancelled, DocumentFailed, DocumentParsed, ReprocessingRequested, StepFailed
from events.envelope import Envelope, Event, Position
from events.ids import DocumentId, KnowledgeBaseId, TaskId, partition_of
from events.inbox import Delivery, InboxDepth, InboxKey
from events.log import Appended, Conflict, EventLog, Taken, Tally, Unreadable, Write
from events.memory_derived import MemoryDerived
from events.redis_border import execute
from events.redis_clients import make_clients
from events.redis_derived import RedisDerived
from events.steps import Lane, Step
from events.task import TaskFinished
from tests.contract.log_world import LogWorld, MemoryWorld, RedisWorld, inbox_key
from tests.event_samples import accepted, indexed, write
from tests.machines import examples_driven
from tests.servers.redis_process import RedisProcess

pytest_plugins = ("tests.servers.redis",)

T = TypeVar("T")
Pair = tuple[Delivery, Delivery]
Call = tuple[list[Write], Pair | None]
Numbers = dict[tuple[int, Position], int]

PARTITIONS_USED: Final = (0, 1)
HOUR_MS: Final = 3_600_000
NEVER_US: Final = 4_102_444_800_000_000
KB: Final = {
    partition: KnowledgeBaseId(f"kb_{partition:02x}" + "0" * 12 + "7000" + "8" + "0" * 15) for partition in (0, 1)
}
TASKS: Final = {partition: TaskId(f"task_{partition:02x}" + "0" * 12 + "7000" + "8" + "0" * 15) for partition in (0, 1)}
DOCUMENTS: Final = {
    partition: [DocumentId(f"doc_{partition:02x}" + "0" * 12 + "7000" + "8" + f"{n:015x}") for n in range(3)]
    for partition in (0, 1)
}
INBOXES: Final = [
    inbox_key(step, lane, partition)
    for lane in Lane
    for step in (Step.PARSE, Step.CHUNK, Step.EMBED, Step.FINISH)
    for partition in PARTITIONS_USED
]


def events_of(partition: int) -> st.SearchStrategy[Event]:
    """Facts of every route, with times long past or never to come."""
    task, knowledge_base = TASKS[partition], KB[partition]
    times = st.sampled_from([1_000_000, 1_000_500, 2_000_000, NEVER_US])
    return st.one_of(
        st.builds(lambda at: accepted(task, knowledge_base, not_before_us=at), st.none() | times),
        st.just(DocumentParsed(text_blob="t", parser="p", pages=1, characters=1)),
        st.just(indexed()),
        st.builds(lambda at: StepFailed(step=Step.EMBED, attempt=1, code="x", message="x", retry_at_us=at), times),
        st.just(DocumentFailed(step=Step.PARSE, code="x", message="x")),
        st.just(DocumentCancelled()),
        st.just(ReprocessingRequested(from_step=Step.CHUNK, reason="r", task_id=task)),
    )


TALLIES = st.sampled_from(
    [
        (),
        (Tally(open_documents=1),),
        (Tally(open_documents=-1, succeeded=1),),
        (Tally(succeeded=-1, failed=1),),
        (Tally(open_documents=1), Tally(open_documents=-1, skipped=1)),
    ]
)
SHAS: Final = ("aa" * 32, "bb" * 32)
DIGESTS = st.lists(st.builds(DigestChange, st.sampled_from(SHAS), st.sampled_from(Move)), max_size=2)
CONSUMERS = st.sampled_from(["a", "b", "c"])
COUNTS = st.integers(0, 4)


class LogMachine(RuleBasedStateMachine):
    """One example: an empty store on either side, then any mixture of calls."""

    server_url = ""

    @initialize()
    def open(self) -> None:
        self.runner = asyncio.Runner()
        self.clients = make_clients(self.server_url)
        self.run(execute(self.clients.commands, "FLUSHALL"))
        self.memory, self.redis = MemoryWorld(), RedisWorld(self.clients)
        self.versions: dict[str, int] = {}
        self.calls: list[Call] = []
        self.held: list[Pair] = []
        self.numbers: tuple[Numbers, Numbers] = ({}, {})
        self.seen: dict[tuple[int, int], Position] = {}

    def teardown(self) -> None:
        if hasattr(self, "clients"):
            self.run(self.clients.aclose())
            self.runner.close()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(call)

    @rule(data=st.data(), partition=st.sampled_from(PARTITIONS_USED), lane=st.sampled_from(Lane))
    def append(self, data: st.DataObject, partition: int, lane: Lane) -> None:
        self._append(self._call(data, partition, lane))

    @rule(data=st.data(), partition=st.sampled_from(PARTITIONS_USED), count=st.integers(2, 4))
    def append_several_at_once(self, data: st.DataObject, partition: int, count: int) -> None:
        """On Redis they leave as one; in memory they are made one after the other."""
        lanes = st.sampled_from(Lane)
        calls = [self._call(data, partition, data.draw(lanes)) for _ in range(count)]
        made = [call for call in self.calls if partition_of(call[0][0].stream_id) == partition]
        self._append(*calls, *data.draw(st.lists(st.sampled_from(made), max_size=2)))

    def _call(self, data: st.DataObject, partition: int, lane: Lane) -> Call:
        documents = data.draw(st.lists(st.sampled_from(DOCUMENTS[partition]), min_size=1, max_size=3, unique=True))
        holders = {sha: data.draw(st.sampled_from([None, *DOCUMENTS[partition]])) for sha in SHAS}
        writes = [self._write(data, document, partition, lane, holders) for document in documents]
        holds = [pair for pair in self.held if pair[0].partition == partition]
        self.calls.append((writes, data.draw(st.sampled_from([None, *holds]))))
        return self.calls[-1]

    @rule(partition=st.sampled_from(PARTITIONS_USED), lane=st.sampled_from(Lane))
    def finish_task(self, partition: int, lane: Lane) -> None:
        task = TASKS[partition]
        finished = TaskFinished(succeeded=1, failed=0, cancelled=0, skipped=0)
        expected = self.versions.get(task, 0)
        writes = [write(task, expected, finished, knowledge_base=KB[partition], task=task, lane=lane)]
        self.calls.append((writes, None))
        self._append(self.calls[-1])

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def repeat_an_append(self, data: st.DataObject) -> None:
        self._append(data.draw(st.sampled_from(self.calls)))

    @rule(consumer=CONSUMERS, count=COUNTS, keys=st.lists(st.sampled_from(INBOXES), unique=True, min_size=1))
    def take(self, consumer: str, count: int, keys: list[Any]) -> None:
        self._hold(
            self.run(self.memory.inbox.take(keys, consumer=consumer, count=count)),
            self.run(self.redis.inbox.take(keys, consumer=consumer, count=count)),
        )

    @rule(consumer=CONSUMERS, count=COUNTS)
    def claim(self, consumer: str, count: int) -> None:
        self._hold(*(self.run(self._claim(world, consumer, count)) for world in (self.memory, self.redis)))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        in_memory, in_redis = data.draw(st.sampled_from(self.held))

        async def acknowledge() -> None:
            await self.memory.inbox.acknowledge(in_memory)
            await self.redis.inbox.acknowledge(in_redis)

        self.run(acknowledge())

    @precondition(lambda self: self.held)
    @rule(data=st.data(), consumer=CONSUMERS)
    def release(self, data: st.DataObject, consumer: str) -> None:
        in_memory, in_redis = data.draw(st.sampled_from(self.held))
        self.run(self.memory.inbox.release(in_memory, consumer=consumer))
        self.run(self.redis.inbox.release(in_redis, consumer=consumer))

    @rule(consumer=CONSUMERS, way=st.sampled_from(["beat", "leave"]))
    def come_or_go(self, consumer: str, way: str) -> None:
        self.run(getattr(self.memory.inbox, way)(consumer))
        self.run(getattr(self.redis.inbox, way)(consumer))

    @rule(partition=st.sampled_from(PARTITIONS_USED), limit=st.integers(1, 3))
    def move_due(self, partition: int, limit: int) -> None:
        assert self.run(self.memory.inbox.due()) == self.run(self.redis.inbox.due())
        in_memory = self.run(self.memory.inbox.move_due(partition, limit=limit))
        assert in_memory == self.run(self.redis.inbox.move_due(partition, limit=limit))

    @rule(partition=st.sampled_from(PARTITIONS_USED))
    def put_junk(self, partition: int) -> None:
        self.run(self.memory.put_raw(partition, b"junk"))
        self.run(self.redis.put_raw(partition, b"junk"))

    @rule(consumer=CONSUMERS, count=COUNTS)
    def compare_what_is_held(self, consumer: str, count: int) -> None:
        in_memory = self.run(self.memory.inbox.mine(INBOXES, consumer=consumer, count=count))
        in_redis = self.run(self.redis.inbox.mine(INBOXES, consumer=consumer, count=count))
        assert without_ids(in_memory) == without_ids(in_redis)

    @rule(partition=st.sampled_from(PARTITIONS_USED), after=st.integers(0, 4))
    def compare_streams(self, partition: int, after: int) -> None:
        for stream in (*DOCUMENTS[partition], TASKS[partition]):
            in_memory = self.run(self.memory.log.history(stream, after_version=after))
            in_redis = self.run(self.redis.log.history(stream, after_version=after))
            assert [without_position(each) for each in in_memory] == [without_position(each) for each in in_redis]

    @invariant()
    def both_hold_the_same(self) -> None:
        if not hasattr(self, "clients"):
            return
        for partition in PARTITIONS_USED:
            assert self._new_entries(0, partition) == self._new_entries(1, partition)
            task = TASKS[partition]
            assert self.run(self.memory.log.tally(task)) == self.run(self.redis.log.tally(task))
            dead = self.run(self.memory.dead_letters(partition))
            assert dead == self.run(self.redis.dead_letters(partition))
            in_memory = self.run(MemoryDerived(self.memory.memory).digests(KB[partition]))
            assert in_memory == self.run(RedisDerived(self.clients.commands, self.redis.keys).digests(KB[partition]))
        assert self.run(self._depths(self.memory)) == self.run(self._depths(self.redis))

    async def _depths(self, world: LogWorld) -> dict[InboxKey, InboxDepth]:
        return dict(zip(INBOXES, await asyncio.gather(*map(world.inbox.depth, INBOXES)), strict=True))

    async def _claim(self, world: LogWorld, consumer: str, count: int) -> list[Delivery]:
        return await world.inbox.claim_from_dead(INBOXES, consumer=consumer, count=count, silent_ms_min=HOUR_MS)

    def _write(
        self,
        data: st.DataObject,
        document: DocumentId,
        partition: int,
        lane: Lane,
        holders: dict[str, DocumentId | None],
    ) -> Write:
        expected = max(self.versions.get(document, 0) + data.draw(st.sampled_from([0, 0, 0, 0, -1, 1])), 0)
        events = data.draw(st.lists(events_of(partition), min_size=1, max_size=3))
        plain = write(
            document,
            expected,
            *events,
            knowledge_base=KB[partition],
            task=TASKS[partition],
            lane=lane,
            tally=data.draw(TALLIES),
        )
        asked = data.draw(st.sampled_from([(), (), *((sha,) for sha in SHAS)]))
        return msgspec.structs.replace(
            plain,
            digests=tuple(data.draw(DIGESTS)),
            claims=tuple(DigestClaim(sha, holders[sha]) for sha in asked),
        )

    def _append(self, *calls: Call) -> None:
        in_memory = self.run(self._appended(self.memory.log, 0, calls))
        in_redis = self.run(self._appended(self.redis.log, 1, calls))
        for partition in PARTITIONS_USED:
            assert self._new_entries(0, partition) == self._new_entries(1, partition)
        for (writes, _), one, other in zip(calls, in_memory, in_redis, strict=True):
            partition = partition_of(writes[0].stream_id)
            assert self._answer(0, partition, one) == self._answer(1, partition, other)
            if isinstance(one, Appended) and not one.is_repeat:
                self.versions |= {each.stream_id: each.expected_version + len(each.envelopes) for each in writes}

    async def _appended(self, log: EventLog, side: int, calls: Sequence[Call]) -> list[Appended | Conflict | Taken]:
        return await asyncio.gather(
            *(log.append(writes, acknowledge=None if held is None else held[side]) for writes, held in calls)
        )

    def _answer(self, side: int, partition: int, answer: Appended | Conflict | Taken) -> object:
        match answer:
            case Appended(positions, is_repeat):
                return [self.numbers[side][partition, position] for position in positions], is_repeat
            case Conflict() | Taken():
                return answer

    def _new_entries(self, side: int, partition: int) -> list[Envelope | Unreadable]:
        """What came since the last look; remembers the number of each position."""
        world = (self.memory, self.redis)[side]
        entries = self.run(world.log.read(partition, after=self.seen.get((side, partition))))
        for entry in entries:
            assert entry.position is not None
            assert entry.number is not None
            self.numbers[side][partition, entry.position] = entry.number
            self.seen[side, partition] = entry.position
        assert self.run(world.log.head(partition)).position == self.seen.get((side, partition))
        return [without_position(entry) for entry in entries]

    def _hold(self, in_memory: list[Delivery], in_redis: list[Delivery]) -> None:
        assert without_ids(in_memory) == without_ids(in_redis)
        self.held.extend(zip(in_memory, in_redis, strict=True))


def without_ids(deliveries: list[Delivery]) -> list[Delivery]:
    return [msgspec.structs.replace(delivery, entry_id="") for delivery in deliveries]


def without_position(entry: Envelope | Unreadable) -> Envelope | Unreadable:
    if isinstance(entry, Envelope):
        return msgspec.structs.replace(entry, position=None)
    return msgspec.structs.replace(entry, position=Position(0, 0, 0), reason="")


@pytest.mark.timeout(300)
def test_memory_and_redis_never_differ(redis_server: RedisProcess) -> None:
    class Machine(LogMachine):
        server_url = redis_server.url

    assert examples_driven(Machine, examples_max=40, steps_max=30) >= 40
