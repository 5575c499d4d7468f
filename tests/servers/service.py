"""Fixtures of a whole service; a test module asks for them with `pytest_plugins = ("tests.servers.service",)`.

Types and functions come from `tests.servers.service_process`: a plugin must not be imported before pytest does it.
"""

import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.scheduling import SHARE_A_SERVICE, last_of
from tests.servers.service_process import LOG_CHARS_SHOWN, ServiceProcess

_last: list[pytest.Item] = []
_running: list[ServiceProcess] = []
"""The session's service, while it runs."""


def pytest_collection_finish(session: pytest.Session) -> None:
    _last[:] = last_of(session.items, SHARE_A_SERVICE)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Behind its last test the service has to stop well; that it does not is that test's error."""
    yield
    while item in _last and _running:
        _running.pop().stop()


@pytest.fixture(scope="session")
def service() -> Iterator[ServiceProcess]:
    """One service for the session, with one worker; no test kills or stops any of it.

    A module that asks for it is named in `tests.scheduling`, so that a parallel run starts it once.
    """
    with tempfile.TemporaryDirectory(prefix="ms-service-") as directory:
        started = ServiceProcess(Path(directory) / "data", {"MILLSTREAM_WORKERS": "1"})
        started.start()
        _running.append(started)
        try:
            yield started
        finally:
            _running.clear()
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
