"""Throughput rows: what each step did in a minute: attempts begun and ended, how they ended, how long they took.

A partition keeps a ring of minutes: a later minute takes the place of the one an hour before it, so that it never
grows, needs no sweep, and is the same in whatever order the events came. Everything in a row is a sum. One more,
the total, adds up all minutes that ever were: counters for who compares two readings.
"""

from collections.abc import Iterable
from itertools import accumulate, zip_longest
from typing import Final

import msgspec

from domain.decider import Run
from domain.document import DocumentState, Running, is_open
from events import document as d
from events.envelope import Envelope, Event, UnknownEvent
from events.steps import Step
from events.task import TaskFinished
from projections.projection import THROUGHPUT, RowKey

MINUTE_US: Final = 60_000_000
MINUTES_KEPT: Final = 60

BUCKETS_MAX: Final = 42
"""The last one takes everything from 2^20 ms (17 minutes) on."""


class StepThroughput(msgspec.Struct, frozen=True, array_like=True):
    """Attempts at one step; those that ended are succeeded + retried + failed.

    `durations` counts ended attempts by `bucket_of` their duration, without the zeros behind the last; `duration_ms` is
    the sum of those durations.
    """

    step: Step
    started: int = 0
    succeeded: int = 0
    retried: int = 0
    failed: int = 0
    durations: tuple[int, ...] = ()
    duration_ms: int = 0


class ThroughputRow(msgspec.Struct, frozen=True, array_like=True):
    """One minute (since 1970) of one partition; those steps that did something, in the order of their names."""

    minute: int
    events: int
    steps: tuple[StepThroughput, ...] = ()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ThroughputRow)


def encode(row: ThroughputRow) -> bytes:
    """Some 400 bytes; the total, where every step has met every duration, some 2 kB."""
    return _encoder.encode(row)


def decode(payload: bytes) -> ThroughputRow:
    return _decoder.decode(payload)


def minute_of(at_us: int) -> int:
    return at_us // MINUTE_US


def row_key(minute: int) -> RowKey:
    """A minute's place in the ring."""
    return RowKey(THROUGHPUT, f"{minute % MINUTES_KEPT:02d}")


TOTAL: Final = RowKey(THROUGHPUT, "total")
"""The row of everything since the first event; its minute says nothing."""


def in_total(row: ThroughputRow) -> ThroughputRow:
    """What a minute adds to the total."""
    return ThroughputRow(0, row.events, row.steps)


def merged(row: ThroughputRow | None, more: ThroughputRow) -> ThroughputRow:
    """Of two minutes with the same place the later one stays; the same minute adds up. Commutes, in any order."""
    if row is None or row.minute < more.minute:
        return more
    if row.minute > more.minute:
        return row
    return ThroughputRow(row.minute, row.events + more.events, summed((*row.steps, *more.steps)))


def summed(steps: Iterable[StepThroughput]) -> tuple[StepThroughput, ...]:
    """One entry a step, in the order of their names."""
    sums: dict[Step, StepThroughput] = {}
    for one in steps:
        known = sums.get(one.step)
        sums[one.step] = one if known is None else _sum(known, one)
    return tuple(sums[step] for step in sorted(sums))


def bucket_of(duration_us: int) -> int:
    """0 below a millisecond, then two buckets an octave: number n holds from 2^((n-1)/2) ms on."""
    duration_ms = max(duration_us, 0) // 1_000
    if duration_ms == 0:
        return 0
    octave = duration_ms.bit_length() - 1
    is_upper_half = duration_ms * duration_ms >= 1 << (2 * octave + 1)
    return min(1 + 2 * octave + is_upper_half, BUCKETS_MAX - 1)


SHORT_MS: Final = 512
_SHORT: Final = bytes(bucket_of(ms * 1_000) for ms in range(SHORT_MS))
"""`bucket_of` what most attempts take, by the ms."""


def bucket_end_ms(bucket: int) -> float:
    """Every duration in a bucket is shorter; the last one has no end."""
    return float("inf") if bucket == BUCKETS_MAX - 1 else 2 ** (bucket / 2)


def quantile_ms(durations: tuple[int, ...], share: float) -> float | None:
    """The duration that `share` (0 to 1) of the attempts did not exceed, to a fifth: the middle of its bucket.

    None where nothing ended.
    """
    total = sum(durations)
    if total == 0:
        return None
    rank = max(share * total, 1)
    bucket = next(place for place, seen in enumerate(accumulate(durations)) if seen >= rank)
    return 0.5 if bucket == 0 else round(2 ** ((bucket - 0.5) / 2), 1)


