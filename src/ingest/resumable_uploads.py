"""Resumable uploads from creation to their end; what HTTP says of them is in `resumable_routes.py`."""

from collections.abc import AsyncIterator, Callable
from typing import Final

import structlog
from starlette.datastructures import Headers

from blobs.errors import BlobError
from domain.access import unknown_instead
from domain.amounts import counted
from events.errors import LogError
from events.ids import KnowledgeBaseId, uuid8_hex
from ingest.body import content_length, has_body, refuse_encoded
from ingest.callbacks import refuse_callback
from ingest.idempotency import idempotency_key
from ingest.knowledge_bases import while_active
from ingest.piece_writer import PieceWriter
from ingest.problems import ProblemCode, Rejected
from ingest.resumable import (
    Checksum,
    Concat,
    checksum_of,
    concat_of,
    length_of_new,
    metadata_header,
    refuse_body_type,
    too_large,
    upload_length,
    upload_offset,
)
from ingest.resumable_finish import FINISH_US_MAX, delete_pieces, end, finish
from ingest.running_digests import RunningDigests
from ingest.services import IngestServices
from ingest.upload_metadata import described
from ingest.upload_registry import Ended, Finished, NewUpload, Upload, UploadKind
from knowledge.type_probe import TypeProbe

BUSY_RETRY_AFTER_S: Final = 2
OPEN_RETRY_AFTER_S: Final = 60
FINAL_LOOK_S: Final = 60

MaySee = Callable[[KnowledgeBaseId], bool]
"""Whether a knowledge base exists for who asks."""

_log = structlog.get_logger()


