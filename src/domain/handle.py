"""The one shell around the decisions: read, fold, decide, append, return.

A decision may rest on who holds a digest (`AcceptDocument.on_duplicate`). It is made for the case that nobody does; the
append compares, and where somebody does the command is told and decided anew, on the same state. So a command that
brings a document its bytes needs three things to be skipped or to replace as an upload does: fields for the policy and
the holder, an arm in `duplicates.digest_asked` and one in `told_holder`, and a `decide` that answers either event. No
caller of `handle` sees any of it; a worker's `Done((command,))` too ends as whatever was decided last.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar, assert_never

import msgspec

from domain.decider import Decider, Folded, apply, fold_to_decide
from domain.errors import Contention, Refused
from events.digests import DigestChange, DigestClaim, Move
from events.envelope import Envelope, Event
from events.ids import DocumentId, EventId, KnowledgeBaseId
from events.inbox import Delivery
from events.log import Appended, Conflict, EventLog, Taken, TallyChange, Write

S = TypeVar("S")
C = TypeVar("C")

CONFLICTS_MAX: Final = 8
"""How often a command is decided anew after another writer was first. Each time, somebody made progress."""

TAKEN_MAX: Final = 100
"""How often a command is decided anew because a digest has another holder. Of so many that replace the same document at
the same moment, each but one is told each time."""

Told = dict[str, DocumentId | None]
"""Who holds which digest, as the log said; of one that it was not asked of, nobody does. An append that asks stays
within one knowledge base."""

Beside = Callable[[], Awaitable[Sequence[Write]]]
"""Further writes that enter the log together with what was decided; asked anew before each append."""


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


class Holders:
    """Who holds which digest while the writes of one append are being prepared, one after the other."""

    def __init__(self, told: Mapping[str, DocumentId | None] | None = None) -> None:
        self._told = told or {}
        self._changed: Told = {}

    def of(self, sha256: str) -> DocumentId | None:
        """Behind the writes that were prepared before."""
        return self._changed[sha256] if sha256 in self._changed else self._told.get(sha256)

    def resting_on(self, sha256: str) -> tuple[DigestClaim, ...]:
        """What the log has to compare; nothing where the answer follows from a write of the same append."""
        return () if sha256 in self._changed else (DigestClaim(sha256, self._told.get(sha256)),)

    def follow(self, document: str, change: DigestChange) -> None:
        """What a write does."""
        holder = self.of(change.sha256)
        if change.move is Move.FIRST or (change.move is Move.LAST and holder is None):
            self._changed[change.sha256] = DocumentId(document)


def prepare(
    decider: Decider[S, C],
    stream_id: str,
    before: Folded[S],
    commands: Sequence[C],
    context: Context,
    holders: Holders | None = None,
) -> Prepared[S]:
    """Decides several commands one after the other, each on the state that the one before left. Raises Refused."""
    holders, after, envelopes, digests = holders or Holders(), before, [], []
    tally: list[TallyChange] = []  # literals: `list[TallyChange]()` takes 0.4 µs more
    claims: list[DigestClaim] = []
    for command in commands:
        asked = decider.digest_asked(command)
        told = command if asked is None else decider.told_holder(command, holders.of(asked))
        events = decider.decide(told, after.state)
        if events and asked is not None:
            claims.extend(holders.resting_on(asked))
        for event in events:
            envelope = _envelope(stream_id, after.version + 1, event, context)
            evolved = apply(decider.evolve, after, envelope)
            tally.extend(decider.tally(after.state, evolved.state))
            for change in decider.digests(after.state, evolved.state):
                holders.follow(stream_id, change)
                digests.append(change)
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
        digests=tuple(digests),
        claims=tuple(claims),
    )
    return Prepared(before, after, write)


async def load(log: EventLog, decider: Decider[S, C], stream_id: str) -> Folded[S]:
    """The present state of a stream, from its whole history. Raises NewerFacts and what the log raises."""
    return fold_to_decide(decider, await log.history(stream_id))


class _Tries:
    """How often it may be decided anew. Raises Contention."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._conflicts = self._takings = 0

    def count(self, answer: Conflict | Taken) -> None:
        self._conflicts += isinstance(answer, Conflict)
        self._takings += isinstance(answer, Taken)
        if self._conflicts >= CONFLICTS_MAX or self._takings >= TAKEN_MAX:
            raise Contention(f"{self._what} kept changing while a command was being decided")


async def handle(
    log: EventLog,
    decider: Decider[S, C],
    stream_id: str,
    commands: Sequence[C],
    context: Context,
    *,
    known: Folded[S] | None = None,
    acknowledge: Delivery | None = None,
    beside: Beside | None = None,
    allows: Callable[[Folded[S]], None] | None = None,
) -> Handled[S]:
    """Carries commands out on one stream; `known` saves the first read.

    Where another writer was first, the history is read again and, unless `allows` raises for it, all is decided anew.
    Raises Refused, Contention and what the log raises. `acknowledge` and `beside` take effect only with events.
    """
    folded = known if known is not None else await load(log, decider, stream_id)
    told, tries = Told(), _Tries(stream_id)
    while True:
        prepared = prepare(decider, stream_id, folded, commands, context, Holders(told))
        if prepared.write is None:
            return Handled(prepared.after, ())
        writes = [prepared.write, *(await beside() if beside is not None else ())]
        match await log.append(writes, acknowledge=acknowledge):
            case Appended():
                return Handled(prepared.after, prepared.write.envelopes)
            case Conflict() as answer:
                tries.count(answer)
                folded = await load(log, decider, stream_id)
                if allows is not None:
                    allows(folded)
            case Taken() as answer:
                tries.count(answer)
                told.update((claim.sha256, claim.holder) for claim in answer.claims)
            case answer:
                assert_never(answer)


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
    known: list[Folded[Any]] | None = None
    told, tries = Told(), _Tries(f"{len(requests)} streams")
    while True:
        prepared = _prepared_together(requests, known, context, told)
        if prepared is None:
            guard, known = await _read_again(log, requests, guard)
            continue
        writes = [one.write for one in prepared if one.write is not None]
        guards = [] if guard is None else [guard.write]
        answer = await log.append([*writes, *guards], acknowledge=acknowledge) if writes else None
        match answer:
            case None | Appended():
                return tuple(Handled(one.after, one.write.envelopes if one.write else ()) for one in prepared)
            case Conflict():
                tries.count(answer)
                guard, known = await _read_again(log, requests, guard)
            case Taken():
                tries.count(answer)
                told.update((claim.sha256, claim.holder) for claim in answer.claims)
            case _:
                assert_never(answer)


async def _read_again(
    log: EventLog, requests: Sequence[Request[Any, Any]], guard: Guard[Any] | None
) -> tuple[Guard[Any] | None, list[Folded[Any]]]:
    guard = None if guard is None else await guard.again(log)
    return guard, [await load(log, one.decider, one.stream_id) for one in requests]


def _prepared_together(
    requests: Sequence[Request[Any, Any]], known: Sequence[Folded[Any]] | None, context: Context, told: Told
) -> list[Prepared[Any]] | None:
    """None where streams that nothing is known of are not new after all: one refuses, or leads to nothing."""
    holders = Holders(told)
    before = [Folded(one.decider.initial) for one in requests] if known is None else known
    try:
        prepared = [
            prepare(one.decider, one.stream_id, folded, one.commands, context, holders)
            for one, folded in zip(requests, before, strict=True)
        ]
    except Refused:
        if known is None:
            return None
        raise
    return None if known is None and any(one.write is None for one in prepared) else prepared


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