class Tallies:
    """Counts the events of a page by their minutes; each event once, when it was folded."""

    def __init__(self) -> None:
        self._minutes: dict[int, _Minute] = {}

    def add_run(self, went: Run[DocumentState]) -> None:
        """Events of one document: most of them are of one minute, which is looked for once."""
        from_us, known, events = 0, None, 0
        for envelope, before in zip(went.envelopes, went.states, strict=False):  # one more state than events
            event = envelope.event
            fact = type(event)
            if fact is UnknownEvent:
                continue
            at_us = envelope.recorded_at_us
            if known is None or not 0 <= at_us - from_us < MINUTE_US:
                if known is not None:
                    known.events += events
                from_us, known, events = at_us - at_us % MINUTE_US, self._minute(at_us // MINUTE_US), 0
            events += 1
            if type(event) is d.StepStarted:  # four of ten
                known.counts_of(event.step)[_STARTED] += 1
            elif (place := _PLACES.get(fact)) is not None:
                known.add(place, fact, event, at_us, before)
        if known is not None:
            known.events += events

    def add(self, envelope: Envelope) -> None:
        """An event of another stream."""
        known, fact = self._minute(envelope.recorded_at_us // MINUTE_US), type(envelope.event)
        known.events += 1
        place = _PLACES.get(fact)
        if place is not None:
            known.add(place, fact, envelope.event, envelope.recorded_at_us, None)

    def minutes(self) -> Iterable[int]:
        """Those that have counted something."""
        return self._minutes.keys()

    def rows(self) -> list[ThroughputRow]:
        return [known.row(minute) for minute, known in self._minutes.items()]

    def _minute(self, minute: int) -> "_Minute":
        known = self._minutes.get(minute)
        if known is None:
            known = self._minutes[minute] = _Minute()
        return known


class _Steps(dict[Step, list[int]]):
    """What is counted of each step."""

    def __missing__(self, step: Step) -> list[int]:
        counts = self[step] = [0] * (_DURATIONS + BUCKETS_MAX)
        return counts


class _Minute:
    __slots__ = ("_steps", "counts_of", "events")

    def __init__(self) -> None:
        self.events = 0
        self._steps = _Steps()
        self.counts_of = self._steps.__getitem__

    def add(self, place: int, fact: type, event: Event, at_us: int, before: DocumentState | None) -> None:
        """An attempt that began or ended."""
        step = _DONE[fact] if place == _SUCCEEDED else getattr(event, "step")  # noqa: B009  typed by _PLACES
        counts = self._steps[step]
        counts[place] += 1
        if place == _STARTED or before is None or not is_open(before):
            return
        running = before.activity
        if type(running) is not Running or running.step is not step:
            return
        took_us = at_us - running.since_us
        if took_us < 1_000:  # with clocks that differ it may be less than nothing
            counts[_DURATIONS] += 1
            return
        took_ms = took_us // 1_000
        counts[_DURATIONS + (_SHORT[took_ms] if took_ms < SHORT_MS else bucket_of(took_us))] += 1
        counts[_DURATION_MS] += took_ms

    def row(self, minute: int) -> ThroughputRow:
        steps = (
            StepThroughput(
                step,
                counts[_STARTED],
                counts[_SUCCEEDED],
                counts[_RETRIED],
                counts[_FAILED],
                _trimmed(counts[_DURATIONS:]),
                counts[_DURATION_MS],
            )
            for step, counts in self._steps.items()
        )
        return ThroughputRow(minute, self.events, summed(steps))


_STARTED, _SUCCEEDED, _RETRIED, _FAILED, _DURATION_MS, _DURATIONS = range(6)

_DONE: Final[dict[type, Step]] = {
    d.DocumentFetched: Step.FETCH,
    d.DocumentParsed: Step.PARSE,
    d.DocumentChunked: Step.CHUNK,
    d.DocumentEmbedded: Step.EMBED,
    d.DocumentIndexed: Step.INDEX,
    d.DocumentErased: Step.ERASE,
    TaskFinished: Step.FINISH,
}


_PLACES: Final[dict[type, int]] = {
    d.StepStarted: _STARTED,
    d.StepFailed: _RETRIED,
    d.DocumentFailed: _FAILED,
    **dict.fromkeys(_DONE, _SUCCEEDED),
}
"""Where an event counts; those that are not done with a step name it themselves."""


def _sum(one: StepThroughput, other: StepThroughput) -> StepThroughput:
    return StepThroughput(
        one.step,
        one.started + other.started,
        one.succeeded + other.succeeded,
        one.retried + other.retried,
        one.failed + other.failed,
        tuple(a + b for a, b in zip_longest(one.durations, other.durations, fillvalue=0)),
        one.duration_ms + other.duration_ms,
    )


def _trimmed(counts: list[int]) -> tuple[int, ...]:
    while counts and counts[-1] == 0:
        counts.pop()
    return tuple(counts)
