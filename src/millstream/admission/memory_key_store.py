"""API keys in memory: the reference, for tests."""

from collections.abc import Mapping

from domain.api_keys import KeyRecord
from millstream.admission.key_store import KeysSeen


class MemoryKeyStore:
    """KeyStore of one process."""

    def __init__(self) -> None:
        self._version = 0
        self._records: dict[str, KeyRecord] = {}
        self._used: dict[str, int] = {}

    async def version(self) -> int:
        return self._version

    async def read(self) -> KeysSeen:
        return KeysSeen(self._version, tuple(self._records[key] for key in sorted(self._records)))

    async def put(self, record: KeyRecord, *, before: KeyRecord | None) -> bool:
        if self._records.get(record.id) != before:
            return False
        self._records[record.id] = record
        self._version += 1
        return True

    async def take_over(self, seen: KeysSeen) -> bool:
        if self._version >= seen.version:
            return False
        self._version, self._records = seen.version, {one.id: one for one in seen.records}
        return True

    async def note_used(self, used_at_us: Mapping[str, int]) -> None:
        self._used.update(used_at_us)

    async def used(self) -> dict[str, int]:
        return dict(self._used)
