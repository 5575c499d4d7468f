"""Whether a Redis and a blob store belong together."""

import msgspec
import pytest

from blobs.memory import MemoryBlobStore
from events.redis_restore import StoredInstallation
from millstream.errors import ExitCode, Stop
from millstream.marker import MARKER_KEY, BlobsSeen, Marker, read_marker, what_is_wrong

OURS = Marker(format=1, installation_id="ours", partitions=8, redis_format=1)
THEIRS = msgspec.structs.replace(OURS, installation_id="theirs")
KNOWN = StoredInstallation("ours", is_marked=True)
UNMARKED = StoredInstallation("ours", is_marked=False)


@pytest.mark.parametrize(
    ("stored", "seen"),
    [
        (None, BlobsSeen(None)),
        (KNOWN, BlobsSeen(OURS)),
        (UNMARKED, BlobsSeen(OURS)),
        (UNMARKED, BlobsSeen(None)),
        (UNMARKED, BlobsSeen(None, has_blobs=True)),
    ],
    ids=["first start", "both known", "mark not noted", "older release", "older release with blobs"],
)
def test_what_belongs_together_may_start(stored: StoredInstallation | None, seen: BlobsSeen) -> None:
    assert what_is_wrong(stored, seen) is None


@pytest.mark.parametrize(
    ("stored", "seen", "word", "restores"),
    [
        (None, BlobsSeen(OURS), "ours", True),
        (None, BlobsSeen(None, has_blobs=True), "documents", True),
        (KNOWN, BlobsSeen(THEIRS), "theirs", False),
        (UNMARKED, BlobsSeen(THEIRS), "theirs", False),
        (KNOWN, BlobsSeen(None), "none", False),
    ],
    ids=["redis lost", "redis lost, no marker", "other blobs", "other blobs, unmarked", "blobs lost"],
)
def test_what_does_not_is_refused_with_what_to_do(
    stored: StoredInstallation | None, seen: BlobsSeen, word: str, restores: bool
) -> None:
    wrong = what_is_wrong(stored, seen)
    assert wrong is not None
    assert wrong.exit_code is ExitCode.CONFIGURATION
    assert word in wrong.what
    assert ("millstream restore" in wrong.hint) is restores


async def test_a_marker_that_cannot_be_read_stops_the_line() -> None:
    blobs = MemoryBlobStore()
    assert await read_marker(blobs) is None
    await blobs.put(MARKER_KEY, msgspec.json.encode(OURS))
    assert await read_marker(blobs) == OURS
    await blobs.put(MARKER_KEY, msgspec.json.encode(msgspec.structs.replace(OURS, format=2)))
    with pytest.raises(Stop, match="format 2"):
        await read_marker(blobs)
    await blobs.put(MARKER_KEY, b"{")
    with pytest.raises(Stop, match="cannot be read"):
        await read_marker(blobs)
