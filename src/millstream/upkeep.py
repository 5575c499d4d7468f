"""Upkeep: what one worker at a time does besides its steps. Lost uploads are accepted again, orphans are collected.

In this order: a collector that looked at a log which has lost its end would delete what was only forgotten.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import structlog

from blobs.errors import BlobError, BlobMissing
from domain.errors import Contention
from events.errors import LogError
from events.log import Head
from events.log_ends import LogEnds, decode_ends, encode_ends, partitions_cut, read_ends, risen
from events.redis_setup import Durability, durability
from events.redis_turns import RedisTurns
from events.seldom import Seldom
from ingest.reconcile import Reconciled, reconcile
from ingest.resumable_upkeep import collect_pieces, tend_uploads
from ingest.services import IngestServices
from knowledge.errors import KnowledgeError
from millstream.admission.key_copy import agree
from millstream.admission.redis_key_store import RedisKeyStore
from millstream.loss_watch import raise_where_lost
from millstream.stores import Stores
from processors.collected import Collected
from processors.collector import Collector

ENDS_BLOB: Final = "upkeep/log-ends.json"
"""Where the log ended a minute ago: not in Redis, so that a Redis put back from a backup is noticed."""

LOOK_S: Final = 3.0
"""How often the log is looked at: some twenty short calls."""

ENDS_KEPT_MS: Final = 60_000
"""How often its end is noted: what is lost and was younger is noticed by who was running, or by nobody."""

BROUGHT_ON_FOR_MS: Final = 5_000
"""How often knowledge bases are looked at that get another index."""

TENDED_FOR_MS: Final = 15_000
"""How often resumable uploads are looked at whose clients did not come back."""

LEASE_MS: Final = 30_000
RENEW_S: Final = LEASE_MS / 3_000
ASKED_AGAIN_S: Final = 0.1
"""For a lease that another has, by who waits for it."""

AFTER_TROUBLE_S: Final = 60.0
"""Pause behind a store or an index that fails and behind an error that nobody expected, so that what fails is not asked
twenty times a minute; both say so in the log. No setting: what is due stays due."""

SWEPT_FOR_MS: Final = 7 * 86_400_000
"""How long it is remembered that a loss was made good."""

_log = structlog.get_logger()


class Loss(msgspec.Struct, frozen=True):
    """A reason to sweep, by a name that all workers give it, and when to sweep again (monotonic seconds).

    A sweep leaves young sidecars alone, and what was lost last is as young as the loss.
    """

    name: str
    again_s: float


class Upkeep:
    """One process's share. `holder` is unique to it."""

    def __init__(
        self, stores: Stores, services: IngestServices, *, bring_on: Callable[[], Awaitable[None]], holder: str
    ) -> None:
        """`bring_on` looks after indexes that are being built."""
        self._bring_on = bring_on
        self._stores = stores
        self._services = services
        self._turns = RedisTurns(stores.clients.commands, stores.keys, holder=holder)
        self._run_id: str | None = None
        self._ends: LogEnds | None = None
        self._losses: list[Loss] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Looks until `stop`. Whatever goes wrong is tried again: what is due stays due."""
        told = Seldom(AFTER_TROUBLE_S)
        while not stop.is_set():
            pause_s = LOOK_S
            try:
                await self.look()
            except LogError as error:
                if (kept_back := told.due()) is not None:
                    _log.warning("upkeep_waits_for_log", error=type(error).__name__, kept_back=kept_back)
            except (BlobError, KnowledgeError, Contention) as error:
                _log.warning(
                    "upkeep_delayed", error=type(error).__name__, reason=str(error), again_in_s=AFTER_TROUBLE_S
                )
                pause_s = AFTER_TROUBLE_S
            except Exception:
                _log.exception("upkeep_broke", again_in_s=AFTER_TROUBLE_S)
                pause_s = AFTER_TROUBLE_S
            try:
                await asyncio.wait_for(stop.wait(), pause_s)
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Notices losses, and does what is due, if nobody else is at it. Raises what the stores raise."""
        server = await durability(self._stores.clients.commands)
        await self._notice(server)
        if not await self._is_due():
            return
        async with Turn(self._turns) as turn:
            if turn.is_ours:
                await self._make_good()
                await self._note_ends()
                await self._tend_uploads()
                await self._bring_indexes_on()
                if not self._losses:
                    await self._collect(server)

    async def _notice(self, server: Durability) -> None:
        """Of what is lost the epoch tells, whoever has raised it."""
        seen = self._ends or await read_noted_ends(self._stores) or LogEnds()
        await raise_where_lost(self._stores.seen, self._stores.log, self._stores.epochs)
        for partition in await partitions_cut(self._stores.log, seen):
            await self._raise(partition, seen.heads[partition])
        ends = await read_ends(self._stores.log)
        lost = [f":{partition}@{head.epoch}" for partition, head in risen(ends, seen)]
        is_new_run = server.run_id != self._run_id
        if lost or (is_new_run and server.may_lose):
            name = f"swept:{server.run_id}{''.join(lost)}"
            again_s = time.monotonic() + self._stores.settings.reconcile_age_s + 1
            self._losses.append(Loss(name, again_s))
        self._run_id, self._ends = server.run_id, ends

    async def _raise(self, partition: int, was: Head) -> None:
        if was.position is not None:
            is_ours = await self._stores.epochs.raise_epoch(partition, was.position)
            _log.error("log_lost_its_end", partition=partition, was_at=str(was.position), raised=is_ours)

    async def _is_due(self) -> bool:
        if self._losses:
            return True
        return not all([await self._turns.is_done(name) for name in ("noted", "tended", "brought_on", "collected")])

    async def _make_good(self) -> None:
        for loss in list(self._losses):
            if not await self._turns.is_done(loss.name):
                await self._sweep()
                await self._turns.done(loss.name, for_ms=SWEPT_FOR_MS)
            if time.monotonic() >= loss.again_s:
                if not await self._turns.is_done(f"{loss.name}:again"):
                    await self._sweep()
                    await self._turns.done(f"{loss.name}:again", for_ms=SWEPT_FOR_MS)
                self._losses.remove(loss)

    async def _note_ends(self) -> None:
        """With the copy of the keys. Not while a loss is being made good: until then the note is what tells of it."""
        if self._losses or await self._turns.is_done("noted"):
            return
        await self._stores.blobs.put(ENDS_BLOB, encode_ends(await read_ends(self._stores.log)))
        await agree(RedisKeyStore(self._stores.clients.commands, self._stores.keys), self._stores.blobs)
        await self._turns.done("noted", for_ms=ENDS_KEPT_MS)

    async def _tend_uploads(self) -> None:
        if await self._turns.is_done("tended"):
            return
        tended = await tend_uploads(self._services)
        if tended.finished or tended.expired:
            _log.info("uploads_tended", **{name: getattr(tended, name) for name in tended.__struct_fields__})
        await self._turns.done("tended", for_ms=TENDED_FOR_MS)

    async def _bring_indexes_on(self) -> None:
        if await self._turns.is_done("brought_on"):
            return
        await self._bring_on()
        await self._turns.done("brought_on", for_ms=BROUGHT_ON_FOR_MS)

    async def _collect(self, server: Durability) -> None:
        if await self._turns.is_done("collected"):
            return
        as_of = datetime.now(UTC)
        if server.may_lose:
            await self._sweep()
        await collect(self._stores, as_of=as_of, dry_run=False)
        await collect_pieces(self._services, as_of=as_of, grace=orphan_grace(self._stores), dry_run=False)
        await self._turns.done("collected", for_ms=self._stores.settings.collect_interval_s * 1_000)

    async def _sweep(self) -> Reconciled:
        return await sweep(self._stores, self._services, dry_run=False)


