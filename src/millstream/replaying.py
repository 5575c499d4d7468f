"""`millstream replay`: every partition's views rebuilt from the log, with a progress bar and a rate."""

import sys
import time

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from events.errors import LogUnavailable
from millstream.bootstrap import process_name, views_of
from millstream.embedded import reachable_redis
from millstream.errors import Stop
from millstream.installation import unreachable
from millstream.settings import Settings
from millstream.stores import Stores, open_stores
from projections import replay
from projections.errors import RebuildRefused


class ReplayReport(msgspec.Struct, frozen=True):
    """What was rebuilt, and how fast; `generation` is the highest that is live now."""

    partitions: int
    events: int
    seconds: float
    events_per_s: float
    generation: int


async def replay_all(settings: Settings, *, quiet: bool) -> ReplayReport:
    """Rebuilds one partition after the other. Raises Stop."""
    async with reachable_redis(settings.redis_url, settings.data_path) as url:
        settings = msgspec.structs.replace(settings, redis_url=url)
        return await _replay(settings, quiet=quiet)


async def _replay(settings: Settings, *, quiet: bool) -> ReplayReport:
    async with open_stores(settings) as stores:
        try:
            return await _rebuild(stores, quiet=quiet)
        except RebuildRefused as error:
            raise Stop(str(error), hint="wait for the other replay, then start this one again") from None
        except LogUnavailable as error:
            raise unreachable(settings, error) from None


async def _rebuild(stores: Stores, *, quiet: bool) -> ReplayReport:
    views, holder = views_of(stores), process_name("replay")
    started_s, events, generation = time.perf_counter(), 0, 0
    with _bars(quiet=quiet) as bars:
        for partition in range(stores.log.partitions):
            head = await stores.log.head(partition)
            bar = bars.add_task(f"partition {partition}", total=head.number)

            def draw(progress: replay.Progress, bar: TaskID = bar) -> None:
                bars.update(bar, completed=progress.folded, total=max(progress.total, progress.folded))

            rebuilt = await replay.rebuild(stores.log, views, partition, holder=holder, on_progress=draw)
            bars.update(bar, completed=rebuilt.checkpoint.number, total=rebuilt.checkpoint.number)
            events += rebuilt.checkpoint.number
            generation = max(generation, rebuilt.after)
    seconds = time.perf_counter() - started_s
    return ReplayReport(stores.log.partitions, events, round(seconds, 3), events / max(seconds, 1e-9), generation)


def _bars(*, quiet: bool) -> Progress:
    console = Console(file=sys.stderr)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TextColumn("events"),
        TimeElapsedColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
    )
