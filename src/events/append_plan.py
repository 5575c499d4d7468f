"""What one append comes to, worked out and checked before any store is touched: pure, shared by every store."""

from collections.abc import Mapping, Sequence
from typing import Final, assert_never

import msgspec

from events.codec import encode
from events.digests import DigestClaim, DigestKey, Move, digest_of
from events.document import DocumentChunked, DocumentEmbedded, DocumentFailed, DocumentIndexed, DocumentParsed
from events.envelope import Envelope, Event, UnknownEvent
from events.errors import InvalidAppend, InvalidId
from events.ids import DocumentId, pack_stream_id, partition_of, unpack_stream_id
from events.inbox import Delivery
from events.log import EVENT_BYTES_MAX, EVENTS_PER_APPEND_MAX, Tally, Write
from events.pointer import Pointer, pack_pointer, pack_timer
from events.routing import FromDeadLetters, ToDeadLetters, ToInbox, ToInboxAt, ToInboxWhenTaskEnds, route
from events.steps import Lane, Step
from events.task import TaskFinished

_NOTHING: Final[frozenset[str]] = frozenset()
_NO_CHANGE: Final = Tally()

_ENDED_BY: Final[Mapping[type[Event], Step]] = {
    DocumentParsed: Step.PARSE,
    DocumentChunked: Step.CHUNK,
    DocumentEmbedded: Step.EMBED,
    DocumentIndexed: Step.INDEX,
}


class PlannedWrite(msgspec.Struct, frozen=True):
    """Encoded events for the end of one stream; without any it is only compared."""

    stream_id: str
    expected_version: int
    payloads: tuple[bytes, ...]
    last_event_id: bytes


class EnterInbox(msgspec.Struct, frozen=True):
    """A packed pointer enters an inbox; with `when_task_ends` only if that task's tally changed and nothing is open."""

    step: Step
    lane: Lane
    pointer: bytes
    when_task_ends: str | None = None


class EnterDue(msgspec.Struct, frozen=True):
    """A timer is set (unix ms, rounded up: never early)."""

    due_at_ms: int
    timer: bytes


class EnterDead(msgspec.Struct, frozen=True):
    """A stream enters the dead letters (unix ms, the writer's clock)."""

    failed_at_ms: int
    stream_id: str


class LeaveDead(msgspec.Struct, frozen=True):
    """A stream leaves the dead letters."""

    stream_id: str


class PlannedDigest(msgspec.Struct, frozen=True):
    """What has to be so, and what becomes, of the claims of one digest. Documents are packed ids.

    `holder`: who has to hold it before the append, empty: nobody, None: whoever.
    """

    sha256: str
    holder: bytes | None
    moves: tuple[tuple[Move, bytes], ...]

    def held_by(self, holder: bytes) -> DigestClaim:
        """As it is told to a writer who thought otherwise; empty: nobody holds it."""
        return DigestClaim(self.sha256, DocumentId(unpack_stream_id(holder)) if holder else None)


Consequence = EnterInbox | EnterDue | EnterDead | LeaveDead


class Plan(msgspec.Struct, frozen=True):
    """One append for one partition. `tallies` holds the summed change a task, `finished` the tasks whose tally goes.

    A change that takes something away from a task without a tally is left out: counts begin at zero, so that task has
    finished, and a tally made anew would never be deleted.
    """

    partition: int
    writes: tuple[PlannedWrite, ...]
    tallies: Mapping[str, Tally]
    finished: frozenset[str]
    digests: Mapping[DigestKey, PlannedDigest]
    consequences: tuple[Consequence, ...]


def plan_append(
    writes: Sequence[Write], *, partitions: int, acknowledge: Delivery | None = None, by_name: bool = False
) -> Plan:
    """`by_name`: events in the form that older programs read. Raises InvalidAppend for whatever the contract forbids,
    InvalidId for ids that are none."""
    partition = _one_partition(writes, partitions, acknowledge)
    tallies = _merged_tallies(writes, partition)
    finished = [one.stream_id for write in writes for one in write.envelopes if type(one.event) is TaskFinished]
    consequences: list[Consequence] = []
    for write in writes:
        _add_consequences(consequences, write, tallies)
    return Plan(
        partition=partition,
        writes=tuple([_planned(write, by_name) for write in writes]),
        tallies=tallies,
        finished=frozenset(finished) if finished else _NOTHING,
        digests=_merged_digests(writes),
        consequences=_once_a_task(consequences) if len(consequences) > 1 else tuple(consequences),
    )


def _one_partition(writes: Sequence[Write], partitions: int, acknowledge: Delivery | None) -> int:
    if not writes:
        raise InvalidAppend("an append needs at least one write")
    if len(writes) > 1 and len({write.stream_id for write in writes}) != len(writes):
        raise InvalidAppend("an append names each stream once")
    partition = partition_of(writes[0].stream_id)
    events, is_one = 0, acknowledge is None or acknowledge.partition == partition
    for write in writes:
        if not write.envelopes and (write.tally or write.digests):
            raise InvalidAppend("a stream that is only compared changes no tally and no digest")
        events += len(write.envelopes)
        if partition_of(write.stream_id) != partition or partition_of(write.knowledge_base_id) != partition:
            is_one = False
    if events == 0:
        raise InvalidAppend("an append needs at least one event")
    if events > EVENTS_PER_APPEND_MAX:
        raise InvalidAppend(f"{events} events in one append, {EVENTS_PER_APPEND_MAX} are the limit")
    if not is_one:
        raise InvalidAppend("an append stays within one partition")
    if partition >= partitions:
        raise InvalidId(f"the id names partition {partition}, there are {partitions}")
    return partition


