"""What upkeep does where it cannot look: it says so, and when it will look again."""

import asyncio
import io
import json

import pytest

from blobs.errors import BlobStoreUnavailable
from millstream.upkeep import AFTER_TROUBLE_S, Upkeep
from tests.waiting import wait_until


class Fails(Upkeep):
    """Everything that a look would ask fails in one way."""

    def __init__(self, error: Exception) -> None:
        self.error, self.looks = error, 0

    async def look(self) -> None:
        self.looks += 1
        raise self.error


@pytest.mark.parametrize(
    ("error", "event"), [(BlobStoreUnavailable("away"), "upkeep_delayed"), (ZeroDivisionError(), "upkeep_broke")]
)
async def test_trouble_is_logged_with_the_time_of_the_next_look_and_a_stop_waits_for_none(
    error: Exception, event: str, log_lines: io.StringIO
) -> None:
    upkeep, stop = Fails(error), asyncio.Event()
    running = asyncio.create_task(upkeep.run(stop))
    await wait_until(lambda: event in log_lines.getvalue(), "it says what went wrong")
    stop.set()
    await asyncio.wait_for(running, AFTER_TROUBLE_S / 2)
    (said,) = [one for one in map(json.loads, log_lines.getvalue().splitlines()) if one["event"] == event]
    assert said["again_in_s"] == AFTER_TROUBLE_S
    assert upkeep.looks == 1
