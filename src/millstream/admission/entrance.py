"""Settings -> everything that admission works with, in one API process."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from secrets import token_bytes

import msgspec
import structlog

from blobs.store import BlobStore
from events.errors import LogError
from millstream.admission.admit import Admission
from millstream.admission.backlog import Backlog
from millstream.admission.bounds import Bounds, owners_by
from millstream.admission.door import Standing, how_it_stands, is_open, standing
from millstream.admission.door_check import check_door
from millstream.admission.failures import FailureBudget
from millstream.admission.intake import Intake
from millstream.admission.key_book import KeyBook
from millstream.admission.key_copy import agree
from millstream.admission.key_ring import KeyRing
from millstream.admission.key_store import KeyStore
from millstream.admission.pacing import Pacer, on_redis
from millstream.admission.redis_key_store import RedisKeyStore
from millstream.admission.route_access import Pace
from millstream.installation import unreachable
from millstream.settings import Settings
from millstream.stores import Stores, clock_us
from millstream.warming import in_background
from projections.queries import Queries

_log = structlog.get_logger()


class Entrance(msgspec.Struct, frozen=True):
    """The keys as this process knows them, the book in which they are changed, and who is let in."""

    ring: KeyRing
    book: KeyBook
    admission: Admission


def ring_of(settings: Settings, store: KeyStore, blobs: BlobStore) -> KeyRing:
    """It knows nothing until it has looked."""
    return KeyRing(
        store,
        is_open=partial(is_open, settings.auth),
        stale_s_max=settings.keys_stale_s_max,
        clock_us=clock_us,
        clock_s=time.monotonic,
        put_back=partial(agree, store, blobs),
    )


def door_of(settings: Settings, ring: KeyRing) -> Callable[[], tuple[Standing, str]]:
    """How the door stands now, by its code and in words."""

    def door() -> tuple[Standing, str]:
        now = settings.auth, ring.version, ring.valid_keys
        return standing(*now), how_it_stands(*now)

    return door


def book_of(store: KeyStore, blobs: BlobStore) -> KeyBook:
    """For whoever may change keys."""
    return KeyBook(store, blobs, clock_us=clock_us, random_bytes=token_bytes)


@asynccontextmanager
async def open_entrance(stores: Stores, queries: Queries, stop: asyncio.Event) -> AsyncIterator[Entrance]:
    """Follows the keys and the backlog until the end. Raises Stop."""
    settings = stores.settings
    store = RedisKeyStore(stores.clients.commands, stores.keys)
    ring = ring_of(settings, store, stores.blobs)
    backlog = Backlog(stores.inbox, waiting_max=settings.backlog_documents_max, clock_s=time.monotonic)
    try:
        door = await check_door(settings, store, stores.blobs)
        await ring.look()
        await backlog.look()
    except LogError as error:
        raise unreachable(settings, error) from None
    _log.info("door", stands=door)
    admission = _admission(stores, ring, backlog, queries)
    async with in_background(ring.follow(stop)), in_background(backlog.follow(stop)):
        yield Entrance(ring, book_of(store, stores.blobs), admission)


def _admission(stores: Stores, ring: KeyRing, backlog: Backlog, queries: Queries) -> Admission:
    settings = stores.settings
    return Admission(
        ring,
        Bounds(owners_by(queries)),
        FailureBudget(settings.auth_failures_per_minute_max, time.monotonic),
        Pacer(on_redis(stores.clients.commands, stores.keys)),
        Intake(
            backlog.check,
            in_flight_max=settings.uploads_in_flight_max,
            in_flight_per_key_max=settings.uploads_in_flight_per_key_max,
        ),
        a_minute={
            Pace.READ: settings.reads_per_minute_max,
            Pace.SEARCH: settings.searches_per_minute_max,
            Pace.WRITE: settings.writes_per_minute_max,
        },
        open_a_minute=settings.open_calls_per_minute_max,
    )
