"""Writing an object only where there is none: `If-None-Match: *`, which S3 has since August 2024 and not every server.

A server that does not know the header ignores it and overwrites, and one that only looks before it writes lets two
through that come at once. So whether it is honoured is found out once, by a race of writers for one key and a late one.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, Final

from botocore.exceptions import ClientError

from blobs.errors import BlobError, BlobExists, BlobMissing, BlobStoreUnavailable
from blobs.s3_errors import code_of
from blobs.s3_upload import S3Call

TAKEN: Final = frozenset({"PreconditionFailed", "412"})
RACED: Final = frozenset({"ConditionalRequestConflict", "409"})
RACERS: Final = 8


class Conditions:
    """What one server makes of conditions, and puts under one."""

    def __init__(self, call: S3Call, *, bucket: str, name_of: Callable[[str], str]) -> None:
        self._call = call
        self._bucket = bucket
        self._name_of = name_of
        self._probing = asyncio.Lock()
        self._are_honoured: bool | None = None

    async def put_new(self, key: str, data: bytes, sha256: str) -> None:
        """Raises BlobExists, and BlobStoreUnavailable where another call for the key was under way."""
        if not await self.are_honoured() and await self._is_there(key):
            raise BlobExists(key)
        if not await self._put(key, data, {"sha256": sha256}):
            raise BlobExists(key)

    async def are_honoured(self) -> bool:
        """Whether this server refuses to overwrite what is there; asked once."""
        async with self._probing:
            if self._are_honoured is None:
                key = f"conditional-put-check/{secrets.token_hex(16)}"
                self._are_honoured = await self._race(key)
                where = {"Bucket": self._bucket, "Key": self._name_of(key)}
                await self._call(key, lambda s3: s3.delete_object(**where))
            return self._are_honoured

    async def _race(self, key: str) -> bool:
        """Whether one of many wins, and nobody who comes later."""
        ends = await asyncio.gather(*(self._compete(key, racer) for racer in range(RACERS)))
        if not any(ends):  # each was told that another is at it, or the server does not know the header and refuses it
            try:
                return await self._put(key, b"", {}) and not await self._put(key, b"", {})
            except BlobError as error:
                if isinstance(error, BlobStoreUnavailable):
                    raise
                return False
        return sum(ends) == 1 and not await self._put(key, b"", {})

    async def _compete(self, key: str, racer: int) -> bool:
        try:
            return await self._put(key, bytes([racer]), {})
        except BlobStoreUnavailable as error:
            if isinstance(error.__cause__, ClientError) and code_of(error.__cause__) in RACED:
                return False
            raise
        except BlobError:
            return False

    async def _put(self, key: str, data: bytes, metadata: dict[str, str]) -> bool:
        """False where an object is there already and the server said so."""
        which: dict[str, Any] = {"Bucket": self._bucket, "Key": self._name_of(key), "Metadata": metadata}
        if self._are_honoured is not False:
            which["IfNoneMatch"] = "*"

        async def put(s3: Any) -> bool:
            try:
                await s3.put_object(**which, Body=data)
            except ClientError as error:
                if code_of(error) in TAKEN:
                    return False
                if code_of(error) in RACED:
                    raise BlobStoreUnavailable(f"Another call was writing {key!r} at the same time.") from error
                raise
            return True

        return await self._call(key, put)

    async def _is_there(self, key: str) -> bool:
        where = {"Bucket": self._bucket, "Key": self._name_of(key)}
        try:
            await self._call(key, lambda s3: s3.head_object(**where))
        except BlobMissing:
            return False
        return True
