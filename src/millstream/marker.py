"""The marker of an installation among its blobs: whose they are, so that no other Redis is taken for theirs.

It is written at first start. A Redis that lost everything looks like a new one; beside blobs with a marker it is
refused, since new uploads into it would hide that everything before is gone.
"""

from typing import Final

import msgspec
import structlog

from blobs.errors import BlobError, BlobMissing
from blobs.store import BlobStore
from events.keys import Keys
from events.redis_clients import Clients
from events.redis_restore import StoredInstallation, note_marked, stored_installation
from events.redis_setup import FORMAT_BY_NAME
from millstream.errors import ExitCode, Stop

MARKER_KEY: Final = "installation.json"
FORMAT: Final = 1
OURS: Final = ("documents/", "archive/")
"""Where an installation that never wrote a marker keeps its blobs."""

RESTORE_HINT: Final = (
    "`millstream restore` brings back what the archive and the blobs hold; "
    "or name the Redis (or the data directory) that belongs to these blobs"
)

_log = structlog.get_logger()


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """Lies under `installation.json`."""

    format: int
    installation_id: str
    partitions: int
    redis_format: int
    """With which every installation begins. Redis knows what became of it since."""


class BlobsSeen(msgspec.Struct, frozen=True):
    """What was found: the marker, and whether there are blobs of ours where there is none."""

    marker: Marker | None
    has_blobs: bool = False


def what_is_wrong(stored: StoredInstallation | None, seen: BlobsSeen) -> Stop | None:
    """Whether this Redis and these blobs belong together; None where they do, or where both are new."""
    marker = seen.marker
    if stored is None:
        if marker is not None:
            what = f"Redis is empty, but the blob store belongs to installation {marker.installation_id}"
        elif seen.has_blobs:
            what = "Redis is empty, but the blob store holds documents"
        else:
            return None
        return Stop(f"{what}: its events are gone", hint=RESTORE_HINT, exit_code=ExitCode.CONFIGURATION)
    if marker is None:
        if not stored.is_marked:
            return None
        what = (
            f"Redis belongs to installation {stored.installation_id}, the blob store to none: it is another, or empty"
        )
    elif marker.installation_id != stored.installation_id:
        what = f"Redis belongs to installation {stored.installation_id}, the blob store to {marker.installation_id}"
    else:
        return None
    return Stop(what, hint="correct MILLSTREAM_REDIS_URL or MILLSTREAM_BLOBS_URL", exit_code=ExitCode.CONFIGURATION)


async def check_marker(clients: Clients, blobs: BlobStore) -> bool:
    """Whether the marker is still to be written. Raises Stop that says what to do, and LogUnavailable.

    A blob store that does not answer stops nobody whose Redis knows its installation. Roles that start at the same time
    make an installation between one look and the next: what seems wrong is looked at again, and the marker, which is
    written last, is read first.
    """
    wrong, is_to_be_written = await _look(clients, blobs)
    if wrong is not None:
        wrong, is_to_be_written = await _look(clients, blobs)
    if wrong is not None:
        raise wrong
    return is_to_be_written


async def _look(clients: Clients, blobs: BlobStore) -> tuple[Stop | None, bool]:
    try:
        marker = await read_marker(blobs)
        stored = await stored_installation(clients.commands)
        has_blobs = marker is None and stored is None and await _has_blobs(blobs)
    except BlobError as error:
        if await stored_installation(clients.commands) is not None:
            _log.warning("marker_not_read", error=str(error))
            return None, False
        raise Stop(
            f"the blob store does not answer: {error}",
            hint="without it nobody can tell whether this is a first start; see `millstream doctor`",
            exit_code=ExitCode.UNREACHABLE,
        ) from None
    is_to_be_written = marker is None or (stored is not None and not stored.is_marked)
    return what_is_wrong(stored, BlobsSeen(marker, has_blobs)), is_to_be_written


async def put_marker(clients: Clients, keys: Keys, blobs: BlobStore) -> None:
    """Marks the blobs as this installation's; what is there already stays the same. Raises LogUnavailable."""
    stored = await stored_installation(clients.commands)
    assert stored is not None  # noqa: S101  the caller has opened it
    marker = Marker(
        format=FORMAT,
        installation_id=stored.installation_id,
        partitions=keys.partitions,
        redis_format=FORMAT_BY_NAME,
    )
    try:
        await blobs.put(MARKER_KEY, msgspec.json.encode(marker))
    except BlobError as error:
        _log.warning("marker_not_written", error=str(error))  # the next start writes it
        return
    await note_marked(clients.commands, keys)


async def read_marker(blobs: BlobStore) -> Marker | None:
    """Raises Stop for one of a newer program, and what the blob store raises."""
    try:
        content = await blobs.get(MARKER_KEY)
    except BlobMissing:
        return None
    try:
        marker = msgspec.json.decode(content, type=Marker)
    except msgspec.DecodeError as error:
        raise Stop(
            f"{MARKER_KEY} in the blob store cannot be read: {error}",
            hint="put it back from a copy, or name another blob store",
            exit_code=ExitCode.CONFIGURATION,
        ) from None
    if marker.format != FORMAT:
        raise Stop(
            f"{MARKER_KEY} has format {marker.format}, this program knows format {FORMAT}",
            hint="start the version of millstream that wrote it",
            exit_code=ExitCode.CONFIGURATION,
        )
    return marker


async def _has_blobs(blobs: BlobStore) -> bool:
    for prefix in OURS:
        async for _ in blobs.list(prefix):
            return True
    return False
