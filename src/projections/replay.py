"""Rebuild: everything folded anew into a generation beside the live one, then one swap of the pointer.

The new generation never runs ahead of the live one: at the end the live lease is seized, so that the projector stands
still for the few milliseconds of the last page; both then stand at the same event, and readers cannot see time go back.
Where the log has lost its end (a backup was put back, say) they do: the views then show what the log still has.
"""

import msgspec
import structlog

from events.log import EventLog
from projections.building import (
    begin_beside,
    building,
    come_near,
    drop_generation,
    fold_until,
    given_up_at_the_end,
    seize_live,
)
from projections.bulk_writer import NOBODY, Follower
from projections.errors import RebuildRefused
from projections.progress import Tell, silent
from projections.views import Checkpoint, Commit, Lease, ViewStore
from projections.writer import LEASE_MS

_log = structlog.get_logger(__name__)


class Rebuilt(msgspec.Struct, frozen=True):
    """The generation that was live before and the one that is now, both at `checkpoint` when they were swapped."""

    before: int
    after: int
    checkpoint: Checkpoint


async def rebuild(
    event_log: EventLog,
    views: ViewStore,
    partition: int,
    *,
    holder: str,
    on_progress: Tell = silent,
    follower: Follower = NOBODY,
    drops_old: bool = True,
) -> Rebuilt:
    """Builds, swaps, deletes. `holder` must be nobody else's name. Raises RebuildRefused and what log and store raise.

    A rebuild that is broken off leaves the live generation as it is; the next one deletes what was left.
    """
    live = await views.live_generation(partition)
    writer = await begin_beside(views, partition, live, holder, follower=follower)
    async with building(views, writer):
        await come_near(event_log, views, writer, live, on_progress)
        seized = await seize_live(views, partition, live, holder)
        async with given_up_at_the_end(views, lambda: seized):
            await fold_until(event_log, writer, seized.checkpoint, on_progress)
            if writer.lease.checkpoint.is_behind(seized.checkpoint):
                seized = await _taken_back(views, seized, writer.lease.checkpoint)
            await make_live(views, seized, writer.lease, drops_old=drops_old)
    return Rebuilt(live, live + 1, writer.lease.checkpoint)


async def make_live(views: ViewStore, seized: Lease, built: Lease, *, drops_old: bool = True) -> None:
    """Swaps, and deletes what was live. Raises RebuildRefused."""
    if not await views.swap(seized, built):
        raise RebuildRefused("the live views went on while the new ones were about to replace them")
    if drops_old:
        await drop_generation(views, seized.partition, seized.generation)


async def _taken_back(views: ViewStore, live: Lease, end: Checkpoint) -> Lease:
    """The live views know of events that the log has lost. What the log has is the truth; the swap replaces them."""
    _log.error("log_ends_before_views", partition=live.partition, log=end.number, views=live.checkpoint.number)
    if not await views.commit(Commit(lease=live, checkpoint=end, rows={}, indexes=(), lease_ms=LEASE_MS)):
        raise RebuildRefused("the live views went on while they were about to be replaced")
    return msgspec.structs.replace(live, checkpoint=end)
