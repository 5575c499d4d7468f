"""The one shell around the decisions: read, fold, decide, append, return."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from domain.decider import Decider, Folded, apply, fold_to_decide
from domain.errors import Contention, Refused
from events.envelope import Envelope, Event
from events.ids import EventId, KnowledgeBaseId
from events.inbox import Delivery
from events.log import Appended, EventLog, TallyChange, Write

S = TypeVar("S")
C = TypeVar("C")

CONFLICTS_MAX = 8
"""How often a command is decided anew after another writer was first. Each time, somebody made progress."""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What goes into every envelope and is no part of the decision; time and ids are passed in."""

    clock_us: Callable[[], int]
    new_event_id: Callable[[], EventId]
    correlation_id: str
    causation_id: EventId | None = None
    actor: str | None = None
    trace_parent: str | None = None


class Handled(msgspec.Struct, Generic[S], frozen=True):
    """The state after the command, and the events that it led to (none: nothing was appended or acknowledged)."""

    folded: Folded[S]
    envelopes: tuple[Envelope, ...]


class Prepared(msgspec.Struct, Generic[S], frozen=True):
    """A decision that is not in the log yet; `write` is None where no event follows."""

    before: Folded[S]
    after: Folded[S]
    write: Write | None


def prepare(
    decider: Decider[S, C], stream_id: str, before: Folded[S], commands: Sequence[C], context: Context
) -> Prepared[S]:
    """Decides several commands one after the other, each on the state that the one before left. Raises Refused."""
    after, envelopes, tally = before, list[Envelope](), list[TallyChange]()
    for command in commands:
        for event in decider.decide(command, after.state):
            envelope = _envelope(stream_id, after.version + 1, event, context)
            evolved = apply(decider.evolve, after, envelope)
            tally.extend(decider.tally(after.state, evolved.state))
            envelopes.append(envelope)
            after = evolved
    if not envelopes:
        return Prepared(before, after, None)
    placement = decider.placement(after.state)
    write = Write(
        stream_id=stream_id,
        expected_version=before.version,
        envelopes=tuple(envelopes),
        knowledge_base_id=placement.knowledge_base_id,
        lane=placement.lane,
        tally=tuple(tally),
    )
    return Prepared(before, after, write)


async def load(log: EventLog, decider: Decider[S, C], stream_id: str) -> Folded[S]:
    """The present state of a stream, from its whole history. Raises NewerFacts and what the log raises."""
    return fold_to_decide(decider, await log.history(stream_id))


async def handle(
    log: EventLog,
    decider: Decider[S, C],
    stream_id: str,
    commands: Sequence[C],
    context: Context,
    *,
    known: Folded[S] | None = None,
    acknowledge: Delivery | None = None,
) -> Handled[S]:
    """Carries commands out on one stream; `known` saves the first read.

    Where another writer was first, the history is read again and the commands are decided anew. Raises Refused,
    Contention and what the log raises. `acknowledge` takes effect only together with events.
    """
    folded = known if known is not None else await load(log, decider, stream_id)
    for _ in range(CONFLICTS_MAX):
        prepared = prepare(decider, stream_id, folded, commands, context)
        if prepared.write is None:
            return Handled(prepared.after, ())
        if isinstance(await log.append([prepared.write], acknowledge=acknowledge), Appended):
            return Handled(prepared.after, prepared.write.envelopes)
        folded = await load(log, decider, stream_id)
    raise Contention(f"{stream_id} changed {CONFLICTS_MAX} times while a command was being decided")


class Request(msgspec.Struct, Generic[S, C], frozen=True):
    """Commands for one of several streams."""

    decider: Decider[S, C]
    stream_id: str
    commands: tuple[C, ...]


class Guard(msgspec.Struct, Generic[S], frozen=True):
    """A stream that must not have changed when others are written, and what has to hold where it did.

    `allows` raises Refused for a state under which nothing may be written any more. It holds for `known`.
    """

    decider: Decider[S, Any]
    stream_id: KnowledgeBaseId
    known: Folded[S]
    allows: Callable[[S], object]

    @property
    def write(self) -> Write:
        """Compares, in the very call that writes the others, and writes nothing."""
        return Write(
            stream_id=self.stream_id,
            expected_version=self.known.version,
            envelopes=(),
            knowledge_base_id=self.stream_id,
        )

    async def again(self, log: EventLog) -> "Guard[S]":
        """As the stream is now; what was known of it is not read again. Raises Refused."""
        since = await log.history(self.stream_id, after_version=self.known.version)
        known = fold_to_decide(self.decider, since, self.known)
        self.allows(known.state)
        return Guard(self.decider, self.stream_id, known, self.allows)


async def handle_together(
    log: EventLog,
    requests: Sequence[Request[Any, Any]],
    context: Context,
    *,
    acknowledge: Delivery | None = None,
    guard: Guard[Any] | None = None,
) -> tuple[Handled[Any], ...]:
    """Carries commands out on several streams of one partition: all their events enter the log, or none.

    Streams are taken for new at first (the common case: a submission), and read where that proves wrong: by a conflict,
    or because a command is refused or leads to nothing on a stream that does not exist. Raises like `handle`, and what
    the guard refuses.
    """
    prepared = _prepared_as_new(requests, context)
    for _ in range(CONFLICTS_MAX):
        if prepared is None:
            guard = None if guard is None else await guard.again(log)
            known = [await load(log, one.decider, one.stream_id) for one in requests]
            prepared = [_prepared(one, before, context) for one, before in zip(requests, known, strict=True)]
        writes = [one.write for one in prepared if one.write is not None]
        guards = [] if guard is None else [guard.write]
        if not writes or isinstance(await log.append([*writes, *guards], acknowledge=acknowledge), Appended):
            return tuple(Handled(one.after, one.write.envelopes if one.write else ()) for one in prepared)
        prepared = None
    raise Contention(f"{len(requests)} streams kept changing while a command was being decided")


def _prepared_as_new(requests: Sequence[Request[Any, Any]], context: Context) -> list[Prepared[Any]] | None:
    try:
        prepared = [_prepared(one, Folded(one.decider.initial), context) for one in requests]
    except Refused:
        return None
    return prepared if all(one.write is not None for one in prepared) else None


def _prepared(one: Request[Any, Any], before: Folded[Any], context: Context) -> Prepared[Any]:
    return prepare(one.decider, one.stream_id, before, one.commands, context)


def _envelope(stream_id: str, version: int, event: Event, context: Context) -> Envelope:
    return Envelope(
        event_id=context.new_event_id(),
        stream_id=stream_id,
        version=version,
        event=event,
        recorded_at_us=context.clock_us(),
        correlation_id=context.correlation_id,
        causation_id=context.causation_id,
        actor=context.actor,
        trace_parent=context.trace_parent,
    )
