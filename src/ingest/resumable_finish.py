"""A resumable upload that has all its bytes becomes a task: pieces, source, sidecar, append.

Whoever asks last may have died at any point of it, so all of it may be done again, by the client's next request or by
upkeep: the task's id follows from the upload's, and what a broken-off attempt stored is an orphan.
"""

from collections.abc import Sequence
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
from knowledge.media_type import is_supported
from knowledge.type_probe import TypeProbe

FINISH_US_MAX: Final = 120_000_000
"""After so long somebody else may try; two at it at once cost work, nothing else."""

_log = structlog.get_logger()


async def finish(services: IngestServices, upload: Upload) -> Upload:
    """The upload with its outcome; as it is where another is at it.

    Raises Rejected and Refused for what can never become a task, which is its outcome then; what log, registry and blob
    store raise otherwise, and it can be tried again.
    """
    upload_id, now_us, holder = upload.about.upload_id, services.clock_us(), services.ids.unique()
    if not await services.uploads.begin_finish(upload_id, holder, now_us=now_us, until_us=now_us + FINISH_US_MAX):
        return await services.uploads.get(upload_id) or upload
    try:
        task_id = await _accepted(services, upload)
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


async def delete_pieces(services: IngestServices, upload_id: str) -> None:
    """Raises nothing: what stays behind is collected after its grace period."""
    try:
        await services.blobs.delete_prefix(pieces_prefix(upload_id))
    except BlobError as left:
        _log.warning("pieces_left", upload=upload_id, error=repr(left))


async def _accepted(services: IngestServices, upload: Upload) -> TaskId:
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
        stored = await _stored(services, pieces, key, says, unclaimed)
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


async def _stored(
    services: IngestServices, pieces: Sequence[Piece], key: str, says: Described, unclaimed: UnclaimedBlobs
) -> StoredFile:
    probe = TypeProbe(says.filename)
    blob = await _joined(services, pieces, key, probe, unclaimed)
    media_type = await probe.finish()
    if not is_supported(media_type):
        raise unsupported(says.filename)
    return StoredFile(
        filename=says.filename, media_type=media_type, declared_media_type=says.declared_media_type, blob=blob
    )


async def _joined(
    services: IngestServices, pieces: Sequence[Piece], key: str, probe: TypeProbe, unclaimed: UnclaimedBlobs
) -> BlobRef:
    async with unclaimed.writer(key) as writer:
        for piece in pieces:
            async for part in services.blobs.read(piece.key):
                await probe.feed(part)
                await writer.write(part)
        return await writer.commit()


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
