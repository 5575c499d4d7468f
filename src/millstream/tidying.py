"""`millstream collect` and `millstream reconcile`: upkeep by hand, under the same lease as the workers'."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import msgspec

from blobs.errors import BlobError
from domain.errors import Contention
from events.errors import LogError
from events.log_ends import partitions_cut
from events.redis_setup import durability
from events.redis_turns import RedisTurns
from ingest.reconcile import Reconciled
from ingest.resumable_upkeep import CollectedPieces, collect_pieces
from knowledge.errors import KnowledgeError
from millstream.bootstrap import queries_of
from millstream.embedded import reachable_redis
from millstream.errors import Stop
from millstream.ingesting import ingest_services
from millstream.installation import unreachable
from millstream.process_name import process_name
from millstream.settings import Settings
from millstream.stores import Stores, open_stores
from millstream.telemetry import configure_logging
from millstream.upkeep import LEASE_MS, Turn, collect, orphan_grace, read_noted_ends, sweep
from processors.collected import Collected

PATIENCE_S: Final = LEASE_MS / 1_000 + 5
"""A worker has the lease for a moment every five seconds: who met it there was told to try again in a minute. One that
was killed has it until it ends."""


class CollectReport(msgspec.Struct, frozen=True):
    """What was collected, and what was accepted again before that, where Redis may have lost something."""

    collected: Collected
    pieces: CollectedPieces
    reconciled: Reconciled | None


async def collect_now(settings: Settings, *, dry_run: bool, patience_s: float = PATIENCE_S) -> CollectReport:
    """Raises Stop, also where others are at it for longer than `patience_s`."""
    async with _our_turn(settings, patience_s) as stores:
        services, as_of = ingest_services(stores, queries_of(stores)), datetime.now(UTC)
        reconciled = await sweep(stores, services, dry_run=dry_run) if await _may_have_lost(stores) else None
        return CollectReport(
            await collect(stores, as_of=as_of, dry_run=dry_run),
            await collect_pieces(services, as_of=as_of, grace=orphan_grace(stores), dry_run=dry_run),
            reconciled,
        )


async def reconcile_now(settings: Settings, *, dry_run: bool) -> Reconciled:
    """Raises Stop."""
    async with _our_turn(settings, PATIENCE_S) as stores:
        return await sweep(stores, ingest_services(stores, queries_of(stores)), dry_run=dry_run)


async def _may_have_lost(stores: Stores) -> bool:
    if (await durability(stores.clients.commands)).may_lose:
        return True
    seen = await read_noted_ends(stores)
    return seen is not None and bool(await partitions_cut(stores.log, seen))


@asynccontextmanager
async def _our_turn(settings: Settings, patience_s: float) -> AsyncIterator[Stores]:
    configure_logging(settings, role="upkeep")
    async with reachable_redis(settings.redis_url, settings.data_path) as url:
        settings = msgspec.structs.replace(settings, redis_url=url)
        async with open_stores(settings) as stores:
            try:
                turns = RedisTurns(stores.clients.commands, stores.keys, holder=process_name("upkeep"))
                async with Turn(turns, patience_s=patience_s) as turn:
                    if not turn.is_ours:
                        raise Stop("a worker is at it", hint="try again in a minute")
                    yield stores
            except LogError as error:
                raise unreachable(settings, error) from None
            except (BlobError, KnowledgeError, Contention) as error:
                raise Stop(str(error), hint="what was done stays done; run it again") from None
