"""What goes wrong with a fold of everything ends as a line that says what to do, never as a traceback."""

import pytest

from events.errors import ArchiveRefused, EntriesArchived, LogError, LogFull, LogUnavailable, SegmentDamaged
from millstream.errors import ExitCode, Stop
from millstream.replay_partition import replay_troubles
from millstream.settings import Settings
from projections.errors import RebuildRefused


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (SegmentDamaged("1.seg", "its hash differs", offset=7), ExitCode.DAMAGED),
        (EntriesArchived("9-0"), ExitCode.USAGE),
        (RebuildRefused("another rebuild holds the lease"), ExitCode.FAILED_WORK),
        (ArchiveRefused("somebody else archives"), ExitCode.FAILED_WORK),
        (LogUnavailable("Redis did not answer"), ExitCode.UNREACHABLE),
        (LogFull("Redis refuses writes, its memory is full"), ExitCode.UNREACHABLE),
    ],
)
async def test_each_trouble_says_what_and_what_to_do(error: LogError | RebuildRefused, exit_code: ExitCode) -> None:
    with pytest.raises(Stop) as stopped:
        async with replay_troubles(Settings(redis_url="redis://127.0.0.1")):
            raise error
    assert str(error) in stopped.value.what
    assert stopped.value.hint
    assert stopped.value.exit_code is exit_code
