"""Bytes that an object carries as metadata of its own: two blobs in one PUT, where one is short.

A server that drops metadata says nothing of it (JuiceFS' gateway does, unless it is told otherwise). So whether it is
kept is found out once, by an object that is written, asked for and deleted.
"""

import asyncio
import base64
import binascii
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import structlog

from blobs.errors import BlobError, BlobStoreUnavailable
from blobs.s3_settings import S3Settings
from blobs.s3_upload import S3Call

FIELD: Final = "millstream-sidecar"
"""The name of a metadata field; S3 lets names be of any case, and some servers answer in one of their own."""

PROBE_CALLS: Final = 3
"""They share the time of one call: an upload waits for its own PUT besides."""

_log = structlog.get_logger()


class ObjectMetadata:
    """What one server makes of metadata, up to the length that the settings name; at 0 nobody is asked."""

    def __init__(self, call: S3Call, settings: S3Settings, *, name_of: Callable[[str], str]) -> None:
        self._call = call
        self._call_s_max = settings.call_timeout_s / PROBE_CALLS
        self._bucket = settings.bucket
        self._name_of = name_of
        self._bytes_max = settings.metadata_bytes_max
        self._probing: asyncio.Task[None] | None = None
        self._is_kept: bool | None = None

    async def keeps(self, size_bytes: int) -> bool:
        """Whether the server keeps so much; asked until it has answered. While it does not, it keeps nothing."""
        if size_bytes > self._bytes_max:
            return False
        if self._is_kept is None:
            if self._probing is None:
                self._probing = asyncio.create_task(self._find_out())
            # All who come meanwhile wait for this one: each in turn would wait too long for a server that is silent.
            await asyncio.shield(self._probing)
        return bool(self._is_kept)

    async def _find_out(self) -> None:
        try:
            self._is_kept = await self._probe()
        except BlobStoreUnavailable as away:
            _log.warning("s3_metadata_not_asked", bucket=self._bucket, error=repr(away))
        finally:
            self._probing = None

    async def _probe(self) -> bool:
        """The longest that may be asked of it, and each byte there is. Raises BlobStoreUnavailable."""
        key, expected = f"metadata-check/{secrets.token_hex(16)}", (bytes(range(256)) * 8)[: self._bytes_max]
        where: dict[str, Any] = {"Bucket": self._bucket, "Key": self._name_of(key)}
        call, timeout_s = partial(self._call, key), self._call_s_max
        try:
            await call(lambda s3: s3.put_object(**where, Body=b"", Metadata=carried(expected)), timeout_s=timeout_s)
            found = await call(lambda s3: s3.head_object(**where), timeout_s=timeout_s)
            await call(lambda s3: s3.delete_object(**where), timeout_s=timeout_s)
        except BlobStoreUnavailable:
            raise
        except BlobError as refused:
            _log.warning("s3_metadata_refused", bucket=self._bucket, error=repr(refused))
            return False
        is_kept = carried_by(found) == expected
        if not is_kept:
            _log.warning("s3_metadata_dropped", bucket=self._bucket)
        return is_kept


def carried(metadata: bytes) -> dict[str, str]:
    """As S3 takes it: ASCII that no server trims or folds."""
    return {FIELD: base64.b64encode(metadata).decode()} if metadata else {}


def carried_by(head: Mapping[str, Any]) -> bytes | None:
    """Of what the server says of an object; None where it carries nothing. What somebody else wrote there is told as it
    is, for who reads it to refuse."""
    fields = {name.lower(): value for name, value in head.get("Metadata", {}).items()}
    if FIELD not in fields:
        return None
    try:
        return base64.b64decode(fields[FIELD], validate=True)
    except binascii.Error:
        return str(fields[FIELD]).encode()
