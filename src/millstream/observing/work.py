"""Attempts of a worker and commits of a projector as metrics and, where they are traced, as spans."""

from collections.abc import Callable, Sequence
from typing import Protocol

from events.envelope import Envelope
from events.log import Unreadable
from events.steps import Step
from millstream.observing import catalogue
from millstream.observing.registry import Registry
from processors.observing import Ended, ErrandEnded


class Tracing(Protocol):
    """`traces.Traces`, or nothing at all."""

    def attempt(self, attempt: Ended) -> None: ...

    def errand(self, errand: ErrandEnded) -> None: ...

    def commit(self, partition: int, page: Sequence[Envelope | Unreadable], began_us: int, ended_us: int) -> None: ...


class MeasuredAttempts:
    """`processors.observing.AttemptObserver`."""

    def __init__(self, figures: Registry, traces: Tracing | None = None) -> None:
        self._figures = figures
        self._traces = traces

    def began(self, step: Step) -> None:
        self._figures.add(catalogue.ATTEMPTS_RUNNING, 1, step.value)

    def left(self, step: Step) -> None:
        self._figures.add(catalogue.ATTEMPTS_RUNNING, -1, step.value)

    def ended(self, attempt: Ended) -> None:
        step, figures = attempt.step.value, self._figures
        figures.add(catalogue.ATTEMPTS, 1, step, attempt.outcome, attempt.code or "")
        figures.observe(catalogue.QUEUE_SECONDS, _seconds(attempt.asked_us, attempt.began_us), step)
        figures.observe(catalogue.RUN_SECONDS, _seconds(attempt.began_us, attempt.ran_us), step)
        figures.observe(catalogue.RECORD_SECONDS, _seconds(attempt.ran_us, attempt.recorded_us), step)
        if self._traces is not None:
            self._traces.attempt(attempt)

    def errand_ended(self, errand: ErrandEnded) -> None:
        if self._traces is not None:
            self._traces.errand(errand)


class MeasuredCommits:
    """`projections.observing.CommitObserver`. `clock_us` is unix µs."""

    def __init__(self, figures: Registry, clock_us: Callable[[], int], traces: Tracing | None = None) -> None:
        self._figures = figures
        self._clock_us = clock_us
        self._traces = traces

    def begins(self) -> int:
        return self._clock_us()

    def committed(self, partition: int, page: Sequence[Envelope | Unreadable], began_us: int) -> None:
        now_us, figures = self._clock_us(), self._figures
        figures.add(catalogue.COMMITS)
        figures.add(catalogue.PROJECTED, len(page))
        figures.observe(catalogue.COMMIT_SECONDS, _seconds(began_us, now_us))
        if (appended := page[0].position) is not None:
            # By the log's clock. What an event says itself is when it came to pass: a small document's are appended
            # when it has gone through all steps, a second of its model later.
            figures.observe(catalogue.VISIBLE_SECONDS, _seconds(appended.ms * 1_000, now_us))
        if self._traces is not None:
            self._traces.commit(partition, page, began_us, now_us)


def _seconds(from_us: int, until_us: int) -> float:
    """Clocks of two machines may disagree: no time is negative."""
    return max(until_us - from_us, 0) / 1_000_000
