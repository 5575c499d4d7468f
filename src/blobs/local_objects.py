"""Objects in a directory that belongs to somebody else: read, and never written to."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

from blobs.errors import BlobMissing, BlobStoreUnavailable
from blobs.files import RangeReader
from blobs.objects import check_object_key

READ_BYTES: Final = 1024 * 1024


class LocalObjects:
    """An ObjectReader over one directory. A link may not lead out of it."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    async def read(self, key: str) -> AsyncGenerator[bytes, None]:
        """Yield pieces of up to 1 MiB."""
        path = await asyncio.to_thread(self._inside, check_object_key(key))
        reader = RangeReader(path, 0, None)
        is_end = False
        try:
            while not is_end:
                piece, is_end = await asyncio.to_thread(_next_piece, reader, key)
                if piece:
                    yield piece
        finally:
            await asyncio.to_thread(reader.close)

    async def close(self) -> None:
        """Nothing is held."""

    def _inside(self, key: str) -> Path:
        try:
            root = self._root.resolve(strict=True)
        except OSError as error:
            raise BlobStoreUnavailable(f"The import directory {self._root} cannot be read: {error}") from error
        try:
            path = (root / key).resolve(strict=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise BlobMissing(key) from error
        if not path.is_relative_to(root):
            raise BlobMissing(key)
        return path


def _next_piece(reader: RangeReader, key: str) -> tuple[bytes, bool]:
    try:
        return reader.next_piece(READ_BYTES)
    except FileNotFoundError as error:
        raise BlobMissing(key) from error
    except OSError as error:
        raise BlobStoreUnavailable(f"An object of the import directory cannot be read: {error}") from error
