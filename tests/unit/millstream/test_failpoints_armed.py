"""Failpoints in a process of the service: only where they are asked for, never in production."""

from collections.abc import Iterator

import pytest

from events.failpoints import FailpointReached, Failpoints, Place, arm, failpoint
from millstream.errors import ExitCode, Stop
from millstream.roles import arm_failpoints
from millstream.settings import Settings


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    arm(Failpoints())


def test_a_process_fails_where_its_settings_say() -> None:
    arm_failpoints(Settings(failpoints="worker.parsed=raise"))
    with pytest.raises(FailpointReached):
        failpoint(Place.WORKER_PARSED)


def test_nothing_is_armed_by_default() -> None:
    arm_failpoints(Settings())
    for place in Place:
        failpoint(place)
    assert Settings().failpoints == ""


@pytest.mark.parametrize(
    "settings",
    [Settings(failpoints="worker.parsed=raise", production=True), Settings(failpoints="worker.parsed=explode")],
    ids=["production", "no such action"],
)
def test_a_process_refuses_to_start_with(settings: Settings) -> None:
    with pytest.raises(Stop) as refused:
        arm_failpoints(settings)
    assert refused.value.exit_code is ExitCode.CONFIGURATION
