"""What the tests of faults share: a mill, and the table at the end.

A test that kills revives; one that leaves the mill unlike it found it makes a Mill of its own.
"""

from collections.abc import Generator, Iterator

import pytest

from tests.faults.history import History
from tests.faults.mill import Mill
from tests.faults.results import write_table
from tests.scheduling import SHARE_A_MILL, last_of

_last: list[pytest.Item] = []
_running: list[Mill] = []
"""The session's mill, while it runs."""


def pytest_collection_finish(session: pytest.Session) -> None:
    _last[:] = last_of(session.items, SHARE_A_MILL)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    yield
    while item in _last and _running:
        _running.pop().end()


@pytest.fixture(scope="session")
def mill() -> Iterator[Mill]:
    """Redis, API, projector and two workers that are up; each test makes a knowledge base of its own.

    A module that asks for it is named in `tests.scheduling`, so that a parallel run starts it once.
    """
    with Mill() as started:
        _running.append(started.start_all())
        yield started
        _running.clear()


@pytest.fixture
def history(mill: Mill) -> Iterator[History]:
    """A client of the mill."""
    with History(mill.url) as client:
        yield client


def pytest_sessionfinish() -> None:
    """The rows of this process and of all others so far."""
    write_table()
