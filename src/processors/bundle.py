"""What several steps make of a small document, stored as one blob: a request to the store instead of one for each.

`documents/<id>/bundle@<attempt>` is a MessagePack map from the names that the parts would have as blobs of their own,
below the document's prefix, to their bytes. An event names a part as `<blob>#<part>`; the part carries its digest.
"""

from collections.abc import AsyncIterator
from typing import Final, Protocol

import msgspec

from blobs.store import BlobRef
from processors.artifacts import bundle_blob, prefix_of
from processors.failures import BlobCorrupt

SEPARATOR: Final = "#"
"""No key of a blob store holds one."""

_decoder: Final = msgspec.msgpack.Decoder(dict[str, bytes])


class ReadBlobs(Protocol):
    """The part of a BlobStore that answers whole blobs."""

    async def get(self, key: str) -> bytes: ...


class StepBlobs(ReadBlobs, Protocol):
    """The part of a BlobStore that steps use."""

    async def put(self, key: str, data: bytes) -> BlobRef: ...

    def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]: ...

    async def delete_prefix(self, prefix: str) -> int: ...


class Bundle:
    """The blobs of one attempt at one document: what is put is kept in memory until `store` puts it into `blobs`."""

    def __init__(self, blobs: StepBlobs, document_id: str, attempt: int) -> None:
        self._blobs = blobs
        self._prefix = prefix_of(document_id)
        self._key = bundle_blob(document_id, attempt)
        self._parts: dict[str, bytes] = {}

    async def put(self, key: str, data: bytes) -> BlobRef:
        """The reference names the part; nothing is stored yet."""
        part = key.removeprefix(self._prefix)
        self._parts[part] = data
        return BlobRef(f"{self._key}{SEPARATOR}{part}", len(data), "")

    def held(self, name: str) -> bytes | None:
        """What was put under the name that an event says, None where that is not in this bundle. It never left this
        process, so there is nothing to check."""
        blob, _, part = name.partition(SEPARATOR)
        return self._parts.get(part) if blob == self._key else None

    async def get(self, key: str) -> bytes:
        """This bundle as it will be, or a blob that is stored. Raises BlobMissing."""
        return msgspec.msgpack.encode(self._parts) if key == self._key else await self._blobs.get(key)

    def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Of a blob that is stored."""
        return self._blobs.read(key, start=start, length=length)

    async def delete_prefix(self, prefix: str) -> int:
        """Of blobs that are stored."""
        return await self._blobs.delete_prefix(prefix)

    async def store(self) -> None:
        """Stores all parts as one blob, durably. Raises what the blob store raises."""
        await self._blobs.put(self._key, msgspec.msgpack.encode(self._parts))


def blob_of(name: str) -> str:
    """The key of the blob that holds what an event names."""
    return name.partition(SEPARATOR)[0]


async def get_named(blobs: ReadBlobs, name: str) -> bytes:
    """The bytes that an event names: a blob, or a part of one. Raises BlobCorrupt, BlobMissing."""
    blob, _, part = name.partition(SEPARATOR)
    content = await blobs.get(blob)
    return content if not part else _part_of(content, blob, part)


def _part_of(content: bytes, blob: str, part: str) -> bytes:
    try:
        return _decoder.decode(content)[part]
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError) as error:
        raise BlobCorrupt(f"{blob} does not hold {part}") from error
