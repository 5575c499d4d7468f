"""Resumable uploads whose clients never came back: complete ones become tasks, the others expire, their pieces go."""

from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from blobs.errors import BlobError
from domain.errors import Contention, Refused
from events.errors import InvalidId, LogError
from ingest.piece_writer import UPLOADS_PREFIX, upload_of
from ingest.problems import ProblemCode, Rejected
from ingest.resumable_finish import end, finish
from ingest.services import IngestServices
from ingest.upload_registry import Ended, Upload

PAGE_UPLOADS: Final = 100
AGAIN_US: Final = 60_000_000
"""What could not be finished, because a store is away or somebody is at it, is looked at again after so long."""

EXPIRED: Final = Ended(ProblemCode.UPLOAD_EXPIRED, "The upload has waited too long for its next byte; begin anew.")

_log = structlog.get_logger()


class TendedUploads(msgspec.Struct, frozen=True, kw_only=True):
    """How many were looked at, and what became of them."""

    looked_at: int = 0
    finished: int = 0
    expired: int = 0


async def tend_uploads(services: IngestServices) -> TendedUploads:
    """Looks at those that are due. One that fails is due again later. Raises what the registry raises."""
    tended = TendedUploads()
    while due := await services.uploads.due(services.clock_us(), PAGE_UPLOADS):
        for upload_id in due:
            before = await services.uploads.get(upload_id)
            if before is None:
                await services.uploads.forget(upload_id, None)
                continue
            after = await _tended(services, before)
            tended = TendedUploads(
                looked_at=tended.looked_at + 1,
                finished=tended.finished + (after.is_finished and not before.is_finished),
                expired=tended.expired + (after.outcome == EXPIRED),
            )
    return tended


async def _tended(services: IngestServices, upload: Upload) -> Upload:
    about, now_us = upload.about, services.clock_us()
    # First of all: whoever dies on the way leaves it to be looked at again.
    await services.uploads.look_at(about.upload_id, about.actor, max(now_us + AGAIN_US, upload.expires_us))
    if upload.is_expired(now_us):
        return await end(services, upload, EXPIRED)
    if upload.outcome is not None:
        await services.uploads.forget(about.upload_id, about.actor)
        return upload
    if not upload.is_ready:
        return upload
    await services.uploads.look_at(about.upload_id, about.actor, now_us + AGAIN_US)
    try:
        return await finish(services, upload)
    except (Rejected, Refused, InvalidId) as error:
        _log.info("upload_ended", upload=about.upload_id, reason=str(error))
    except (BlobError, LogError, Contention) as error:
        _log.warning("upload_waits", upload=about.upload_id, error=type(error).__name__, reason=str(error))
    return upload


class CollectedPieces(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one look at all pieces; with `dry_run` nothing was deleted."""

    pieces: int = 0
    orphans: int = 0
    orphan_bytes: int = 0


async def collect_pieces(
    services: IngestServices, *, as_of: datetime, grace: timedelta, dry_run: bool
) -> CollectedPieces:
    """Deletes what was stored before the grace period and is no piece of an upload that is still open.

    Raises what registry and blob store raise.
    """
    pieces = orphans = orphan_bytes = 0
    recorded: tuple[str, frozenset[str]] = "", frozenset()
    async for info in services.blobs.list(UPLOADS_PREFIX):
        pieces += 1
        if as_of - info.modified_at <= grace:
            continue
        upload_id = upload_of(info.key)
        if recorded[0] != upload_id:
            recorded = upload_id, frozenset(piece.key for piece in await services.uploads.pieces(upload_id))
        if info.key not in recorded[1]:
            orphans, orphan_bytes = orphans + 1, orphan_bytes + info.size_bytes
            if not dry_run:
                await services.blobs.delete(info.key)
    return CollectedPieces(pieces=pieces, orphans=orphans, orphan_bytes=orphan_bytes)
