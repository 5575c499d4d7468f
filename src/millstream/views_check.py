"""Whether the views follow the log: what `millstream doctor` asks of a running installation."""

import msgspec

from events.keys import Keys
from events.redis_clients import Clients
from events.redis_log import RedisLog
from millstream.blob_location import open_blobs
from millstream.embedded import EmbeddedRedis
from millstream.errors import Stop
from millstream.installation import connect, open_marked
from millstream.settings import Settings
from projections.freshness import Freshness
from projections.holes import ADVICE, holes
from projections.redis_views import RedisViews


async def check_views(settings: Settings) -> str:
    """How far they are. Raises Stop where they cannot go on."""
    if not settings.redis_url:
        embedded = EmbeddedRedis(settings.data_path)
        if not ((settings.data_path / "redis").exists() and await embedded.is_served()):
            return "nothing runs that could be asked for any"
        settings = msgspec.structs.replace(settings, redis_url=embedded.url)
    blobs = open_blobs(settings)
    try:
        async with connect(settings) as clients:
            try:
                keys = await open_marked(settings, clients, blobs)
            except Stop as stop:
                return f"not looked at; {stop.what}"  # told under what does not answer
            return await _told(clients, keys)
    finally:
        await blobs.close()


async def _told(clients: Clients, keys: Keys) -> str:
    log, views = RedisLog(clients.commands, clients.blocking, keys), RedisViews(clients.commands, keys)
    if found := await holes(log, views):
        raise Stop("; ".join(map(str, found)), hint=ADVICE)
    freshness = Freshness(log, views)
    behind = sum([(await freshness.ask(partition)).events for partition in range(views.partitions)])
    return f"{behind:,} events behind the log"
