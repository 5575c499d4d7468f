"""Whether the views follow the log: what `millstream doctor` asks of a running installation."""

from domain.amounts import counted
from events.redis_log import RedisLog
from millstream.errors import Stop
from millstream.running import NotAsked, Running, asking
from millstream.settings import Settings
from projections.freshness import Freshness
from projections.holes import ADVICE, holes
from projections.redis_views import RedisViews


async def check_views(settings: Settings) -> str:
    """How far they are. Raises Stop where they cannot go on."""
    try:
        async with asking(settings) as running:
            return await _told(running)
    except NotAsked as why:
        return str(why)


async def _told(running: Running) -> str:
    clients, keys = running.clients, running.keys
    log, views = RedisLog(clients.commands, clients.blocking, keys), RedisViews(clients.commands, keys)
    if found := await holes(log, views):
        raise Stop("; ".join(map(str, found)), hint=ADVICE)
    freshness = Freshness(log, views)
    behind = sum([(await freshness.ask(partition)).events for partition in range(views.partitions)])
    return f"{counted(behind, 'event')} behind the log"
