"""The readiness check of every store: whether a blob can be written, read back and deleted."""

import secrets

from blobs.errors import BlobError, BlobStoreUnavailable
from blobs.store import BlobStore


async def check_by_probe(store: BlobStore, *, advice: str) -> None:
    """Write, read and delete a probe under `readiness-check/`.

    Raises BlobStoreUnavailable: what failed, then `advice`, a sentence saying what to do.
    """
    token = secrets.token_hex(16)
    key = f"readiness-check/{token}"
    expected = token.encode()
    try:
        await store.put(key, expected)
        found = await store.get(key)
        await store.delete(key)
    except BlobError as error:
        raise BlobStoreUnavailable(f"{error} {advice}") from error
    if found != expected:
        raise BlobStoreUnavailable(f"A blob that was just written read back differently. {advice}")
