"""What every test run shares: how hard Hypothesis looks, and what a test reads of the log lines."""

import io
from collections.abc import Iterator

import pytest
from hypothesis import settings

# No deadline: on a machine that does something else besides, a slow example is no bug.
settings.register_profile("thorough", deadline=None)
settings.register_profile("quick", parent=settings.get_profile("thorough"), max_examples=25)
"""For `make test-unit`, which has to answer while one is still thinking of the change; `make test` looks four times as
hard (Hypothesis' own default of 100)."""
settings.load_profile("thorough")


@pytest.fixture
def log_lines() -> Iterator[io.StringIO]:
    """What this process logs during the test, as a machine reads it."""
    from tests.log_lines import logged

    with logged("json") as stream:
        yield stream
