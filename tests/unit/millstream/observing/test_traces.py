"""Traces: what is set wrong is said at start, and a collector that is away costs a stop no more than it may."""

import ast
import inspect
import socket
import time

import pytest

from events.steps import Step
from millstream.errors import ExitCode, Stop
from millstream.observing import traces as traces_module
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


async def test_without_a_collector_there_is_nothing_to_trace_with() -> None:
    async with opened_traces(Settings(), role="api", process="p") as traces:
        assert traces is None


def test_the_sdk_is_imported_when_it_is_needed_and_not_before() -> None:
    """It is an extra. redis-py imports some of it by itself, where it is installed."""
    tree = ast.parse(inspect.getsource(traces_module))
    imported = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imported
    assert [ast.unparse(node) for node in imported if "opentelemetry" in ast.unparse(node)] == []


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (Settings(otlp_url="otel:4318"), "MILLSTREAM_OTLP_URL"),
        (Settings(otlp_url="http://otel:4318", otlp_headers="key"), "MILLSTREAM_OTLP_HEADERS"),
        (Settings(otlp_url="http://otel:4318", otlp_headers="=value"), "MILLSTREAM_OTLP_HEADERS"),
    ],
)
async def test_what_is_set_wrong_is_said_at_start(settings: Settings, named: str) -> None:
    with pytest.raises(Stop, match=named) as refused:
        async with opened_traces(settings, role="api", process="p"):
            pass
    assert refused.value.exit_code is ExitCode.CONFIGURATION
    assert refused.value.hint


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
