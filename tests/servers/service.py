"""Fixtures of a whole service; a test module asks for them with `pytest_plugins = ("tests.servers.service",)`.

Types and functions come from `tests.servers.service_process`: a plugin must not be imported before pytest does it.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.service_process import ServiceProcess


@pytest.fixture(scope="session")
def service() -> Iterator[ServiceProcess]:
    """One service for the session; no test kills or stops any of it. At the end it has to stop well."""
    with tempfile.TemporaryDirectory(prefix="ms-service-") as directory:
        started = ServiceProcess(Path(directory) / "data")
        started.start()
        try:
            yield started
            started.stop()
        finally:
            started.end()


@pytest.fixture
def own_service() -> Iterator[ServiceProcess]:
    """A service, not started yet, that this test may kill, stop and start."""
    with tempfile.TemporaryDirectory(prefix="ms-service-") as directory:
        own = ServiceProcess(Path(directory) / "data")
        try:
            yield own
        finally:
            own.end()
