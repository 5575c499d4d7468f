"""Pure: the chunked transfer coding (RFC 9112, section 7.1), judged before the parser decodes it.

httptools takes extensions and trailers of any length and hands trailers over as if they were header fields, after the
application has read those. Here extensions are bounded, and trailers are read and thrown away.
"""

import re
from enum import Enum, auto
from typing import Final

from ingest.problems import ProblemCode, Rejected
from millstream.connection.framing import FIELD_LINE

SIZE_LINE_BYTES_MAX: Final = 256
"""A size has 15 digits at most; the longest extension that is in use, a signature of S3, has 85 bytes."""

OVERHEAD_BYTES_MAX: Final = 65_536
"""By how much the framing of a body may outweigh its content: a chunk of one byte takes as much time as a large one."""

TRAILERS_BYTES_MAX: Final = 8_192

_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t -~\x80-\xff]*+)?\r\n")
_BETWEEN: Final = re.compile(rb"\r\n([0-9A-Fa-f]{1,15})(?:;[\t -~\x80-\xff]{0,200}+)?\r\n")
"""The end of a chunk and the size of the next, where both came together."""


class _Place(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILERS = auto()
    END = auto()


class Chunks:
    """One body. Feed it what comes; it gives back what the parser may have."""

    def __init__(self) -> None:
        self._place = _Place.SIZE
        self._line = b""
        """The beginning of a line whose end has not come."""
        self._left_bytes = 0
        self._content_bytes = 0
        self._overhead_bytes = 0
        self._trailers_bytes = 0

    @property
    def is_whole(self) -> bool:
        """Whether the body has ended."""
        return self._place is _Place.END

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """What may be passed on, and what stands behind the body's end. Raises Rejected."""
        if self._line:
            data, self._line = self._line + data, b""
        at = self._take_chunks(data)
        passed_on = data if at == len(data) else data[:at]
        if self._place is _Place.TRAILERS:
            at = self._take_trailers(data, at)
        if self.is_whole:
            return passed_on + b"\r\n", data[at:]
        self._line = data[at:]
        return passed_on, b""

    def _take_chunks(self, data: bytes) -> int:
        """Up to the size of the last chunk, or to a line whose end has not come."""
        at = 0
        while at < len(data):
            if self._place is _Place.DATA:
                at = self._skip_data(data, at)
                continue
            if self._place is _Place.TRAILERS or (end := _line_end(data, at, SIZE_LINE_BYTES_MAX)) is None:
                break
            if self._place is _Place.DATA_END:
                self._take_data_end(data[at:end])
            else:
                self._take_size(data[at:end])
            at = end
        return at

    def _skip_data(self, data: bytes, at: int) -> int:
        """Behind the content of this chunk, and of all that follow it whole."""
        end = at + self._left_bytes
        while end < len(data) and (between := _BETWEEN.match(data, end)):
            self._begin_chunk(int(between[1], 16), between.end() - end)
            if self._place is not _Place.DATA:
                return between.end()
            end = between.end() + self._left_bytes
        if end > len(data):
            self._left_bytes = end - len(data)
            return len(data)
        self._place = _Place.DATA_END
        return end

    def _take_data_end(self, line: bytes) -> None:
        if line != b"\r\n":
            raise _bad("a chunk does not end where its size says")
        self._place = _Place.SIZE

    def _take_size(self, line: bytes) -> None:
        size = _SIZE_LINE.fullmatch(line)
        if size is None:
            raise _bad("the size of a chunk is not a number of 1 to 15 hexadecimal digits, ended by CRLF")
        self._begin_chunk(int(size[1], 16), len(line) + 2)

    def _begin_chunk(self, size_bytes: int, overhead_bytes: int) -> None:
        self._left_bytes = size_bytes
        self._content_bytes += size_bytes
        self._overhead_bytes += overhead_bytes
        if self._overhead_bytes > self._content_bytes + OVERHEAD_BYTES_MAX:
            raise _bad("its chunks are too small, or have too many extensions")
        self._place = _Place.DATA if size_bytes else _Place.TRAILERS

    def _take_trailers(self, data: bytes, at: int) -> int:
        while (end := _line_end(data, at, TRAILERS_BYTES_MAX)) is not None:
            self._trailers_bytes += end - at
            if self._trailers_bytes > TRAILERS_BYTES_MAX:
                raise _bad("its trailers are too long")
            line, at = data[at:end], end
            if line == b"\r\n":
                self._place = _Place.END
                break
            if not FIELD_LINE.fullmatch(line):
                raise _bad("a trailer is malformed")
        return at


def _line_end(data: bytes, at: int, bytes_max: int) -> int | None:
    """Behind the line that begins at `at`; None where it has not come whole. Raises Rejected."""
    end = data.find(b"\n", at, at + bytes_max)
    if end >= 0:
        return end + 1
    if len(data) - at >= bytes_max:
        raise _bad("a line of it is too long")
    return None


def _bad(what: str) -> Rejected:
    return Rejected(ProblemCode.BAD_REQUEST, f"The chunked body cannot be read: {what}.")
