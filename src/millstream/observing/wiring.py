"""Open stores -> what each role shows of itself."""

from millstream.notifying import deliveries_of, subscriptions_of
from millstream.observing import catalogue
from millstream.observing.installation import Installation
from millstream.observing.registry import Registry
from millstream.observing.scrape import Scrape
from millstream.stores import Stores, clock_us, needs_replica
from projections.changes import ChangeTailer
from projections.redis_standing import RedisStanding
from projections.redis_views import RedisViews
from projections.system import System
from projections.webhook_flow import WebhookCounts


def api_scrape(stores: Stores, tailer: ChangeTailer, *, process: str) -> Scrape:
    """Figures of the installation, and of this process."""
    system = System(
        stores.log,
        RedisViews(stores.clients.commands, stores.keys),
        stores.inbox,
        clock_us=clock_us,
        webhooks=WebhookCounts(subscriptions_of(stores), deliveries_of(stores)),
    )
    installation = Installation(system, standing_of(stores), stores.clients.commands, stores.keys)

    def before(figures: Registry) -> None:
        figures.set(catalogue.SSE_SUBSCRIBERS, tailer.count)

    return Scrape(stores.figures, role="api", process=process, look=installation.look, before=before)


def standing_of(stores: Stores) -> RedisStanding:
    """Dead letters, timers and workers of the installation, and what stands still for want of a replica."""
    return RedisStanding(
        stores.clients.commands,
        stores.keys,
        lease_ms=stores.settings.lease_s * 1_000,
        clock_ms=lambda: clock_us() // 1_000,
        needs_replica=needs_replica(stores.settings),
    )


def own_scrape(stores: Stores, *, role: str, process: str) -> Scrape:
    """Figures of a worker or projector: of the process alone, without asking Redis."""
    return Scrape(stores.figures, role=role, process=process)
