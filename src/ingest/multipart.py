"""File parts of a form streamed into the blob store, hashed on the way; nothing is spooled, memory is bounded.

Parts named `file` are documents, in the order in which they come; at most one part named `options` is JSON. A request
is taken whole or refused whole: the first part that breaks a rule ends it, and its name is in the answer.
"""

from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec
import structlog
from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
)

from blobs.errors import BlobError
from blobs.store import BlobRef, BlobWriter
from domain.amounts import counted
from events.failpoints import Place, failpoint
from ingest.form_headers import request_too_large
from ingest.part_headers import malformed, short_ascii
from ingest.problems import Flaw, ProblemCode, Rejected, invalid
from ingest.settings import IngestSettings
from ingest.validation import escape
from knowledge.filenames import clean_filename, clean_path, extended_filename
from knowledge.media_type import MediaType, is_supported
from knowledge.type_probe import TypeProbe

FILE_PART: Final = "file"
OPTIONS_PART: Final = "options"

PART_HEADERS_MAX: Final = 8
"""RFC 7578 knows three."""

PREAMBLE_BYTES_MAX: Final = 64 * 1024
"""Text in front of the first boundary was meant for mail readers of 1996; nobody sends it in a form."""

_PLAIN_ENCODINGS: Final = frozenset({"", "7bit", "8bit", "binary"})

