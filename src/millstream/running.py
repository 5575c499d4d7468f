"""The installation that runs with some settings, for checks that ask it something and start nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import msgspec

from blobs.store import BlobStore
from events.keys import Keys
from events.redis_clients import Clients
from millstream.blob_location import open_blobs
from millstream.embedded import EmbeddedRedis
from millstream.errors import Stop
from millstream.installation import connect, open_marked
from millstream.settings import Settings


class NotAsked(Exception):
    """Nothing can be asked; the message says why, and is no finding: what does not answer is told of where it is asked
    whether it does."""


class Running(NamedTuple):
    """Its stores."""

    clients: Clients
    keys: Keys
    blobs: BlobStore


async def where_it_runs(settings: Settings) -> Settings:
    """The settings with the Redis that `millstream up` started, where they name none. Raises NotAsked."""
    if settings.redis_url:
        return settings
    embedded = EmbeddedRedis(settings.data_path)
    if not ((settings.data_path / "redis").exists() and await embedded.is_served()):
        raise NotAsked("nothing runs that could be asked for any")
    return msgspec.structs.replace(settings, redis_url=embedded.url)


@asynccontextmanager
async def asking(settings: Settings) -> AsyncIterator[Running]:
    """Its stores, while the body lasts. Raises NotAsked."""
    settings = await where_it_runs(settings)
    blobs = open_blobs(settings)
    try:
        async with connect(settings) as clients:
            try:
                keys = await open_marked(settings, clients, blobs)
            except Stop as stop:
                raise NotAsked(f"not looked at; {stop.what}") from stop
            yield Running(clients, keys, blobs)
    finally:
        await blobs.close()