class ResumableUploads:
    """One process's share: `_writers` are the requests that it is reading, by upload."""

    def __init__(self, services: IngestServices) -> None:
        self._services = services
        self._writers: dict[str, PieceWriter] = {}
        self._digests = RunningDigests()

    async def create(
        self, headers: Headers, actor: str, body: AsyncIterator[bytes], *, may_see: MaySee = lambda _kb: True
    ) -> Upload:
        """The upload, with what the request brings of it; a repeated request meets its own.

        What headers tell is judged before a byte is read. Into a knowledge base that is not to be seen nothing comes:
        it is as if it were not there. Raises Rejected, Refused, InvalidId, ClientDisconnect, and
        what log, registry and blob store raise.
        """
        services = self._services
        refuse_encoded(headers)
        concat, checksum, key = concat_of(headers), checksum_of(headers), idempotency_key(headers)
        length = length_of_new(headers, concat, bytes_max=services.settings.upload_bytes_max)
        metadata = metadata_header(headers)
        await self._refuse_hopeless(concat, length, metadata, actor, may_see)
        if concat.kind is UploadKind.FINAL:
            length = await self._length_of_parts(concat, actor)
        brings = has_body(headers) and concat.kind is not UploadKind.FINAL
        if brings:
            refuse_body_type(headers)
            self._refuse_longer(headers, 0, length)
        new = NewUpload(
            upload_id=self._id_of_new(actor, key, concat, metadata),
            actor=actor,
            kind=concat.kind,
            metadata=metadata,
            concat=concat.header,
            parts=concat.parts,
            length=length,
        )
        upload = await self._created(new)
        if brings and upload.outcome is None and upload.offset == 0 and upload.length != 0:
            upload = await self._append(upload, 0, None, checksum, body)
        return await self._finished(upload)

    async def status(self, upload_id: str, actor: str) -> Upload:
        """The upload with all that was received of it; one that has all its bytes becomes a task now.

        Raises Rejected, Refused, and what log, registry and blob store raise.
        """
        writer = self._writers.get(upload_id)
        if writer is not None:
            try:
                await writer.flush()
            except (Rejected, BlobError, LogError) as error:
                # It is told to that request; what is recorded stays so.
                _log.info("upload_not_flushed", upload=upload_id, error=type(error).__name__)
        return await self._finished(await self._own(upload_id, actor))

    async def append(self, upload_id: str, headers: Headers, actor: str, body: AsyncIterator[bytes]) -> Upload:
        """The upload with the bytes of the request. Raises as `create`."""
        refuse_body_type(headers)
        refuse_encoded(headers)
        offset, checksum = upload_offset(headers), checksum_of(headers)
        length = upload_length(headers, bytes_max=self._services.settings.upload_bytes_max)
        upload = await self._own(upload_id, actor)
        if upload.about.kind is UploadKind.FINAL:
            raise Rejected(ProblemCode.UPLOAD_IS_FINAL, "Send the bytes to the parts of this upload.")
        if _is_repeated_end(upload, headers, offset):
            return await self._finished(upload)
        _refuse_ended(upload)
        _refuse_elsewhere(upload, offset)
        _refuse_other_length(upload, length)
        self._refuse_longer(headers, offset, upload.length if length is None else length)
        return await self._finished(await self._append(upload, offset, length, checksum, body))

    async def terminate(self, upload_id: str, actor: str) -> None:
        """It is gone, with its bytes; a task that it became stays. Raises Rejected, and what the registry raises."""
        upload, now_us = await self._own(upload_id, actor), self._services.clock_us()
        uploads, holder = self._services.uploads, self._services.ids.unique()
        if upload.is_ready and not await uploads.begin_finish(
            upload_id, holder, now_us=now_us, until_us=now_us + FINISH_US_MAX
        ):
            raise Rejected(ProblemCode.UPLOAD_BUSY, "It is becoming a task just now.", retry_after_s=BUSY_RETRY_AFTER_S)
        await uploads.remove(upload_id)
        await uploads.forget(upload_id, actor)
        if writer := self._writers.get(upload_id):
            writer.supersede()
        await delete_pieces(self._services, upload_id)

    async def _append(
        self, upload: Upload, offset: int, length: int | None, checksum: Checksum | None, body: AsyncIterator[bytes]
    ) -> Upload:
        upload_id, services = upload.about.upload_id, self._services
        if upload.pieces >= services.settings.pieces_max:
            raise Rejected(ProblemCode.TOO_MANY_PARTS, "The upload came in too many requests; send larger ones, anew.")
        if length is not None and length == offset:
            await services.uploads.look_at(upload_id, upload.about.actor, services.clock_us())
        taken = await services.uploads.take(upload_id, offset=offset, length=length)
        if taken is None:
            raise unknown_upload()
        _refuse_ended(taken)
        _refuse_elsewhere(taken, offset)
        _refuse_other_length(taken, length)
        writer = PieceWriter(services, taken, checksum, self._probe(taken), self._digests)
        older, self._writers[upload_id] = self._writers.get(upload_id), writer
        if older is not None:
            older.supersede()
        try:
            await writer.take(body)
        except Rejected as refused:
            if refused.code is ProblemCode.UNSUPPORTED_TYPE:
                await end(services, taken, Ended(refused.code, refused.detail))
            raise
        finally:
            if self._writers.get(upload_id) is writer:
                del self._writers[upload_id]
        return await services.uploads.get(upload_id) or taken

    async def _finished(self, upload: Upload) -> Upload:
        if not upload.is_ready:
            return upload
        return await finish(self._services, upload, self._digests.whole(upload.about.upload_id, upload.length))

    async def _own(self, upload_id: str, actor: str) -> Upload:
        """Another's is none. Raises Rejected: also with the reason why it ended, where it became no task."""
        upload = await self._services.uploads.get(upload_id)
        if upload is None or upload.about.actor != actor:
            raise unknown_upload()
        if upload.is_expired(self._services.clock_us()):
            raise Rejected(ProblemCode.UPLOAD_EXPIRED, "The upload has waited too long for its next byte; begin anew.")
        if isinstance(upload.outcome, Ended):
            raise Rejected(upload.outcome.code, upload.outcome.detail)
        return upload

    async def _created(self, new: NewUpload) -> Upload:
        services, now_us = self._services, self._services.clock_us()
        # A final one has all its bytes: its time is when upkeep looks whether it has become a task.
        lasts_s = services.settings.resumable_expiry_s if new.kind is not UploadKind.FINAL else FINAL_LOOK_S
        open_max = services.settings.resumable_open_max
        expires_us = now_us + lasts_s * 1_000_000
        upload = await services.uploads.create(new, expires_us=expires_us, now_us=now_us, open_max=open_max)
        if upload is None:
            raise Rejected(
                ProblemCode.TOO_MANY_UPLOADS,
                f"There are {open_max:,} open uploads already; finish or delete some.",
                retry_after_s=OPEN_RETRY_AFTER_S,
            )
        if upload.about != new:
            raise Rejected(
                ProblemCode.IDEMPOTENCY_KEY_REUSED, "This Idempotency-Key came with another upload; use a new one."
            )
        return await self._own(new.upload_id, new.actor)

    def _id_of_new(self, actor: str, key: str | None, concat: Concat, metadata: str) -> str:
        """A final upload is known by its parts: a client whose answer was lost asks for the same again."""
        if key is not None:
            return uuid8_hex("upload", actor, key)
        if concat.kind is UploadKind.FINAL:
            return uuid8_hex("final", actor, metadata, *concat.parts)
        return self._services.ids.unique()

    async def _refuse_hopeless(
        self, concat: Concat, length: int | None, metadata: str, actor: str, may_see: MaySee
    ) -> None:
        """What could never become a task is refused now, not at its end."""
        if concat.kind is UploadKind.PARTIAL:
            return
        about = described(metadata, self._services.settings, self._services.clock_us())
        kb = about.knowledge_base_id
        await while_active(self._services.log, kb if may_see(kb) else KnowledgeBaseId(unknown_instead(kb)))
        if length == 0:
            raise empty(about.filename)
        (await self._services.room_of(kb, actor)).check(documents=1, size_bytes=length or 1)
        await refuse_callback(self._services.callbacks, about.options)

    async def _length_of_parts(self, concat: Concat, actor: str) -> int:
        length = 0
        for part in concat.parts:
            upload = await self._own(part, actor)
            if upload.about.kind is not UploadKind.PARTIAL:
                raise Rejected(ProblemCode.BAD_REQUEST, "A final upload is made of partial ones.")
            if not upload.has_all_bytes:
                raise Rejected(ProblemCode.UPLOAD_UNFINISHED, "A partial upload has not come to its end yet.")
            length += upload.offset
        if length > self._services.settings.upload_bytes_max:
            raise too_large(self._services.settings.upload_bytes_max)
        if length == 0:
            raise empty("The file")
        return length

    def _refuse_longer(self, headers: Headers, offset: int, length: int | None) -> None:
        bytes_max = self._services.settings.upload_bytes_max if length is None else length
        if offset + (content_length(headers) or 0) > bytes_max:
            raise too_large(bytes_max)

    def _probe(self, upload: Upload) -> TypeProbe | None:
        if upload.about.kind is not UploadKind.WHOLE:
            return None
        now_us = self._services.clock_us()
        return TypeProbe(described(upload.about.metadata, self._services.settings, now_us).filename)


