"""Compressed bodies, undone in small pieces, so that a bomb is noticed before it has gone off."""

import zlib
from collections.abc import Iterator
from typing import Final, Protocol

from outbound.errors import FetchFailed

PIECE_BYTES: Final = 64 * 1024
_GZIP: Final = 16 + zlib.MAX_WBITS
_DEFLATE: Final = zlib.MAX_WBITS
_RAW_DEFLATE: Final = -zlib.MAX_WBITS


class Decoding(Protocol):
    """Bytes in, pieces of at most 64 KiB out."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Raises FetchFailed where the bytes cannot be undone."""
        ...

    def finish(self) -> None:
        """Raises FetchFailed where the end is missing."""
        ...


class Identity:
    """Nothing to undo."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), PIECE_BYTES):
            yield data[start : start + PIECE_BYTES]

    def finish(self) -> None:
        return


class Inflating:
    """gzip (RFC 1952, of several members too) or deflate (RFC 1950; some servers send RFC 1951)."""

    def __init__(self, *, is_gzip: bool) -> None:
        self._is_gzip = is_gzip
        self._window = _GZIP if is_gzip else _DEFLATE
        self._inflate = zlib.decompressobj(self._window)
        self._has_begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data and self._is_open():
            piece = self._piece(data)
            while piece:
                yield piece
                # What was taken in may not all have come out yet.
                piece = self._piece(b"") if len(piece) == PIECE_BYTES and not self._inflate.unconsumed_tail else b""
            data = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail

    def finish(self) -> None:
        if not self._inflate.eof:
            raise FetchFailed("the compressed body breaks off")

    def _is_open(self) -> bool:
        """Behind the end of a gzip member the next one may follow; behind deflate comes nothing that is the body's."""
        if self._inflate.eof and self._is_gzip:
            self._inflate = zlib.decompressobj(self._window)
        return not self._inflate.eof

    def _piece(self, data: bytes) -> bytes:
        try:
            piece = self._inflate.decompress(data, PIECE_BYTES)
        except zlib.error as error:
            if self._is_gzip or self._has_begun:
                raise FetchFailed("the body is not compressed as it says", is_permanent=True) from error
            self._inflate = zlib.decompressobj(_RAW_DEFLATE)
            self._has_begun = True
            return self._piece(data)
        self._has_begun = True
        return piece


def decoding_of(content_encoding: str) -> Decoding:
    """We ask for `identity`; of servers that compress all the same, the two forms are taken that the standard library
    undoes piece by piece. Raises FetchFailed for others, and for one upon the other."""
    match content_encoding.strip().lower():
        case "" | "identity":
            return Identity()
        case "gzip" | "x-gzip":
            return Inflating(is_gzip=True)
        case "deflate":
            return Inflating(is_gzip=False)
        case other:
            raise FetchFailed(f"the body is compressed as {other[:40]!r}, unasked", is_permanent=True)
