"""The log in memory: the reference semantics, for the simulation and as the model that Redis is compared with.

Nothing here waits for real time except `read(wait_ms)`, which sleeps in the event loop until an append wakes it.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Sequence

import msgspec

from events.append_plan import EnterDead, EnterDue, EnterInbox, LeaveDead, Plan, PlannedWrite, plan_append
from events.codec import decode
from events.digests import DigestClaim, moved
from events.envelope import Envelope, Position
from events.epochs import EPOCH_FIRST
from events.errors import CorruptEvent, EntriesArchived, HistoryArchived, InvalidAppend
from events.ids import TaskId, partition_of
from events.inbox import Delivery
from events.log import EVENTS_PER_STREAM_MAX, Appended, Conflict, Head, Taken, Tally, Unreadable, Write
from events.memory_store import EntryId, LogEntry, MemoryStore, PartitionState, StreamState


class MemoryLog:
    """EventLog in memory. `clock_us` is the server's clock (unix µs); `store` is what MemoryInbox shares with it."""

    def __init__(
        self, *, partitions: int, clock_us: Callable[[], int], events_per_stream_max: int = EVENTS_PER_STREAM_MAX
    ) -> None:
        self.store = MemoryStore(partitions, clock_us)
        self._events_per_stream_max = events_per_stream_max

    @property
    def partitions(self) -> int:
        return len(self.store.partitions)

    async def append(
        self, writes: Sequence[Write], *, acknowledge: Delivery | None = None
    ) -> Appended | Conflict | Taken:
        plan = plan_append(writes, partitions=self.partitions, acknowledge=acknowledge)
        partition = self.store.partitions[plan.partition]
        positions = _repeated(partition, plan)
        is_repeat = positions is not None
        if positions is None:
            conflict = _conflict(partition, plan)
            if conflict is not None:
                return conflict
            self._refuse_overlong(plan)
            taken = _taken(partition, plan)
            if taken:
                return Taken(taken)
            positions = self._write(partition, plan)
        if acknowledge is not None:
            inbox = partition.inbox(acknowledge.step, acknowledge.lane)
            inbox.remove(parse_entry_id(acknowledge.entry_id))
        return Appended(positions, is_repeat=is_repeat)

    async def read(
        self, partition: int, *, after: Position | None = None, limit: int = 1_000, wait_ms: int = 0
    ) -> list[Envelope | Unreadable]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_ms / 1_000
        while True:
            found = self._page(partition, after, limit)
            rest_s = deadline - loop.time()
            if found or rest_s <= 0:
                return found
            await self.store.appended.wait(rest_s)

    async def history(self, stream_id: str, *, after_version: int = 0) -> list[Envelope]:
        partition = self.store.partition(partition_of(stream_id))
        stream = partition.streams.get(stream_id, StreamState())
        trimmed = partition.trimmed_versions(stream)
        if after_version < trimmed:
            raise HistoryArchived(trimmed, str_entry_id(partition.log[stream.places[trimmed - 1]].entry_id))
        return [_decode(partition, partition.log[place], place + 1) for place in stream.places[after_version:]]

    async def versions(self, stream_ids: Sequence[str]) -> list[int]:
        streams = ((self.store.partition(partition_of(one)).streams, one) for one in stream_ids)
        return [known.get(one, StreamState()).version for known, one in streams]

    async def tally(self, task_id: TaskId) -> Tally:
        return self.store.partition(partition_of(task_id)).tallies.get(task_id, Tally())

    async def head(self, partition: int) -> Head:
        state = self.store.partition(partition)
        return Head(state.epoch, len(state.log), _position(state, state.log[-1].entry_id) if state.log else None)

    async def raise_epoch(self, partition: int, seen: Position) -> bool:
        """As `Epochs`. A log in memory loses its end where a test takes it away."""
        state = self.store.partition(partition)
        if state.epoch > seen.epoch:
            return False
        state.epoch = seen.epoch + 1
        state.numbering.last = max(state.numbering.last, (seen.ms, seen.sequence))
        return True

    def dead_letters(self, partition: int) -> list[str]:
        """Streams among the dead letters, by the time of their failure."""
        dead = self.store.partition(partition).dead
        return sorted(dead, key=lambda stream: (dead[stream], stream))

    def put_raw(self, partition: int, payload: bytes) -> Position:
        """Puts bytes into the log as a damaged disk or a foreign writer would; for tests of what readers do then."""
        state = self.store.partition(partition)
        return _position(state, self._enter_log(state, payload))

    def _page(self, partition: int, after: Position | None, limit: int) -> list[Envelope | Unreadable]:
        state = self.store.partition(partition)
        log, trimmed = state.log, state.trimmed
        start = 0 if after is None else bisect_right(log, (after.ms, after.sequence), key=lambda entry: entry.entry_id)
        if start < trimmed:
            raise EntriesArchived(str_entry_id(log[trimmed - 1].entry_id))
        return [
            _decode_or_unreadable(state, entry, number)
            for number, entry in enumerate(log[start : start + limit], start=start + 1)
        ]

    def _refuse_overlong(self, plan: Plan) -> None:
        for write in plan.writes:
            if write.expected_version + len(write.payloads) > self._events_per_stream_max:
                raise InvalidAppend(f"a stream may hold {self._events_per_stream_max} events")

    def _write(self, partition: PartitionState, plan: Plan) -> tuple[Position, ...]:
        positions = []
        for write in filter(lambda one: one.payloads, plan.writes):
            stream = partition.streams.setdefault(write.stream_id, StreamState())
            for payload in write.payloads:
                stream.places.append(len(partition.log))
                positions.append(_position(partition, self._enter_log(partition, payload)))
        ended = _change_tallies(partition, plan)
        _change_digests(partition, plan)
        self._follow(partition, plan, ended)
        return tuple(positions)

    def _enter_log(self, partition: PartitionState, payload: bytes) -> EntryId:
        entry_id = partition.numbering.next(self.store.now_ms())
        partition.log.append(LogEntry(entry_id, payload))
        self.store.appended.wake()
        return entry_id

    def _follow(self, partition: PartitionState, plan: Plan, ended: set[str]) -> None:
        for consequence in plan.consequences:
            match consequence:
                case EnterInbox(step, lane, pointer, when_task_ends):
                    if when_task_ends is None or when_task_ends in ended:
                        partition.inbox(step, lane).enter(pointer, self.store.now_ms())
                        self.store.arrived.wake()
                case EnterDue(due_at_ms, timer):
                    partition.due[timer] = due_at_ms
                case EnterDead(failed_at_ms, stream_id):
                    partition.dead[stream_id] = failed_at_ms
                case LeaveDead(stream_id):
                    partition.dead.pop(stream_id, None)


