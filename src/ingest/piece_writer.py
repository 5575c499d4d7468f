"""The bytes of one request on their way into the pieces of a resumable upload.

Each piece is stored, then recorded: whatever an offset says is there. A request that breaks off leaves what has come so
far; one that carries a checksum leaves all of it or nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import structlog
from starlette.requests import ClientDisconnect

from blobs.errors import BlobError
from blobs.store import BlobWriter
from blobs.writer import HASH_INLINE_BYTES_MAX
from events.errors import LogFull
from events.failpoints import Place, failpoint
from ingest.problems import ProblemCode, Rejected
from ingest.resumable import CHECKSUMS, Checksum, too_large
from ingest.running_digests import RunningDigests
from ingest.services import IngestServices
from ingest.upload_registry import Piece, Upload, UploadKind
from knowledge.type_probe import TypeProbe

UPLOADS_PREFIX: Final = "uploads/"

FINISHED_SOON_US: Final = 30_000_000
"""Upkeep looks so long after the last byte whether the upload has become a task."""

_log = structlog.get_logger()


def pieces_prefix(upload_id: str) -> str:
    """What the keys of an upload's pieces begin with."""
    return f"{UPLOADS_PREFIX}{upload_id}/"


def upload_of(key: str) -> str:
    """The upload whose piece has this key."""
    return key.removeprefix(UPLOADS_PREFIX).partition("/")[0]


