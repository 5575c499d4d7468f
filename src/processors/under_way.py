"""What one worker has in its hands of what will be indexed soon, told by whoever carries it out."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from events.envelope import Envelope
from events.inbox import Delivery
from events.steps import Step
from processors.observing import AttemptObserver, Ended, ErrandEnded
from processors.runner import CarryOut

STEPS_BEFORE: Final = frozenset({Step.PARSE, Step.CHUNK, Step.EMBED})
"""Whose documents come to the index soon. Fetching waits for strangers, who may take an hour."""

STEPS_BEHIND_ANOTHER: Final = frozenset({Step.CHUNK, Step.EMBED, Step.INDEX})
"""Due when the one before has ended, which parsing is not: the inbox of a large upload is no measure."""

HANDED_ON_S: Final = 0.05
HANDED_ON_S_MAX: Final = 0.25
"""How long a document is expected at its next step, which another worker may have taken over: twice as long as that
took of late, within these bounds. It is 5 ms on an idle machine and 200 on a busy one. Who sends one document after the
other has four such steps between two, so that the last one is not waited for."""

SMOOTHING: Final = 0.2
"""Weight of the newest measurement."""


class UnderWay:
    """An `AttemptObserver` that learns what is handed on, and passes on to another what it is told."""

    def __init__(self, told: AttemptObserver, *, handed_on_s: float = HANDED_ON_S) -> None:
        self._told = told
        self._handed_on_s = handed_on_s
        self._hop_s = 0.0
        self._before = 0
        self._indexing = 0
        self._handed_on: dict[str, asyncio.TimerHandle] = {}
        self._listeners: list[Callable[[], None]] = []

    @property
    def documents(self) -> int:
        """Documents at the index, in the steps before, or between two of these."""
        return self._before + self._indexing + len(self._handed_on)

    def on_fewer(self, listener: Callable[[], None]) -> None:
        """Calls `listener` whenever there may be fewer."""
        self._listeners.append(listener)

    @contextmanager
    def in_hand(self, step: Step, document: str) -> Iterator[None]:
        """A delivery is this worker's, from before its history is read: at load that and the append that begins the
        attempt take as long as parsing."""
        self.arrived(document)
        self._count(step, 1)
        try:
            yield
        finally:
            self._count(step, -1)
            self._tell()

    def arrived(self, document: str) -> None:
        """It is counted where it is."""
        if (expected := self._handed_on.pop(document, None)) is not None:
            expected.cancel()

    def began(self, step: Step) -> None:
        self._told.began(step)

    def ended(self, attempt: Ended) -> None:
        self.arrived(attempt.document)
        if attempt.step in STEPS_BEHIND_ANOTHER:
            hop_s = max(0, attempt.began_us - attempt.asked_us) / 1_000_000
            self._hop_s += SMOOTHING * (min(hop_s, HANDED_ON_S_MAX) - self._hop_s)
        if attempt.step in STEPS_BEFORE:
            loop, document = asyncio.get_running_loop(), attempt.document
            self._handed_on[document] = loop.call_later(self.expected_s, self._expect_no_more, document)
        self._told.ended(attempt)

    def left(self, step: Step) -> None:
        self._told.left(step)

    def errand_ended(self, errand: ErrandEnded) -> None:
        self._told.errand_ended(errand)

    @property
    def expected_s(self) -> float:
        """How long a document that was handed on is expected."""
        return max(self._handed_on_s, min(2 * self._hop_s, HANDED_ON_S_MAX))

    def _count(self, step: Step, more: int) -> None:
        if step in STEPS_BEFORE:
            self._before += more
        elif step is Step.INDEX:
            self._indexing += more

    def _expect_no_more(self, document: str) -> None:
        del self._handed_on[document]
        self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


class CountedDeliveries:
    """Deliveries of one step, counted while another carries them out."""

    def __init__(self, step: Step, deliveries: CarryOut, under_way: UnderWay) -> None:
        self._step = step
        self._deliveries = deliveries
        self._under_way = under_way

    async def carry_out(self, delivery: Delivery, tries: int, history: list[Envelope] | None = None) -> float | None:
        """As the other one."""
        with self._under_way.in_hand(self._step, delivery.stream_id):
            return await self._deliveries.carry_out(delivery, tries, history)
