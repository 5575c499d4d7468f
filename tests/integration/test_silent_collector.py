"""A collector that is away costs a stop no more than it may."""

import socket
import time

from events.steps import Step
from millstream.observing.traces import FLUSH_S_MAX, opened_traces
from millstream.settings import Settings
from processors.observing import Ended

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ATTEMPT = Ended(
    step=Step.PARSE,
    task="task",
    document="doc",
    number=1,
    worker="w",
    outcome="retry",
    code="time_limit",
    asked_us=1_000_000,
    began_us=2_000_000,
    ran_us=3_000_000,
    recorded_us=4_000_000,
    trace_parent=PARENT,
)


async def test_a_collector_that_takes_a_connection_and_says_nothing_holds_up_no_stop() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = Settings(otlp_url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        async with opened_traces(settings, role="worker", process="p") as traces:
            assert traces is not None
            for _ in range(100):
                traces.attempt(ATTEMPT)
            began_s = time.monotonic()
        # The machine may be busy; the SDK by itself would wait for five seconds and more.
        assert time.monotonic() - began_s < FLUSH_S_MAX + 3
