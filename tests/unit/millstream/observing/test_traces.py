"""Traces: what is set wrong is said at start."""

import ast
import inspect

import pytest

from millstream.errors import ExitCode, Stop
from millstream.observing import traces as traces_module
from millstream.observing.traces import opened_traces
from millstream.settings import Settings


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
