"""What every test run shares: how hard Hypothesis looks, who runs what, and what a test reads of the log lines."""

import gc
import io
import sys
from collections.abc import Generator, Iterator
from typing import Any, Final

import pytest
import structlog
from hypothesis import settings

# No deadline: on a machine that does something else besides, a slow example is no bug.
settings.register_profile("thorough", deadline=None)
settings.register_profile("quick", parent=settings.get_profile("thorough"), max_examples=10)
"""For `make test-unit`, which has to answer while one is still thinking of the change; `make test` looks ten times as
hard (Hypothesis' own default of 100)."""
settings.load_profile("thorough")

structlog.configure(
    processors=[
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
        if isinstance(one, structlog.dev.ConsoleRenderer)
        else one
        for one in structlog.get_config()["processors"]
    ]
)
"""What is logged without a configuration of ours. By default tracebacks show every local variable, at 100 ms each."""

IMPORTED_WHEN_NEEDED: Final = {"agno", "lancedb", "llama_index", "mcp", "qdrant_client", "schemathesis", "xberg"}
"""Half a second or more each: a test that needs one imports it; a module would let every process of every run pay."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays: looking for garbage among it was a tenth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Fails the run where something heavy was imported. Modules and tests that were collected stay to the end: without
    them a collection of all garbage, of which a run has thirty, is a tenth of its time."""
    loaded = sorted(IMPORTED_WHEN_NEEDED & set(sys.modules))
    if loaded:
        raise pytest.UsageError(f"a test module imports {', '.join(loaded)} while it is collected, not in a test")
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """For `--dist loadfile`; None leaves any other to pytest-xdist."""
    from tests.scheduling import ByFileAndServers

    return ByFileAndServers(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture
def log_lines() -> Iterator[io.StringIO]:
    """What this process logs during the test, as a machine reads it."""
    from tests.log_lines import logged

    with logged("json") as stream:
        yield stream