def parse_entry_id(text: str) -> EntryId:
    """A stream id of the form ms-sequence. Raises InvalidId."""
    position = Position.of_entry(EPOCH_FIRST, text)
    return position.ms, position.sequence


def str_entry_id(entry_id: EntryId) -> str:
    """The text form of a stream id."""
    return f"{entry_id[0]}-{entry_id[1]}"


def _repeated(partition: PartitionState, plan: Plan) -> tuple[Position, ...] | None:
    """The positions of the first time, if every write is in the log already; None if one is not."""
    places: list[int] = []
    for write in plan.writes:
        stream = partition.streams.get(write.stream_id, StreamState())
        first, end = write.expected_version, write.expected_version + len(write.payloads)
        if first == end:
            continue
        if first < partition.trimmed_versions(stream):
            return None  # the archive has them: a conflict tells the writer to look
        if stream.version < end or not _is_last(partition.log[stream.places[end - 1]], write):
            return None
        places.extend(stream.places[first:end])
    return tuple(_position(partition, partition.log[place].entry_id) for place in places)


def _is_last(entry: LogEntry, write: PlannedWrite) -> bool:
    return bytes.fromhex(decode(entry.payload).event_id) == write.last_event_id


def _conflict(partition: PartitionState, plan: Plan) -> Conflict | None:
    for write in plan.writes:
        actual = partition.streams.get(write.stream_id, StreamState()).version
        if actual != write.expected_version:
            return Conflict(write.stream_id, actual)
    return None


def _change_tallies(partition: PartitionState, plan: Plan) -> set[str]:
    """Answers the tasks that were changed and have no open document left."""
    ended = set()
    for task, change in plan.tallies.items():
        before = partition.tallies.get(task)
        difference = msgspec.structs.astuple(change)
        if before is None and min(difference) < 0:
            continue
        after = Tally(*map(sum, zip(msgspec.structs.astuple(before or Tally()), difference, strict=True)))
        partition.tallies[task] = after
        if after.open_documents == 0:
            ended.add(task)
    for task in plan.finished:
        partition.tallies.pop(task, None)
    return ended


def _taken(partition: PartitionState, plan: Plan) -> tuple[DigestClaim, ...]:
    """Who holds the digests that are not held by whom the writer thought."""
    taken = []
    for key, planned in plan.digests.items():
        holder, *_ = (*partition.digests.get(key, ()), b"")
        if planned.holder not in {None, holder}:
            taken.append(planned.held_by(holder))
    return tuple(taken)


def _change_digests(partition: PartitionState, plan: Plan) -> None:
    for key, planned in plan.digests.items():
        claims = partition.digests.pop(key, ())
        for move, document in planned.moves:
            claims = moved(claims, document, move)
        if claims:
            partition.digests[key] = claims


def _position(partition: PartitionState, entry_id: EntryId) -> Position:
    return Position(partition.epoch, *entry_id)


def _decode(partition: PartitionState, entry: LogEntry, number: int) -> Envelope:
    return decode(entry.payload, position=_position(partition, entry.entry_id), number=number)


def _decode_or_unreadable(partition: PartitionState, entry: LogEntry, number: int) -> Envelope | Unreadable:
    try:
        return _decode(partition, entry, number)
    except CorruptEvent as error:
        return Unreadable(_position(partition, entry.entry_id), number, entry.payload, str(error))