class Turn:
    """The lease on upkeep, renewed as long as the block lasts; `is_ours` is False where somebody else had it for all of
    `patience_s`."""

    def __init__(self, turns: RedisTurns, *, patience_s: float = 0) -> None:
        self._turns = turns
        self._patience_s = patience_s
        self._renewing: asyncio.Task[None] | None = None
        self.is_ours = False

    async def __aenter__(self) -> "Turn":
        self.is_ours = await self._turns.take(ttl_ms=LEASE_MS)
        gives_up_s = time.monotonic() + self._patience_s
        while not self.is_ours and time.monotonic() < gives_up_s:
            await asyncio.sleep(ASKED_AGAIN_S)
            self.is_ours = await self._turns.take(ttl_ms=LEASE_MS)
        if self.is_ours:
            self._renewing = asyncio.create_task(self._renew())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._renewing is None:
            return
        self._renewing.cancel()
        await asyncio.gather(self._renewing, return_exceptions=True)
        try:
            await self._turns.give_back()
        except LogError as error:
            # It ends by itself.
            _log.info("upkeep_lease_left", error=type(error).__name__)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self._turns.take(ttl_ms=LEASE_MS)
            except LogError as error:
                _log.info("upkeep_lease_not_renewed", error=type(error).__name__)


async def sweep(stores: Stores, services: IngestServices, *, dry_run: bool) -> Reconciled:
    """Raises what `reconcile` raises."""
    settings = stores.settings
    # What is old enough to be collected must be old enough to be saved.
    youngest = timedelta(seconds=min(settings.reconcile_age_s, settings.orphan_grace_s))
    return await reconcile(services, youngest=youngest, dry_run=dry_run)


async def collect(stores: Stores, *, as_of: datetime, dry_run: bool) -> Collected:
    """`as_of` lies before any sweep that belongs to it. Raises what `Collector.run` raises."""
    grace = orphan_grace(stores)
    collector = Collector(stores.log, stores.blobs, stores.index, as_of=as_of, grace=grace, dry_run=dry_run)
    return await collector.run()


def orphan_grace(stores: Stores) -> timedelta:
    """How old a blob is that nobody can be about to name any more."""
    return timedelta(seconds=stores.settings.orphan_grace_s)


async def read_noted_ends(stores: Stores) -> LogEnds | None:
    """None where nobody has noted any yet."""
    try:
        return decode_ends(await stores.blobs.get(ENDS_BLOB))
    except BlobMissing:
        return None
