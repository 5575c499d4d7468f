"""What an upload is, found out while it streams by: from its beginning, and where that is not enough from its end."""

import asyncio
from typing import Final

from knowledge.media_type import SNIFF_BYTES, MediaType, is_supported, sniff

_CONTAINERS: Final = (b"PK", b"\xd0\xcf\x11\xe0")
"""ZIP and OLE2 list what they hold at the end: their beginning can leave the question open."""


class TypeProbe:
    """Feed it every piece in order; it keeps at most 64 KiB of the beginning and 64 KiB of the end."""

    def __init__(self, filename: str) -> None:
        self._filename = filename
        self._head: bytes | bytearray = b""
        self._tail = bytearray()
        self._size_bytes = 0
        self._media_type: MediaType | None = None

    async def feed(self, piece: bytes) -> None:
        """Raises nothing; ask `is_refused` afterwards."""
        self._size_bytes += len(piece)
        was_full = len(self._head) == SNIFF_BYTES
        if not self._head:
            self._head = piece[:SNIFF_BYTES]  # nearly always all that it takes, and no copy where it is the whole piece
        elif not was_full:
            self._head = bytearray(self._head) if isinstance(self._head, bytes) else self._head
            self._head += piece[: SNIFF_BYTES - len(self._head)]
        if self._is_container:
            self._tail += piece[-SNIFF_BYTES:]
            del self._tail[:-SNIFF_BYTES]
        if len(self._head) == SNIFF_BYTES and not was_full:
            self._media_type = await self._sniff(None)

    @property
    def is_refused(self) -> bool:
        """Whether it is clear already that the file is of no supported type."""
        return self._media_type is not None and not is_supported(self._media_type) and not self._is_container

    async def finish(self) -> MediaType:
        """The type, supported or not, once the last piece was fed."""
        seen = self._media_type
        if seen is not None and is_supported(seen) and seen is not MediaType.ZIP:  # a ZIP may still prove to be more
            return seen
        if self._size_bytes <= SNIFF_BYTES:
            return await self._sniff(bytes(self._head))
        return await self._sniff(bytes(self._tail)) if self._is_container else await self._sniff(None)

    @property
    def _is_container(self) -> bool:
        return self._head.startswith(_CONTAINERS)

    async def _sniff(self, rest: bytes | None) -> MediaType:
        head = bytes(self._head)
        if head.isascii():
            return sniff(head, rest, self._filename)
        # Guessing the encoding of a text takes up to tens of ms, which would hold up every other request.
        return await asyncio.to_thread(sniff, head, rest, self._filename)
