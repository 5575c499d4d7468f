"""Fixtures of a whole service; a test module asks for them with `pytest_plugins = ("tests.servers.service",)`.

Types and functions come from `tests.servers.service_process`: a plugin must not be imported before pytest does it.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.service_process import ServiceProcess

LOG_CHARS_SHOWN = 20_000
"""Of the service's log, beside a test that failed."""


@pytest.fixture(scope="session")
def service() -> Iterator[ServiceProcess]:
    """One service for the session, with one worker; no test kills or stops any of it. At the end it has to stop well.

    A module that asks for it is named in `tests.scheduling`, so that a parallel run starts it once.
    """
    with tempfile.TemporaryDirectory(prefix="ms-service-") as directory:
        started = ServiceProcess(Path(directory) / "data", {"MILLSTREAM_WORKERS": "1"})
        started.start()
        try:
            yield started
            started.stop()
        finally:
            started.end()
            print(started.errors[-LOG_CHARS_SHOWN:], file=sys.stderr)


@pytest.fixture
def own_service(request: pytest.FixtureRequest) -> Iterator[ServiceProcess]:
    """A service, not started yet, that this test may kill, stop and start; its dead workers are noticed early.

    It has one worker (or what the test's parameter says), and a model that is there at once: the second worker and the
    local model take ten seconds of processor time at each start.
    """
    with tempfile.TemporaryDirectory(prefix="ms-service-") as directory:
        variables = {"MILLSTREAM_LEASE_S": "3", "MILLSTREAM_EMBEDDING": "hash", "MILLSTREAM_WORKERS": "1"}
        own = ServiceProcess(Path(directory) / "data", {**variables, **getattr(request, "param", {})})
        try:
            yield own
        finally:
            own.end()
            print(own.errors[-LOG_CHARS_SHOWN:], file=sys.stderr)
