"""The loop of one step in one worker: take what fits into free slots, carry it out, drain at the end.

What an outcome means is decided in attempt.py and errands.py, whose turn it is in turns.py, who is dead in
liveness.py; here deliveries only find a slot.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final, Protocol

import structlog

from events.envelope import Envelope
from events.errors import LogError, LogFull, LogUnavailable, NewerFacts
from events.inbox import Delivery, Handed, Inbox, InboxKey
from events.pointer import DOCUMENT_STEPS
from events.seldom import Seldom
from events.steps import Step
from processors.drain import finish_or_cancel
from processors.retry import RetryPolicy, after_outage
from processors.slots import leave_by
from processors.step import WorkerLost
from processors.turns import fair_turns, inboxes_in_turn
from processors.waiting import also_set, pause

TAKE_AGAIN: Final = RetryPolicy(base_s=0.1, cap_s=2.0)
"""While the inbox does not answer it is asked again, with jitter, at most some times a second."""

HOLD: Final = RetryPolicy(base_s=1.0, cap_s=300.0)
"""When a delivery that broke outside its attempt (a history that cannot be folded) is tried again."""

OWN_PENDING_MAX: Final = 10_000
"""What a worker can find in its own name at start: everything that it held, and more than it can hold."""

HELD_MAX: Final = 10_000
"""With so many deliveries in the hand that cannot be carried out now, no more are taken: others may fare better."""

TURNS_TO_BEGIN: Final = 3
"""Of the event loop before the inbox is asked again: in them what was just taken is folded and its begin put on its
way (the slot's task, the batch, its flight). Asking takes the process 0.2 ms and was ahead of each begin."""

GIVE_BACK_S: Final = 2.0
"""How long giving one delivery back may take; after that it is claimed by somebody after the lease."""


class CarryOut(Protocol):
    """What is done with a delivery: None when it is over, else the seconds until it shall be tried again."""

    async def carry_out(self, delivery: Delivery, tries: int, history: list[Envelope] | None = None, /) -> float | None:
        """`tries` counts from 1 in this process. `history` came along with the delivery, just now."""
        ...


class Runner:
    """Serves one step. `slots` deliveries are carried out at a time; `partitions` is the log's.

    `told` is shared by the runners of a worker.
    """

    def __init__(
        self,
        step: Step,
        carry_out: CarryOut,
        inbox: Inbox,
        *,
        consumer: str,
        partitions: int,
        slots: int,
        take_wait_ms: int,
        random: Callable[[], float],
        told: Seldom | None = None,
    ) -> None:
        self.step = step
        self._carry_out = carry_out
        self._inbox = inbox
        self._consumer = consumer
        self._partitions = partitions
        self._slots = slots
        self._take_wait_ms = take_wait_ms
        self._random = random
        self._told = told or Seldom()
        self._waiting: deque[Delivery] = deque()
        self._held: dict[Delivery, asyncio.TimerHandle] = {}
        self._tries: dict[Delivery, int] = {}
        self._running: dict[asyncio.Task[None], Delivery] = {}
        self._without_slot: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._is_stopping = False
        self._may_miss_own = True
        self._failures = 0

    @property
    def free_slots(self) -> int:
        """How many more deliveries can be carried out at once."""
        if len(self._held) >= HELD_MAX:
            return 0
        return max(0, self._slots - self._in_slots - len(self._waiting))

    @property
    def _in_slots(self) -> int:
        return len(self._running) - len(self._without_slot)

    @property
    def inboxes(self) -> list[InboxKey]:
        return inboxes_in_turn(self.step, self._partitions, 0)

    async def run(self, stop: asyncio.Event, drain_s: float) -> None:
        """Serves until `stop`, then drains: afterwards nothing is in this runner's hands."""
        sweep = 0
        try:
            async with also_set(stop, self._changed):
                while not stop.is_set():
                    if self._may_miss_own:
                        await self._take_up_own(stop)
                        continue
                    if self.free_slots == 0:
                        self._changed.clear()
                        if not stop.is_set():
                            await self._changed.wait()
                        continue
                    taken = await self._take(stop, sweep)
                    # What arrives together with the stop is given back, not begun.
                    self._is_stopping = stop.is_set()
                    histories = {one.delivery: one.history for one in taken if one.history is not None}
                    self.begin([one.delivery for one in taken], histories)
                    sweep += 1
                    for _ in range(TURNS_TO_BEGIN if taken else 0):
                        await asyncio.sleep(0)
        finally:
            await self._drain(drain_s)

    def look_for_own(self) -> None:
        """What is pending in this worker's name and not in its hands is taken up before anything else is."""
        self._may_miss_own = True
        self._changed.set()

    def begin(
        self, deliveries: Iterable[Delivery], histories: Mapping[Delivery, list[Envelope]] = MappingProxyType({})
    ) -> None:
        """Takes deliveries over from the inbox; those that are in hand already are in hand.

        `histories` came along. They are as old as the take: what has to wait for a slot reads its own.
        """
        new = [one for one in deliveries if one not in self._tries]
        for delivery in fair_turns(new) if len(new) > 1 else new:
            self._tries[delivery] = 0
            self._waiting.append(delivery)
        self._start_waiting(histories)

    def _start_waiting(self, histories: Mapping[Delivery, list[Envelope]] = MappingProxyType({})) -> None:
        while self._waiting and self._in_slots < self._slots and not self._is_stopping:
            delivery = self._waiting.popleft()
            task = asyncio.create_task(self._occupy_slot(delivery, histories.get(delivery)))
            self._running[task] = delivery
            task.add_done_callback(self._free_slot)

    def _free_slot(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._without_slot.discard(task)
        self._start_waiting()
        self._changed.set()

    def _leave_slot(self, task: asyncio.Task[None] | None) -> None:
        if task in self._running:
            self._without_slot.add(task)
            self._start_waiting()
            self._changed.set()

    async def _occupy_slot(self, delivery: Delivery, history: list[Envelope] | None) -> None:
        leave_by.set(partial(self._leave_slot, asyncio.current_task()))
        # Whatever is logged meanwhile, by libraries too, says what it was for; the context is this task's.
        structlog.contextvars.bind_contextvars(
            task=delivery.correlation_id, document=delivery.stream_id, step=self.step.value
        )
        tries = self._tries[delivery] = self._tries[delivery] + 1
        try:
            again_s = await self._carry_out.carry_out(delivery, tries, history)
        except NewerFacts as error:
            structlog.get_logger().warning(
                "delivery_for_newer_program",
                task=delivery.correlation_id,
                document=delivery.stream_id,
                step=self.step.value,
                reason=str(error),
            )
            await self._give_back(delivery)
            again_s = None
        except WorkerLost:
            await self._give_back(delivery)
            again_s = None
        except Exception as error:
            again_s = after_outage(HOLD, tries, None, self._random())
            logger = structlog.get_logger().bind(
                task=delivery.correlation_id, document=delivery.stream_id, step=self.step.value, attempt=tries
            )
            if isinstance(error, LogUnavailable | LogFull):
                logger.warning("delivery_held", error=type(error).__name__, again_s=round(again_s, 3))
            else:
                logger.exception("delivery_held", again_s=round(again_s, 3))
        if again_s is None:
            del self._tries[delivery]
        else:
            self._hold(delivery, again_s)

    def _hold(self, delivery: Delivery, again_s: float) -> None:
        """Keeps a delivery without occupying a slot; the heartbeat keeps it ours."""

        def resume() -> None:
            del self._held[delivery]
            self._waiting.append(delivery)
            self._start_waiting()
            self._changed.set()

        self._held[delivery] = asyncio.get_running_loop().call_later(again_s, resume)

    async def _take_up_own(self, stop: asyncio.Event) -> None:
        """What an earlier run under the same name, or a take or claim without an answer, left behind."""
        self._may_miss_own = False
        try:
            own = await self._inbox.mine(self.inboxes, consumer=self._consumer, count=OWN_PENDING_MAX)
        except (LogUnavailable, LogFull) as error:
            await self._wait_for_inbox(stop, error)
            return
        self._failures = 0
        self._is_stopping = stop.is_set()
        self.begin(own)

    async def _take(self, stop: asyncio.Event, sweep: int) -> list[Handed]:
        inboxes, count = inboxes_in_turn(self.step, self._partitions, sweep), self.free_slots or 1
        consumer, wait_ms = self._consumer, self._take_wait_ms
        try:
            if self.step in DOCUMENT_STEPS:
                taken = await self._inbox.take_with_histories(inboxes, consumer=consumer, count=count, wait_ms=wait_ms)
            else:
                found = await self._inbox.take(inboxes, consumer=consumer, count=count, wait_ms=wait_ms)
                taken = [Handed(one, None) for one in found]
        except (LogUnavailable, LogFull) as error:
            await self._wait_for_inbox(stop, error)
            return []
        self._failures = 0
        return taken

    async def _wait_for_inbox(self, stop: asyncio.Event, error: LogError) -> None:
        self._failures += 1
        # The reply may be what was lost: what it gave us is nobody else's to find as long as we live.
        self._may_miss_own = True
        delay_s = after_outage(TAKE_AGAIN, self._failures, None, self._random())
        # One line an outage, not one a try, nor one a step where the outage comes and goes.
        if self._failures == 1 and (kept_back := self._told.due()) is not None:
            structlog.get_logger().warning(
                "inbox_unavailable", step=self.step.value, reason=str(error), kept_back=kept_back
            )
        await pause(stop, delay_s)

    async def _drain(self, drain_s: float) -> None:
        self._is_stopping = True
        for timer in self._held.values():
            timer.cancel()
        unbegun = [*self._waiting, *self._held]
        self._waiting.clear()
        self._held.clear()
        await asyncio.gather(*(self._give_back(delivery) for delivery in unbegun))
        running = dict(self._running)
        cancelled = await finish_or_cancel(running, drain_s)
        for timer in self._held.values():
            timer.cancel()
        late = [*(running[task] for task in cancelled), *self._waiting, *self._held]
        await asyncio.gather(*(self._give_back(delivery) for delivery in late))
        structlog.get_logger().info(
            "step_drained", step=self.step.value, cancelled=len(cancelled), given_back=len(unbegun) + len(late)
        )

    async def _give_back(self, delivery: Delivery) -> None:
        try:
            async with asyncio.timeout(GIVE_BACK_S):
                await self._inbox.release(delivery, consumer=self._consumer)
        except (LogError, TimeoutError) as error:
            structlog.get_logger().warning(
                "delivery_not_given_back",
                task=delivery.correlation_id,
                document=delivery.stream_id,
                step=self.step.value,
                error=type(error).__name__,
            )
