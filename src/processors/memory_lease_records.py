"""Records of leases in memory: the reference, and enough for one process alone."""

from collections.abc import Callable

import msgspec

from processors.lease_records import Found, LeaseRecord
from processors.verdicts import Lost, Verdict


class _Kept(msgspec.Struct):
    record: LeaseRecord
    ends_ms: int
    by: str = ""
    by_until_ms: int = 0
    verdict: Verdict | None = None
    is_followed: bool = False


class MemoryLeaseRecords:
    """LeaseRecords of one process. `clock_ms` may not go back."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._kept: dict[str, _Kept] = {}

    async def keep(self, token: str, record: LeaseRecord, *, for_ms: int) -> bool:
        kept = self._kept_or_new(token, record)
        if kept.verdict is not None:
            return False
        kept.ends_ms = self._clock_ms() + for_ms
        return True

    async def renew(self, token: str, *, for_ms: int) -> bool:
        kept = self._living(token)
        if kept is None or kept.verdict is not None:
            return False
        kept.ends_ms = self._clock_ms() + for_ms
        return True

    async def find(self, token: str) -> Found | None:
        kept = self._living(token)
        return None if kept is None else Found(kept.record, kept.verdict, kept.is_followed)

    async def left_ms(self, token: str) -> int:
        kept = self._living(token)
        return 0 if kept is None else kept.ends_ms - self._clock_ms()

    async def take(self, token: str, record: LeaseRecord, *, by: str, for_ms: int, right_ms: int) -> bool:
        kept = self._kept_or_new(token, record)
        if not self._may_end(kept, by):
            return False
        now_ms = self._clock_ms()
        kept.by, kept.by_until_ms, kept.ends_ms = by, now_ms + right_ms, now_ms + for_ms
        return True

    async def settle(self, token: str, record: LeaseRecord, verdict: Verdict, *, by: str, kept_ms: int) -> None:
        kept = self._kept_or_new(token, record)
        if not self._may_end(kept, by):
            return
        if isinstance(verdict, Lost):
            del self._kept[token]
        else:
            kept.verdict, kept.ends_ms = verdict, self._clock_ms() + kept_ms

    async def follow(self, token: str) -> bool:
        kept = self._living(token)
        if kept is None or kept.verdict is None:
            return False
        kept.is_followed = True
        return True

    def _may_end(self, kept: _Kept, by: str) -> bool:
        return kept.verdict is None and (kept.by in {"", by} or kept.by_until_ms <= self._clock_ms())

    def _living(self, token: str) -> _Kept | None:
        kept = self._kept.get(token)
        if kept is not None and kept.ends_ms <= self._clock_ms():
            del self._kept[token]
            return None
        return kept

    def _kept_or_new(self, token: str, record: LeaseRecord) -> _Kept:
        if (kept := self._living(token)) is None:
            kept = self._kept[token] = _Kept(record, self._clock_ms())
        return kept
