"""Creating, rotating and revoking keys, by whoever may: each change is told in the log and copied among the blobs."""

import hashlib
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from blobs.errors import BlobError
from blobs.store import BlobStore
from domain.api_keys import SECRET_BYTES, KeyRecord, NewKey, new_key, revoked, rotated
from domain.errors import Contention, RefusalCode, Refused
from millstream.admission.key_copy import put_copy
from millstream.admission.key_store import KeyStore

CHANGES_MAX: Final = 10
ID_BYTES: Final = 8

_log = structlog.get_logger()


class Shown(msgspec.Struct, frozen=True):
    """A key after a change. `api_key` is the key itself, this once; None where the request is a repeated one."""

    record: KeyRecord
    api_key: str | None


class KeyBook:
    """Raises Contention, and what store and blob store raise. `clock_us` is unix µs."""

    def __init__(
        self, store: KeyStore, blobs: BlobStore, *, clock_us: Callable[[], int], random_bytes: Callable[[int], bytes]
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._clock_us = clock_us
        self._random_bytes = random_bytes

    async def all(self) -> tuple[KeyRecord, ...]:
        """The newest first."""
        return tuple(sorted((await self._store.read()).records, key=lambda one: (-one.created_at_us, one.id)))

    async def used(self) -> dict[str, int]:
        """When keys were used last, unix µs."""
        return await self._store.used()

    async def find(self, key_id: str) -> KeyRecord:
        """Raises Refused (unknown_key)."""
        for record in (await self._store.read()).records:
            if record.id == key_id:
                return record
        raise Refused(RefusalCode.UNKNOWN_KEY, "there is no key with this id")

    async def create(self, asked: NewKey, actor: str, *, idempotency_key: str | None = None) -> Shown:
        """Under the same Idempotency-Key the same key, but never again the key itself: nothing of it is kept.

        Raises Refused (validation_failed, idempotency_key_reused).
        """
        key_id = self._random_bytes(ID_BYTES).hex()
        request_sha256 = None
        if idempotency_key is not None:
            key_id = _digest(actor, idempotency_key)[: 2 * ID_BYTES]
            request_sha256 = hashlib.sha256(msgspec.json.encode(asked)).hexdigest()
        record, text = new_key(
            asked,
            key_id=key_id,
            secret=self._random_bytes(SECRET_BYTES),
            now_us=self._clock_us(),
            created_by=actor,
            request_sha256=request_sha256,
        )
        for _ in range(CHANGES_MAX):
            if await self._store.put(record, before=None):
                _log.warning("key_created", key=record.id, name=record.name, scopes=record.scopes, actor=actor)
                await self._copy()
                return Shown(record, text)
            if idempotency_key is not None:
                try:
                    before = await self.find(key_id)
                except Refused:
                    continue
                return _repeated(before, before.request_sha256 == request_sha256)
        raise _contention()

    async def revoke(self, key_id: str, actor: str) -> KeyRecord:
        """Within a second it opens nothing anywhere. Raises Refused (unknown_key)."""
        for _ in range(CHANGES_MAX):
            before = await self.find(key_id)
            after = revoked(before, self._clock_us())
            if after == before:
                return before
            if await self._store.put(after, before=before):
                _log.warning("key_revoked", key=key_id, name=after.name, actor=actor)
                await self._copy()
                return after
        raise _contention()

    async def rotate(self, key_id: str, actor: str, *, overlap_s: int, idempotency_key: str | None = None) -> Shown:
        """Raises Refused (unknown_key, key_ended)."""
        rotation_sha256 = None if idempotency_key is None else _digest(actor, key_id, idempotency_key, str(overlap_s))
        for _ in range(CHANGES_MAX):
            before = await self.find(key_id)
            if rotation_sha256 is not None and before.rotation_sha256 == rotation_sha256:
                return Shown(before, None)
            after, text = rotated(
                before,
                secret=self._random_bytes(SECRET_BYTES),
                now_us=self._clock_us(),
                overlap_us=overlap_s * 1_000_000,
                rotation_sha256=rotation_sha256,
            )
            if await self._store.put(after, before=before):
                _log.warning("key_rotated", key=key_id, name=after.name, overlap_s=overlap_s, actor=actor)
                await self._copy()
                return Shown(after, text)
        raise _contention()

    async def _copy(self) -> None:
        """The change holds already. Where the copy fails, upkeep makes it within a minute."""
        try:
            await put_copy(self._store, self._blobs)
        except BlobError as error:
            _log.warning("keys_not_copied", error=str(error))


def _repeated(record: KeyRecord, is_same: bool) -> Shown:
    if not is_same:
        raise Refused(
            RefusalCode.IDEMPOTENCY_KEY_REUSED,
            "this Idempotency-Key came with another request before; use a new key for a new request",
        )
    return Shown(record, None)


def _digest(*parts: str) -> str:
    return hashlib.sha256(msgspec.msgpack.encode(parts)).hexdigest()


def _contention() -> Contention:
    return Contention("the keys kept changing while one was being changed")
