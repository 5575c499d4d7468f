"""What every attempt works with; built once a worker."""

import asyncio
from collections.abc import Callable

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger

from domain.handle import Context
from events.ids import EventId
from events.inbox import Delivery, Inbox
from events.log import EventLog
from events.trace_context import trace_parent
from processors.observing import AttemptObserver, NobodyWatches
from processors.retry import RetryPolicy
from processors.watch import Watch


class Workbench(msgspec.Struct, frozen=True, kw_only=True):
    """`log` is patient (patience.py); `clock_us` is unix µs; `random` answers floats in [0, 1).

    Whoever has a last chance to prove that it does not kill workers has it while it holds `last_chance`.
    """

    log: EventLog
    inbox: Inbox
    worker: str
    clock_us: Callable[[], int]
    new_event_id: Callable[[], EventId]
    random: Callable[[], float]
    policy: RetryPolicy = RetryPolicy()
    watch: Watch = msgspec.field(default_factory=Watch)
    observer: AttemptObserver = msgspec.field(default_factory=NobodyWatches)
    last_chance: asyncio.Lock = msgspec.field(default_factory=asyncio.Lock)
    root_logger: FilteringBoundLogger = msgspec.field(default_factory=lambda: structlog.get_logger().bind())
    """Bound once: structlog builds a lazy one anew with each use, 4 µs an attempt."""

    def context(self, delivery: Delivery) -> Context:
        """For the envelopes that a delivery leads to: its task and trace, caused by its event."""
        return Context(
            clock_us=self.clock_us,
            new_event_id=self.new_event_id,
            correlation_id=delivery.correlation_id,
            causation_id=delivery.event_id,
            trace_parent=trace_parent(),
        )

    def logger(self, delivery: Delivery, *, attempt: int | None = None) -> FilteringBoundLogger:
        """A logger that names task, document, step and attempt on every line."""
        return self.root_logger.bind(
            task=delivery.correlation_id,
            document=delivery.stream_id,
            step=delivery.step.value,
            attempt=attempt,
            worker=self.worker,
        )