def unknown_upload() -> Rejected:
    """Never was, or is another's, or was deleted."""
    return Rejected(ProblemCode.UNKNOWN_UPLOAD, "There is no upload of this id.")


def empty(filename: str) -> Rejected:
    """A file without bytes is no document."""
    return Rejected(ProblemCode.EMPTY_FILE, f"{filename!r} has no bytes.")


def _is_repeated_end(upload: Upload, headers: Headers, offset: int) -> bool:
    """A client whose last answer was lost may send nothing, at the end: that changes nothing, and is no error."""
    return upload.has_all_bytes and offset == upload.offset and not has_body(headers)


def _refuse_ended(upload: Upload) -> None:
    match upload.outcome:
        case Finished():
            raise Rejected(ProblemCode.UPLOAD_FINISHED, "The upload has become a task already.")
        case Ended(code=code, detail=detail):
            raise Rejected(code, detail)
        case None:
            return


def _refuse_elsewhere(upload: Upload, offset: int) -> None:
    if upload.offset != offset:
        raise Rejected(ProblemCode.OFFSET_MISMATCH, f"The upload stands at {upload.offset:,}, not at {offset:,}.")


def _refuse_other_length(upload: Upload, length: int | None) -> None:
    if length is not None and upload.length not in {None, length}:
        raise Rejected(ProblemCode.BAD_REQUEST, f"The length in bytes is {upload.length:,}, once told for good.")
    if length is not None and length < upload.offset:
        raise Rejected(ProblemCode.BAD_REQUEST, f"The upload has {counted(upload.offset, 'byte')} already.")
