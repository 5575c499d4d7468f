"""A resumable upload that has all its bytes becomes a task: pieces, source, sidecar, append.

Whoever asks last may have died at any point of it, so all of it may be done again, by the client's next request or by
upkeep: the task's id follows from the upload's, and what a broken-off attempt stored is an orphan.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog

from blobs.errors import BlobError, BlobMissing
from blobs.store import BlobRef
from domain.errors import Refused
from domain.sidecar import source_key
from events.errors import InvalidId, LogError
from events.failpoints import Place, failpoint
from events.ids import TaskId, derived_task_id, document_id
from ingest.knowledge_bases import while_active
from ingest.multipart import StoredFile
from ingest.piece_writer import pieces_prefix
from ingest.problems import ProblemCode, Rejected
from ingest.services import IngestServices
from ingest.submit import Submission, submit
from ingest.unclaimed import UnclaimedBlobs
from ingest.upload_metadata import Described, described
from ingest.upload_registry import Ended, Finished, Outcome, Piece, Upload, UploadKind
from knowledge.media_type import SNIFF_BYTES, is_supported
from knowledge.type_probe import TypeProbe

FINISH_US_MAX: Final = 10_000_000
RENEW_S: Final = FINISH_US_MAX / 3_000_000
"""Whoever finishes an upload says so again and again; after 10 s of silence somebody else may try. Two at it at once
cost work, nothing else."""

_log = structlog.get_logger()


async def finish(services: IngestServices, upload: Upload, digest: str | None = None) -> Upload:
    """The upload with its outcome; as it is where another is at it. `digest` is the SHA-256 of its bytes, if known.

    Raises Rejected and Refused for what can never become a task, which is its outcome then; what log, registry and blob
    store raise otherwise, and it can be tried again.
    """
    upload_id, now_us, holder = upload.about.upload_id, services.clock_us(), services.ids.unique()
    if not await services.uploads.begin_finish(upload_id, holder, now_us=now_us, until_us=now_us + FINISH_US_MAX):
        return await services.uploads.get(upload_id) or upload
    try:
        async with _renewed(services, upload_id, holder):
            task_id = await _accepted(services, upload, digest)
    except (Rejected, Refused, InvalidId, BlobMissing) as error:
        ended = await end(services, upload, _reason(error))
        if ended.is_finished:
            return ended  # another, who was taken for dead, was quicker and has deleted the pieces
        raise _refusal(error) from error
    except BaseException:
        await _let_others_try(services, upload_id)
        raise
    return await end(services, upload, Finished(task_id))


async def end(services: IngestServices, upload: Upload, outcome: Outcome) -> Upload:
    """The upload with its outcome, which is the first that it was given; its pieces are deleted."""
    upload_id = upload.about.upload_id
    kept_until_us = services.clock_us() + services.settings.resumable_expiry_s * 1_000_000
    ended = await services.uploads.end(upload_id, outcome, kept_until_us=kept_until_us)
    await services.uploads.forget(upload_id, upload.about.actor)
    await delete_pieces(services, upload_id)
    return ended or upload


@asynccontextmanager
async def _renewed(services: IngestServices, upload_id: str, holder: str) -> AsyncIterator[None]:
    async def renew() -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            now_us = services.clock_us()
            try:
                await services.uploads.begin_finish(upload_id, holder, now_us=now_us, until_us=now_us + FINISH_US_MAX)
            except LogError as error:
                _log.info("upload_finish_not_renewed", upload=upload_id, error=type(error).__name__)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


async def delete_pieces(services: IngestServices, upload_id: str) -> None:
    """Raises nothing: what stays behind is collected after its grace period."""
    try:
        await services.blobs.delete_prefix(pieces_prefix(upload_id))
    except BlobError as left:
        _log.warning("pieces_left", upload=upload_id, error=repr(left))


async def _accepted(services: IngestServices, upload: Upload, digest: str | None) -> TaskId:
    about = upload.about
    says = described(about.metadata, services.settings, services.clock_us())
    task_id = derived_task_id(says.knowledge_base_id, f"upload:{about.upload_id}", about.actor)
    if (await services.log.versions([task_id]))[0] > 0:
        return task_id
    guard = await while_active(services.log, says.knowledge_base_id)
    room = await services.room_of(says.knowledge_base_id, about.actor)
    room.check(documents=1, size_bytes=upload.length or 1)
    async with UnclaimedBlobs(services.blobs) as unclaimed:
        pieces = await _pieces(services, upload)
        key = source_key(document_id(task_id, 0), services.ids.unique())
        blob = await _joined(services, pieces, key, digest, unclaimed)
        stored = await _stored(services, blob, says)
        failpoint(Place.API_PIECES_JOINED)
        submission = Submission(
            knowledge_base_id=says.knowledge_base_id,
            task_id=task_id,
            files=(stored,),
            options=says.options,
            idempotency_key=f"upload:{about.upload_id}",
            actor=about.actor,
            guard=guard,
        )
        await submit(services, submission, unclaimed)
    return task_id


async def _pieces(services: IngestServices, upload: Upload) -> list[Piece]:
    about = upload.about
    sources = about.parts if about.kind is UploadKind.FINAL else (about.upload_id,)
    pieces = [piece for source in sources for piece in await services.uploads.pieces(source)]
    if sum(piece.size_bytes for piece in pieces) != upload.length:
        raise Rejected(ProblemCode.UPLOAD_LOST, "Bytes of this upload were deleted or have expired; send it anew.")
    return pieces


async def _joined(
    services: IngestServices, pieces: Sequence[Piece], key: str, digest: str | None, unclaimed: UnclaimedBlobs
) -> BlobRef:
    """The pieces as one blob, which the store makes by itself; it is read only where its digest is not known."""
    await unclaimed.compose([(piece.key, piece.size_bytes) for piece in pieces], key)
    sha256 = digest or await _sha256(services, key)
    return BlobRef(key=key, size_bytes=sum(piece.size_bytes for piece in pieces), sha256=sha256)


async def _sha256(services: IngestServices, key: str) -> str:
    digest = hashlib.sha256()
    async for data in services.blobs.read(key):
        await asyncio.to_thread(digest.update, data)
    return digest.hexdigest()


async def _stored(services: IngestServices, blob: BlobRef, says: Described) -> StoredFile:
    """What it is follows from its beginning and its end."""
    probe = TypeProbe(says.filename)
    end = max(SNIFF_BYTES, blob.size_bytes - SNIFF_BYTES)
    for start in (0, end) if blob.size_bytes > SNIFF_BYTES else (0,):
        async for data in services.blobs.read(blob.key, start=start, length=SNIFF_BYTES):
            await probe.feed(data)
    media_type = await probe.finish()
    if not is_supported(media_type):
        raise unsupported(says.filename)
    return StoredFile(
        filename=says.filename,
        path=says.path,
        media_type=media_type,
        declared_media_type=says.declared_media_type,
        blob=blob,
    )


async def _let_others_try(services: IngestServices, upload_id: str) -> None:
    try:
        await services.uploads.stop_finish(upload_id)
    except LogError as error:
        _log.info("upload_waits", upload=upload_id, error=type(error).__name__)


def unsupported(filename: str) -> Rejected:
    """The content is of no type that can be read."""
    return Rejected(ProblemCode.UNSUPPORTED_TYPE, f"{filename!r} is, by its content, of a type that cannot be read.")


def _refusal(error: Rejected | Refused | InvalidId | BlobMissing) -> Rejected | Refused | InvalidId:
    if isinstance(error, BlobMissing):
        return Rejected(ProblemCode.UPLOAD_LOST, "Bytes of this upload are gone; send it anew.")
    return error


def _reason(error: Rejected | Refused | InvalidId | BlobMissing) -> Ended:
    match _refusal(error):
        case Rejected(code=code, detail=detail):
            return Ended(code, detail)
        case Refused(code=refused, detail=detail):
            return Ended(ProblemCode(refused.value), detail)
        case InvalidId():
            return Ended(ProblemCode.NOT_FOUND, "There is no such knowledge base.")
