"""The shape that the three deciders share, and the laws of folding that hold for all of them."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import msgspec

from domain.errors import ImpossibleEvent
from events.digests import DigestChange
from events.envelope import Envelope, Event, UnknownEvent, UnknownReason
from events.errors import NewerFacts, VersionGap
from events.ids import DocumentId, KnowledgeBaseId
from events.log import TallyChange
from events.steps import Lane

S = TypeVar("S")
C = TypeVar("C")


class Placement(msgspec.Struct, frozen=True, gc=False):
    """Where the pointers go that follow from a stream's events."""

    knowledge_base_id: KnowledgeBaseId
    lane: Lane


class Decider(msgspec.Struct, Generic[S, C], frozen=True):
    """One kind of stream as data.

    `decide(command, state)` answers the events that follow (none: it was said before, or nobody waits for it) or raises
    Refused. `evolve(state, event, recorded_at_us)` raises ImpossibleEvent. `placement` is asked of a known state only.
    `tally(before, after)` is the difference that a change makes to the counts of tasks, `digests(before, after)` what
    it does to the claim of the stream's bytes.

    A decision may depend on who holds a digest: `digest_asked(command)` names it, `told_holder(command, holder)`
    answers the command as it is then decided, and the append compares (handle.py).
    """

    initial: S
    decide: Callable[[C, S], tuple[Event, ...]]
    evolve: Callable[[S, Event, int], S]
    placement: Callable[[S], Placement]
    tally: Callable[[S, S], tuple[TallyChange, ...]]
    digests: Callable[[S, S], tuple[DigestChange, ...]]
    digest_asked: Callable[[C], str | None]
    told_holder: Callable[[C, DocumentId | None], C]


class Folded(msgspec.Struct, Generic[S], frozen=True, gc=False):
    """A state, the version it stands at, and how many events of the future were passed over on the way."""

    state: S
    version: int = 0
    unknown_events: int = 0


def apply(evolve: Callable[[S, Event, int], S], folded: Folded[S], envelope: Envelope) -> Folded[S]:
    """One event onto a state: a version that is already in changes nothing, one past the next raises VersionGap."""
    if envelope.version <= folded.version:
        return folded
    if envelope.version != folded.version + 1:
        raise VersionGap(
            f"{envelope.stream_id} stands at version {folded.version} and was handed version {envelope.version}"
        )
    if type(envelope.event) is UnknownEvent:
        return Folded(folded.state, envelope.version, folded.unknown_events + 1)
    state = evolve(folded.state, envelope.event, envelope.recorded_at_us)
    return Folded(state, envelope.version, folded.unknown_events)


class Run(msgspec.Struct, Generic[S], frozen=True, gc=False):
    """What a run of one stream's events made of it: `states` are the one before it and the one behind each of
    `envelopes`, the events that took effect. `refused` could not follow what the stream held before."""

    start: Folded[S]
    envelopes: list[Envelope]
    states: list[S]
    end: Folded[S]
    refused: int


def run(evolve: Callable[[S, Event, int], S], start: Folded[S], envelopes: Iterable[Envelope]) -> Run[S]:
    """Some events onto a state, as `apply` does it one by one; those that cannot follow are counted and passed over."""
    state, version, unknown, refused = start.state, start.version, start.unknown_events, 0
    states = [state]
    effective: list[Envelope] = []
    for envelope in envelopes:
        if envelope.version != version + 1:
            refused += envelope.version > version
            continue
        if type(event := envelope.event) is UnknownEvent:
            unknown += 1
        else:
            try:
                state = evolve(state, event, envelope.recorded_at_us)
            except ImpossibleEvent:
                refused += 1
                continue
        version += 1
        effective.append(envelope)
        states.append(state)
    return Run(start, effective, states, Folded(state, version, unknown) if effective else start, refused)


def fold(decider: Decider[S, C], envelopes: Iterable[Envelope], start: Folded[S] | None = None) -> Folded[S]:
    """A history onto the initial state, or onto a snapshot."""
    folded = Folded(decider.initial) if start is None else start
    for envelope in envelopes:
        folded = apply(decider.evolve, folded, envelope)
    return folded


def fold_to_decide(decider: Decider[S, C], envelopes: Iterable[Envelope], start: Folded[S] | None = None) -> Folded[S]:
    """As `fold`, for a decision. Raises NewerFacts where a known type was written in a form that this program cannot
    read: the state that is left without it never was. A type that it does not know changes nothing that it knows of.
    """
    folded = Folded(decider.initial) if start is None else start
    for envelope in envelopes:
        event = envelope.event
        if isinstance(event, UnknownEvent) and event.reason is UnknownReason.NEWER_VERSION:
            raise NewerFacts(
                f"{envelope.stream_id} holds {event.type} in version {event.schema_version}, of a newer program"
            )
        folded = apply(decider.evolve, folded, envelope)
    return folded
