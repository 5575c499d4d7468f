"""Settings -> what a replay works with: log, archive and views, without the index and the models that roles load."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from blobs.store import CollectableBlobs
from events.keys import Keys
from events.redis_clients import Clients
from millstream.blob_location import open_blobs
from millstream.installation import connect, open_marked
from millstream.settings import Settings
from projections.redis_views import RedisViews


class ReplayStores(msgspec.Struct, frozen=True, kw_only=True):
    """Each process of a replay has its own."""

    settings: Settings
    clients: Clients
    keys: Keys
    blobs: CollectableBlobs

    @property
    def views(self) -> RedisViews:
        return RedisViews(self.clients.commands, self.keys, makes_leaves=self.settings.list_leaves)


@asynccontextmanager
async def open_replay_stores(settings: Settings) -> AsyncIterator[ReplayStores]:
    """Connects, checks that these are the blobs of this installation, and closes at the end. Raises Stop."""
    clients = connect(settings)
    blobs = open_blobs(settings)
    try:
        keys = await open_marked(settings, clients, blobs)
        yield ReplayStores(settings=settings, clients=clients, keys=keys, blobs=blobs)
    finally:
        await blobs.close()
        await clients.aclose()
