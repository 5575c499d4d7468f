"""The keys as one API process knows them: looked up in memory, behind the store by at most the pause between two looks.

Every request that was let in holds a visit. When its key ends (revoked, expired, rotated away) so does the visit, and
with it the streams and uploads that are under way.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Final, Self

import structlog

from blobs.errors import BlobError
from domain.api_keys import KeyLimits, KeyRecord, PresentedKey, is_valid, opens
from events.errors import LogError, LogUnavailable
from events.seldom import Seldom
from millstream.admission.key_store import KeyStore
from millstream.errors import Stop

LOOK_S: Final = 0.5
"""One HGET; with it a change is known everywhere within a second."""

ANSWER_S_MAX: Final = 2.0
"""How long the store may take to answer a look."""

USED_NOTED_S: Final = 60.0
TOLD_EVERY_S: Final = 10.0

_log = structlog.get_logger()


class Visit:
    """One request that was let in, as long as it lasts: a context manager. `presented` None: the service was open."""

    def __init__(self, presented: PresentedKey | None, visits: "Visits") -> None:
        self.presented = presented
        self.ended = asyncio.Event()
        self._visits = visits

    def __enter__(self) -> Self:
        self._visits[self.presented].add(self)
        return self

    def __exit__(self, *_: object) -> None:
        holders = self._visits[self.presented]
        holders.discard(self)
        if not holders:
            del self._visits[self.presented]


Visits = defaultdict[PresentedKey | None, set[Visit]]


class KeyRing:
    """`is_open(version)` says whether a service that saw so many changes needs no key. Clocks: unix µs, monotonic s.

    Without an answer of the store nothing that needs a key goes on for longer than `stale_s_max`. A store that has lost
    changes is asked to put them back, from its copy; until it has, what it says counts as no answer: an empty one must
    not open the service.
    """

    def __init__(
        self,
        store: KeyStore,
        *,
        is_open: Callable[[int], bool],
        stale_s_max: float,
        clock_us: Callable[[], int],
        clock_s: Callable[[], float],
        put_back: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._put_back = put_back
        self._is_open = is_open
        self.stale_s_max = stale_s_max
        self._clock_us = clock_us
        self._clock_s = clock_s
        self._records: dict[str, KeyRecord] = {}
        self._version = -1
        self._seen_s = clock_s()
        self._visits: Visits = defaultdict(set)
        self._used: dict[str, int] = {}
        self._used_noted_s = clock_s()

    @property
    def is_open(self) -> bool:
        """Whether requests need no key now."""
        return self._is_open(self.version)

    @property
    def version(self) -> int:
        """Of the last change that was seen; 0 as long as no key was ever made."""
        return max(self._version, 0)

    @property
    def valid_keys(self) -> int:
        """Keys that open something."""
        now_us = self._clock_us()
        return sum(is_valid(one, now_us) for one in self._records.values())

    @property
    def silence_s(self) -> float:
        """Since the store answered last: a change may be unknown here for so long."""
        return self._clock_s() - self._seen_s

    def find(self, presented: PresentedKey) -> KeyRecord | None:
        """The record of a key that is good now."""
        record = self._records.get(presented.id)
        now_us = self._clock_us()
        if not opens(record, presented, now_us) or record is None:
            return None
        self._used[record.id] = now_us
        return record

    def limits_of(self, actor: str) -> KeyLimits:
        """Of the key that an actor is; nobody's are as set."""
        record = self._records.get(actor)
        return KeyLimits() if record is None else record.limits

    def visit(self, presented: PresentedKey | None) -> Visit:
        """Lasts as long as the request, and ends early when the key does."""
        return Visit(presented, self._visits)

    async def look(self) -> None:
        """Takes over what changed and ends what has to end. Raises LogUnavailable, also where changes were lost."""
        version = await self._store.version()
        if version < self._version and self._put_back is not None:
            await self._put_back()
        if version != self._version:
            seen = await self._store.read()
            if seen.version < self._version:
                raise LogUnavailable(f"keys are known as of version {self._version}, the store has {seen.version}")
            self._version, self._records = seen.version, {one.id: one for one in seen.records}
        self._seen_s = self._clock_s()
        self.end_visits()

    def end_visits(self) -> None:
        """Of keys that open nothing any more, or that nobody could ask about for too long; without keys, once they are
        needed."""
        now_us, is_stale = self._clock_us(), self.silence_s > self.stale_s_max
        for presented, visits in list(self._visits.items()):
            is_good = (
                self.is_open
                if presented is None
                else not is_stale and opens(self._records.get(presented.id), presented, now_us)
            )
            if not is_good:
                for visit in visits:
                    visit.ended.set()

    async def follow(self, stop: asyncio.Event) -> None:
        """Looks until `stop`. Without an answer what is known stays, and `silence_s` grows."""
        told = Seldom(TOLD_EVERY_S)
        while not stop.is_set():
            try:
                async with asyncio.timeout(ANSWER_S_MAX):
                    await self.look()
                    await self._note_used()
            except (LogError, BlobError, Stop, TimeoutError) as error:
                self.end_visits()
                if (kept_back := told.due()) is not None:
                    _log.error("keys_not_seen", reason=str(error) or type(error).__name__, kept_back=kept_back)
            try:
                await asyncio.wait_for(stop.wait(), LOOK_S)
            except TimeoutError:
                continue

    async def _note_used(self) -> None:
        if self._used and self._clock_s() - self._used_noted_s >= USED_NOTED_S:
            used, self._used = self._used, {}
            self._used_noted_s = self._clock_s()
            await self._store.note_used(used)
