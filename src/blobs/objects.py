"""Objects that others put where we may only read: the protocol, which keys name one, and a reader in memory."""

from collections.abc import AsyncGenerator, Mapping
from typing import Final, Protocol

from blobs.errors import BlobMissing, InvalidBlobKey

OBJECT_KEY_BYTES_MAX: Final = 1_024
"""What S3 allows."""
_NOT_A_NAME: Final = frozenset({"", ".", ".."})


def check_object_key(key: str) -> str:
    """Return the key if it may name an object: 1 to 1,024 bytes of UTF-8 without control characters, made of segments
    with `/` between them, none of which is empty, `.` or `..`. So no key leads out of the place that is read.

    Raises InvalidBlobKey.
    """
    try:
        length = len(key.encode())
    except UnicodeEncodeError as error:
        raise InvalidBlobKey(key, "it has characters that are no text") from error
    if length > OBJECT_KEY_BYTES_MAX:
        raise InvalidBlobKey(key, f"it is longer than {OBJECT_KEY_BYTES_MAX:,} bytes")
    if any(character < " " or character == "\x7f" for character in key):
        raise InvalidBlobKey(key, "it has control characters")
    if "\\" in key or not _NOT_A_NAME.isdisjoint(key.split("/")):
        raise InvalidBlobKey(key, "it has a segment that is empty, '.' or '..', or a backslash")
    return key


class ObjectReader(Protocol):
    """Reads what lies below one place: a bucket's prefix, a directory."""

    def read(self, key: str) -> AsyncGenerator[bytes, None]:
        """Yield an object's bytes, in pieces of the reader's choosing.

        Raises BlobMissing, InvalidBlobKey and BlobStoreUnavailable.
        """
        ...

    async def close(self) -> None:
        """Release threads and connections; idempotent."""
        ...


class MemoryObjects:
    """Objects in a dictionary: the reference, and the reader of tests."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self.objects = dict(objects)

    async def read(self, key: str) -> AsyncGenerator[bytes, None]:
        """Yield the whole object at once."""
        if check_object_key(key) not in self.objects:
            raise BlobMissing(key)
        yield self.objects[key]

    async def close(self) -> None:
        """Nothing is held."""
