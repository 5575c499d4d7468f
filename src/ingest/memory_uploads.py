"""The registry of resumable uploads in memory: the reference, for tests and for one process that keeps nothing."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from ingest.upload_registry import NewUpload, Outcome, Piece, Upload, UploadKind


class _Entry(msgspec.Struct):
    upload: Upload
    pieces: list[Piece] = []
    finisher: str = ""
    finishing_until_us: int = 0
    kept_until_us: int | None = None


class MemoryUploads:
    """UploadRegistry of one process; no call waits, so each is atomic."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._due: dict[str, tuple[int, str]] = {}

    async def create(self, new: NewUpload, *, expires_us: int, now_us: int, open_max: int) -> Upload | None:
        self._drop_old(now_us)
        if found := self._entries.get(new.upload_id):
            return found.upload
        if sum(actor == new.actor and at_us > now_us for at_us, actor in self._due.values()) >= open_max:
            return None
        upload = Upload(about=new, length=new.length, offset=0, fence=0, pieces=0, expires_us=expires_us)
        self._entries[new.upload_id] = _Entry(upload)
        self._due[new.upload_id] = expires_us, new.actor
        return upload

    async def get(self, upload_id: str) -> Upload | None:
        entry = self._entries.get(upload_id)
        return entry.upload if entry else None

    async def take(self, upload_id: str, *, offset: int, length: int | None = None) -> Upload | None:
        entry = self._entries.get(upload_id)
        if entry is None:
            return None
        upload = entry.upload
        in_force = upload.length if upload.length is not None else length
        is_free = upload.outcome is None and upload.offset == offset and length in {None, in_force}
        if is_free and upload.about.kind is not UploadKind.FINAL:
            entry.upload = replace(upload, fence=upload.fence + 1, length=in_force)
        return entry.upload

    async def record(self, upload_id: str, fence: int, pieces: Sequence[Piece], *, expires_us: int) -> bool:
        entry = self._entries.get(upload_id)
        if entry is None or entry.upload.outcome is not None or entry.upload.fence != fence:
            return False
        end = pieces[-1].offset + pieces[-1].size_bytes
        if entry.upload.offset != pieces[0].offset:
            return entry.upload.offset == end
        entry.pieces.extend(pieces)
        entry.upload = replace(entry.upload, offset=end, pieces=len(entry.pieces), expires_us=expires_us)
        return True

    async def pieces(self, upload_id: str) -> tuple[Piece, ...]:
        entry = self._entries.get(upload_id)
        return tuple(entry.pieces) if entry else ()

    async def begin_finish(self, upload_id: str, holder: str, *, now_us: int, until_us: int) -> bool:
        entry = self._entries.get(upload_id)
        if entry is None or entry.upload.outcome is not None:
            return False
        if entry.finishing_until_us > now_us and entry.finisher != holder:
            return False
        entry.finisher, entry.finishing_until_us = holder, until_us
        return True

    async def stop_finish(self, upload_id: str) -> None:
        if entry := self._entries.get(upload_id):
            entry.finishing_until_us = 0

    async def end(self, upload_id: str, outcome: Outcome, *, kept_until_us: int) -> Upload | None:
        entry = self._entries.get(upload_id)
        if entry is None:
            return None
        if entry.upload.outcome is None:
            entry.upload = replace(entry.upload, outcome=outcome)
            entry.pieces, entry.kept_until_us = [], kept_until_us
        return entry.upload

    async def remove(self, upload_id: str) -> bool:
        return self._entries.pop(upload_id, None) is not None

    async def look_at(self, upload_id: str, actor: str, at_us: int) -> None:
        self._due[upload_id] = at_us, actor

    async def due(self, now_us: int, count: int) -> tuple[str, ...]:
        found = sorted((at_us, upload_id) for upload_id, (at_us, _) in self._due.items() if at_us <= now_us)
        return tuple(upload_id for _, upload_id in found[:count])

    async def forget(self, upload_id: str, actor: str | None) -> None:  # noqa: ARG002  the other keeps them by actor
        self._due.pop(upload_id, None)

    def _drop_old(self, now_us: int) -> None:
        entries = self._entries.items()
        for upload_id in [one for one, entry in entries if (entry.kept_until_us or now_us) < now_us]:
            del self._entries[upload_id]
