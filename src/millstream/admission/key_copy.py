"""A copy of the keys (digests of secrets, never a secret) among the blobs: a Redis that is lost, or put back from a
backup, neither opens the service nor lets a revoked key in again. Whichever has seen more changes is right.
"""

from typing import Final

import msgspec
import structlog

from blobs.errors import BlobMissing
from blobs.store import BlobStore
from domain.api_keys import KeyRecord
from millstream.admission.key_store import KeysSeen, KeyStore
from millstream.errors import ExitCode, Stop

KEYS_BLOB: Final = "access/keys.json"
FORMAT: Final = 1

_log = structlog.get_logger()


class KeysCopy(msgspec.Struct, frozen=True, kw_only=True):
    """Lies under `access/keys.json`."""

    format: int
    version: int
    records: tuple[KeyRecord, ...]


async def read_copy(blobs: BlobStore) -> KeysSeen | None:
    """None where no key was ever made. Raises Stop for one that cannot be read, and what the blob store raises."""
    try:
        content = await blobs.get(KEYS_BLOB)
    except BlobMissing:
        return None
    try:
        copy = msgspec.json.decode(content, type=KeysCopy)
    except msgspec.DecodeError as error:
        raise _unreadable(f"{KEYS_BLOB} in the blob store cannot be read: {error}") from None
    if copy.format != FORMAT:
        raise _unreadable(f"{KEYS_BLOB} has format {copy.format}, this program knows format {FORMAT}")
    return KeysSeen(copy.version, copy.records)


async def put_copy(store: KeyStore, blobs: BlobStore) -> None:
    """Until the copy is of a version that is still the present one: of two that write it, the later is right."""
    while True:
        seen = await store.read()
        copy = KeysCopy(format=FORMAT, version=seen.version, records=seen.records)
        await blobs.put(KEYS_BLOB, msgspec.json.encode(copy))
        if await store.version() == seen.version:
            return


async def agree(store: KeyStore, blobs: BlobStore) -> None:
    """Brings the two together, whichever is behind. Raises Stop, what the store and what the blob store raise."""
    copy, version = await read_copy(blobs), await store.version()
    if copy is not None and copy.version > version:
        if await store.take_over(copy):
            _log.error("keys_put_back", version=copy.version, lost_from=version, keys=len(copy.records))
    elif version > (0 if copy is None else copy.version):
        await put_copy(store, blobs)


def _unreadable(what: str) -> Stop:
    return Stop(
        what,
        hint="put it back from a copy, or start the version of millstream that wrote it",
        exit_code=ExitCode.CONFIGURATION,
    )
