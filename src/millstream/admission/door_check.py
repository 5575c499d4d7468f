"""Whether a service may be opened, asked before anything listens."""

import time

import structlog

from blobs.errors import BlobError
from blobs.store import BlobStore
from domain.api_keys import is_valid
from millstream.admission.door import how_it_stands, refuse_open
from millstream.admission.key_copy import agree
from millstream.admission.key_store import KeyStore
from millstream.settings import Settings

_log = structlog.get_logger()


async def check_door(settings: Settings, store: KeyStore, blobs: BlobStore) -> str:
    """How the door stands. Raises Stop where it would be open to anybody, and LogUnavailable."""
    try:
        await agree(store, blobs)
    except BlobError as error:
        # As with the marker: a blob store that is away stops nobody whose Redis knows its installation.
        _log.warning("keys_not_compared", error=str(error))
    seen = await store.read()
    refuse_open(settings.host, settings.auth, seen.version, open_beyond_loopback=settings.open_beyond_loopback)
    now_us = time.time_ns() // 1_000
    return how_it_stands(settings.auth, seen.version, sum(is_valid(one, now_us) for one in seen.records))