class PieceWriter:
    """`upload` was taken for this request. `supersede` may be called at any time, the rest by one task."""

    def __init__(
        self,
        services: IngestServices,
        upload: Upload,
        checksum: Checksum | None,
        probe: TypeProbe | None,
        digests: RunningDigests,
    ) -> None:
        self._digests = digests
        is_whole = upload.about.kind is UploadKind.WHOLE
        self._sha256 = digests.at(upload.about.upload_id, upload.offset) if is_whole else None
        self._services = services
        self._upload = upload
        self._checksum = checksum
        self._probe = probe if upload.offset == 0 and is_whole else None
        self._digest = None if checksum is None else CHECKSUMS[checksum.algorithm]()
        self._began_us = services.clock_us()
        self._piece_began_s = 0.0
        self._writer: BlobWriter | None = None
        self._key = ""
        self._offset = self._recorded = upload.offset
        self._unrecorded: list[Piece] = []
        self._one_at_a_time = asyncio.Lock()
        self._superseded = asyncio.Event()

    @property
    def offset(self) -> int:
        """Up to where bytes are recorded."""
        return self._recorded

    def supersede(self) -> None:
        """Another request has taken the upload: this one ends at once, even where it waits for bytes."""
        self._superseded.set()

    async def take(self, stream: AsyncIterator[bytes]) -> None:
        """Everything that comes. Raises Rejected, ClientDisconnect, and what registry and blob store raise."""
        try:
            async for data in self._until_superseded(stream):
                await self._write(data)
            await self.flush()
            if self._checksum is not None:
                await self._verify(self._checksum)
        except ClientDisconnect:
            if self._checksum is None:
                await self.flush()
            raise
        finally:
            await self._tidy()

    async def flush(self) -> None:
        """Stores and records what has come so far; with a checksum it is recorded at the end alone.

        Raises Rejected where the upload was taken by another.
        """
        async with self._one_at_a_time:
            await self._end_piece()

    async def _write(self, data: bytes) -> None:
        if self._offset + len(data) > self._offset_max:
            raise too_large(self._offset_max)
        if self._digest is not None:
            self._digest.update(data)
        await self._sniff(data)
        piece_bytes, rest = self._services.settings.piece_bytes, memoryview(data)
        while rest:
            async with self._one_at_a_time:
                writer = self._begin_piece()
                part = rest[: piece_bytes - writer.size_bytes]
                await writer.write(part)
                await self._digest_on(part)
                self._offset += len(part)
                rest = rest[len(part) :]
                if writer.size_bytes == piece_bytes or self._is_slow:
                    await self._end_piece()
        failpoint(Place.API_MID_BODY)

    async def _digest_on(self, part: memoryview) -> None:
        if self._sha256 is None:
            return
        if len(part) <= HASH_INLINE_BYTES_MAX:
            self._sha256.update(part)
        else:
            await asyncio.to_thread(self._sha256.update, part)

    @property
    def _offset_max(self) -> int:
        return self._services.settings.upload_bytes_max if self._upload.length is None else self._upload.length

    @property
    def _is_slow(self) -> bool:
        return asyncio.get_running_loop().time() - self._piece_began_s > self._services.settings.piece_s_max

    def _begin_piece(self) -> BlobWriter:
        if self._writer is None:
            self._key = f"{pieces_prefix(self._upload.about.upload_id)}{self._offset}@{self._services.ids.unique()}"
            self._writer = self._services.blobs.writer(self._key)
            self._piece_began_s = asyncio.get_running_loop().time()
        return self._writer

    async def _end_piece(self) -> None:
        if self._writer is None or self._writer.size_bytes == 0:
            return
        writer = self._writer
        blob = await writer.commit()
        failpoint(Place.API_PIECE_STORED)
        self._writer = None
        self._unrecorded.append(Piece(self._offset - blob.size_bytes, blob.size_bytes, blob.key))
        if self._checksum is None:
            await self._record()

    async def _verify(self, checksum: Checksum) -> None:
        assert self._digest is not None  # noqa: S101  there is one where there is a checksum
        if self._digest.digest() != checksum.digest:
            raise Rejected(
                ProblemCode.CHECKSUM_MISMATCH, f"The {checksum.algorithm} differs; nothing of the request was taken."
            )
        if self._unrecorded:
            await self._record()

    async def _record(self) -> None:
        """Upkeep is told first: whoever dies behind the last byte leaves an upload that will be looked at."""
        services, about = self._services, self._upload.about
        now_us = services.clock_us()
        if now_us - self._began_us > services.settings.upload_s_max * 1_000_000 and self._checksum is not None:
            raise Rejected(ProblemCode.UPLOAD_TOO_SLOW, "Send less in one request that carries a checksum.")
        end = self._offset
        if end == self._upload.length and about.kind is not UploadKind.PARTIAL:
            await services.uploads.look_at(about.upload_id, about.actor, now_us + FINISHED_SOON_US)
        pieces, self._unrecorded = self._unrecorded, []
        expires_us = now_us + services.settings.resumable_expiry_s * 1_000_000
        try:
            counts = await services.uploads.record(about.upload_id, self._upload.fence, pieces, expires_us=expires_us)
        except LogFull:
            self._unrecorded = pieces
            raise
        if not counts:
            self._unrecorded = pieces
            raise taken_over()
        self._recorded = end
        if self._sha256 is not None:
            self._digests.keep(about.upload_id, end, self._sha256)
        failpoint(Place.API_PIECE_RECORDED)

    async def _sniff(self, data: bytes) -> None:
        if self._probe is None:
            return
        await self._probe.feed(data)
        if self._probe.is_refused:
            raise Rejected(ProblemCode.UNSUPPORTED_TYPE, "The file is, by its content, of a type that cannot be read.")

    async def _until_superseded(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Raises Rejected as soon as another request has taken the upload."""
        superseded = asyncio.create_task(self._superseded.wait())
        try:
            while True:
                coming = asyncio.ensure_future(anext(stream, None))
                await asyncio.wait({coming, superseded}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    coming.cancel()
                    await asyncio.gather(coming, return_exceptions=True)
                    raise taken_over()
                data = coming.result()
                if data is None:
                    return
                if data:
                    yield data
        finally:
            superseded.cancel()

    async def _tidy(self) -> None:
        """What nobody recorded goes: a blob in the making, and pieces of a request that did not count."""
        try:
            if self._writer is not None:
                await self._writer.abort()
            for piece in self._unrecorded:
                await self._services.blobs.delete(piece.key)
        except BlobError as left:
            # Not lost: what no upload names is collected after its grace period.
            _log.warning("unrecorded_piece_left", error=repr(left))


def taken_over() -> Rejected:
    """A newer request holds the upload."""
    return Rejected(ProblemCode.UPLOAD_TAKEN_OVER, "Ask for the offset (HEAD) before you go on.", retry_after_s=1)