_log = structlog.get_logger()


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file whose bytes are in the blob store, or about to be (`Form.last`); `path` is where it lay in its folder."""

    filename: str
    path: str | None = None
    media_type: MediaType
    declared_media_type: str | None
    blob: BlobRef


class Form(msgspec.Struct, frozen=True):
    """A form that came whole: at least one file, and the options as they were sent (None: there were none).

    `last` has the bytes of the last file, and is not committed: whoever knows the options stores it and what is said of
    it at the same time. It is the caller's to commit or to abort.
    """

    files: tuple[StoredFile, ...]
    options: bytes | None
    last: BlobWriter


OpenBlob = Callable[[int], BlobWriter]
"""Begins the blob of the n-th file, from 0."""


async def read_form(stream: AsyncIterator[bytes], boundary: str, settings: IngestSettings, open_blob: OpenBlob) -> Form:
    """Reads a form to its end; each piece is stored before the next one is asked for.

    Raises Rejected, whatever the blob store raises, and whatever the stream raises. The blob in the making is then
    aborted; deleting those of earlier parts is the caller's.
    """
    parts = _Parts(settings, open_blob)
    try:
        return await _read(stream, boundary, settings, parts)
    except BaseException:
        await parts.abandon()
        raise


async def _read(stream: AsyncIterator[bytes], boundary: str, settings: IngestSettings, parts: "_Parts") -> Form:
    parser = PushMultipartParser(
        boundary, max_header_size=settings.part_header_bytes_max, max_header_count=PART_HEADERS_MAX
    )
    delimiter, opening = b"--" + boundary.encode(), b""
    received_bytes = 0
    async for piece in stream:
        received_bytes += len(piece)
        opening += piece[: len(delimiter) - len(opening)]
        if received_bytes > settings.request_bytes_max:
            raise request_too_large(settings)
        if piece:
            await _parse(parser, piece, parts)
        if parts.are_none and received_bytes > PREAMBLE_BYTES_MAX + settings.part_header_bytes_max:
            raise malformed("no part begins")
    _end(parser, may_have_begun=not parts.are_none or delimiter.startswith(opening))
    return parts.form()


async def _parse(parser: PushMultipartParser, piece: bytes, parts: "_Parts") -> None:
    try:
        for event in parser.parse(piece):
            if isinstance(event, MultipartSegment):
                await parts.begin(event)
            elif event is None:
                await parts.end()
            else:
                await parts.take(event)
    except ParserLimitReached as error:
        raise malformed("the headers of a part are too long or too many") from error
    except MultipartError as error:
        raise malformed(str(error.args[0])) from error


def _end(parser: PushMultipartParser, *, may_have_begun: bool) -> None:
    try:
        parser.close()
    except MultipartError as error:
        if not may_have_begun:
            raise malformed("its boundary is not the one that Content-Type names") from error
        raise Rejected(
            ProblemCode.MULTIPART_TRUNCATED, "The body ends before its closing boundary; nothing was stored."
        ) from error


class _File(msgspec.Struct):
    filename: str
    path: str | None
    declared_media_type: str | None
    writer: BlobWriter
    probe: TypeProbe


class _Field(msgspec.Struct):
    name: str
    data: bytearray


class _Parts:
    """The parts so far, and the one in the making."""

    def __init__(self, settings: IngestSettings, open_blob: OpenBlob) -> None:
        self._settings = settings
        self._open_blob = open_blob
        self._files: list[StoredFile] = []
        self._fields = 0
        self._options: bytes | None = None
        self._unknown: str | None = None
        self._current: _File | _Field | None = None
        self._last: BlobWriter | None = None

    @property
    def are_none(self) -> bool:
        return self._current is None and not self._files and not self._fields

    async def begin(self, segment: MultipartSegment) -> None:
        _refuse_encoded_part(segment)
        if segment.name == FILE_PART:
            await self._commit_last()
            self._begin_file(segment)
        else:
            self._begin_field(segment)

    async def take(self, data: bytes) -> None:
        match self._current:
            case _File() as file:
                await self._take_file(file, data)
            case _Field() as field:
                field.data += data
                if len(field.data) > self._settings.field_bytes_max:
                    raise Rejected(
                        ProblemCode.PAYLOAD_TOO_LARGE,
                        f"A form field may have {self._settings.field_bytes_max:,} bytes.",
                    )
            case None:
                raise malformed("data outside of a part")

    async def end(self) -> None:
        match self._current:
            case _File() as file:
                self._files.append(await _ended(file, len(self._files)))
                self._last = file.writer
            case _Field(name=name, data=data) if name == OPTIONS_PART:
                self._options = bytes(data)
            case _:
                pass
        self._current = None

    async def abandon(self) -> None:
        """Nothing stays of what was not committed."""
        for writer in (self._last, self._current.writer if isinstance(self._current, _File) else None):
            try:
                if writer is not None:
                    await writer.abort()
            except BlobError as left:
                # What ended the request is the answer; the store takes abandoned writes away by itself after a while.
                _log.warning("unfinished_blob_left", error=repr(left))

    def form(self) -> Form:
        if self._last is None:
            raise Rejected(ProblemCode.MISSING_FILE, "Send at least one part named file, with a filename.")
        self._refuse_unknown()
        return Form(tuple(self._files), self._options, self._last)

    async def _commit_last(self) -> None:
        """The file before this one, so that what is held back is never more than the end of one file."""
        if self._last is not None:
            await self._last.commit()
            self._last = None

    def _begin_file(self, segment: MultipartSegment) -> None:
        if len(self._files) == self._settings.files_max:
            files = counted(self._settings.files_max, "file")
            raise Rejected(ProblemCode.TOO_MANY_PARTS, f"One request may have {files}.")
        self._refuse_unknown()
        name = _filename_of(segment)
        filename = clean_filename(name)
        self._current = _File(
            filename,
            clean_path(name),
            short_ascii(segment.content_type),
            self._open_blob(len(self._files)),
            TypeProbe(filename),
        )

    def _begin_field(self, segment: MultipartSegment) -> None:
        self._fields += 1
        name = segment.name or ""
        if self._fields > self._settings.fields_max:
            fields = counted(self._settings.fields_max, "field")
            raise Rejected(ProblemCode.TOO_MANY_PARTS, f"One request may have {fields}.")
        if name == OPTIONS_PART and self._options is not None:
            raise invalid("/options", "the part options came twice")
        if name != OPTIONS_PART and self._unknown is None:
            self._unknown = name
            if self._files:
                self._refuse_unknown()
        self._current = _Field(name, bytearray())

    def _refuse_unknown(self) -> None:
        """Judged as soon as there is a file: a form without one is told that first."""
        if self._unknown is not None:
            shown = self._unknown[:80]
            raise invalid(f"/{escape(shown)}", f"unknown part {shown!r}: there are file and options")

    async def _take_file(self, file: _File, data: bytes) -> None:
        if file.writer.size_bytes + len(data) > self._settings.upload_bytes_max:
            raise Rejected(
                ProblemCode.PAYLOAD_TOO_LARGE,
                f"{file.filename!r} is too large: one file may have {self._settings.upload_bytes_max:,} bytes.",
            )
        await file.probe.feed(data)
        if file.probe.is_refused:
            raise _unsupported(file.filename, len(self._files))
        await file.writer.write(data)
        failpoint(Place.API_MID_BODY)


async def _ended(file: _File, ordinal: int) -> StoredFile:
    if file.writer.size_bytes == 0:
        raise Rejected(
            ProblemCode.EMPTY_FILE, f"{file.filename!r} has no bytes.", (Flaw(f"/file/{ordinal}", "0 bytes"),)
        )
    media_type = await file.probe.finish()
    if not is_supported(media_type):
        raise _unsupported(file.filename, ordinal)
    return StoredFile(
        filename=file.filename,
        path=file.path,
        media_type=media_type,
        declared_media_type=file.declared_media_type,
        blob=file.writer.ref,
    )


def _unsupported(filename: str, ordinal: int) -> Rejected:
    return Rejected(
        ProblemCode.UNSUPPORTED_TYPE,
        f"{filename!r} is, by its content, of a type that cannot be read; no file of this request was accepted.",
        (Flaw(f"/file/{ordinal}", "by its content of a type that cannot be read, whatever its name says"),),
    )


def _refuse_encoded_part(segment: MultipartSegment) -> None:
    """Browsers never encode a part and RFC 7578 (4.7) gave it up: taken for bytes it would be stored as nonsense."""
    encoding = segment.header("Content-Transfer-Encoding") or ""
    if encoding.strip().lower() not in _PLAIN_ENCODINGS:
        raise malformed("send the bytes of a part as they are, without Content-Transfer-Encoding")
    if (segment.content_type or "").startswith("multipart/"):
        raise malformed("nested multipart bodies are not supported")


def _filename_of(segment: MultipartSegment) -> str:
    extended = extended_filename(segment.header("Content-Disposition") or "")
    return extended if extended is not None else segment.filename or ""