def _planned(write: Write, by_name: bool) -> PlannedWrite:
    version = write.expected_version
    if version < 0:
        raise InvalidAppend("versions begin at 0, the stream that does not exist")
    payloads: list[bytes] = []
    for envelope in write.envelopes:
        version += 1
        payloads.append(_payload(write, envelope, version, by_name))
    last_event_id = bytes.fromhex(write.envelopes[-1].event_id) if write.envelopes else b""
    return PlannedWrite(write.stream_id, write.expected_version, tuple(payloads), last_event_id)


def _payload(write: Write, envelope: Envelope, version: int, by_name: bool) -> bytes:
    if envelope.stream_id != write.stream_id:
        raise InvalidAppend("an envelope belongs to another stream than its write")
    if envelope.version != version:
        raise InvalidAppend(f"an envelope carries version {envelope.version}, version {version} is next")
    if type(envelope.event) is UnknownEvent:
        raise InvalidAppend("an event that this program cannot read cannot be written by it")
    payload = encode(envelope, by_name=by_name)
    if len(payload) > EVENT_BYTES_MAX:
        raise InvalidAppend(f"{envelope.type} takes {len(payload)} bytes, {EVENT_BYTES_MAX} are the limit")
    return payload


def _merged_tallies(writes: Sequence[Write], partition: int) -> dict[str, Tally]:
    merged: dict[str, Tally] = {}
    for write in writes:
        for change in write.tally:
            if partition_of(change.task_id) != partition:
                raise InvalidAppend("a tally lies in another partition than the append")
            before = merged.get(change.task_id)
            merged[change.task_id] = change.change if before is None else before + change.change
    return {task: change for task, change in merged.items() if change != _NO_CHANGE} if merged else merged


def _merged_digests(writes: Sequence[Write]) -> dict[DigestKey, PlannedDigest]:
    """Whatever is said of a digest must agree: a decision that rests on another of the same append names neither."""
    merged: dict[DigestKey, PlannedDigest] = {}
    for write in writes:
        for claim in write.claims:
            key = DigestKey(write.knowledge_base_id, digest_of(claim.sha256))
            holder = b"" if claim.holder is None else pack_stream_id(claim.holder)
            known = merged.get(key) or PlannedDigest(claim.sha256, None, ())
            if known.holder not in {None, holder}:
                raise InvalidAppend("two documents of an append rest on different holders of a digest")
            merged[key] = PlannedDigest(claim.sha256, holder, known.moves)
        for change in write.digests:
            key = DigestKey(write.knowledge_base_id, digest_of(change.sha256))
            known = merged.get(key) or PlannedDigest(change.sha256, None, ())
            move = change.move, pack_stream_id(write.stream_id)
            merged[key] = PlannedDigest(change.sha256, known.holder, (*known.moves, move))
    return merged


def _add_consequences(consequences: list[Consequence], write: Write, tallies: Mapping[str, Tally]) -> None:
    ended = _ended_within(write) if len(write.envelopes) > 1 else {}
    for envelope in write.envelopes:
        for found in route(envelope.event):
            match found:
                case ToInbox(step) if ended.get(step, 0) > envelope.version:
                    continue
                case ToInbox(step):
                    pointer = _pointer(write, envelope, envelope.correlation_id)
                    consequences.append(EnterInbox(step, write.lane, pointer))
                case ToInboxAt(step, due_at_us):
                    pointer = _pointer(write, envelope, envelope.correlation_id)
                    consequences.append(EnterDue(-(-due_at_us // 1_000), pack_timer(step, write.lane, pointer)))
                case ToInboxWhenTaskEnds(step):
                    for task in _tasks(write, envelope, tallies):
                        pointer = _pointer(write, envelope, task)
                        consequences.append(EnterInbox(step, write.lane, pointer, when_task_ends=task))
                case ToDeadLetters():
                    consequences.append(EnterDead(envelope.recorded_at_us // 1_000, write.stream_id))
                case FromDeadLetters():
                    consequences.append(LeaveDead(write.stream_id))
                case _:
                    assert_never(found)


def _ended_within(write: Write) -> dict[Step, int]:
    """The steps of a document whose result is in this write, by its version: nobody is asked for them any more."""
    return {step: one.version for one in write.envelopes if (step := _ended_by(one.event)) is not None}


def _ended_by(event: Event) -> Step | None:
    return event.step if isinstance(event, DocumentFailed) else _ENDED_BY.get(type(event))


def _tasks(write: Write, envelope: Envelope, tallies: Mapping[str, Tally]) -> list[str]:
    """The tasks that this event may end: those that its write changes, and its own if any write of the append does."""
    named = dict.fromkeys([*(change.task_id for change in write.tally), envelope.correlation_id])
    return [task for task in named if task in tallies]


def _once_a_task(consequences: Sequence[Consequence]) -> tuple[Consequence, ...]:
    """Of several pointers that wait for one task's end only the last stays: a task of 1,000 skipped files ends once."""
    last = {
        (found.step, found.when_task_ends): place
        for place, found in enumerate(consequences)
        if isinstance(found, EnterInbox) and found.when_task_ends is not None
    }
    return tuple(
        found
        for place, found in enumerate(consequences)
        if not isinstance(found, EnterInbox)
        or found.when_task_ends is None
        or last[found.step, found.when_task_ends] == place
    )


def _pointer(write: Write, envelope: Envelope, correlation_id: str) -> bytes:
    return pack_pointer(
        Pointer(envelope.stream_id, envelope.version, envelope.event_id, correlation_id, write.knowledge_base_id)
    )
