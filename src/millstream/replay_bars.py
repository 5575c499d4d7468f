"""Progress bars over events, on a terminal alone: how many, how fast, how long still."""

import resource
import sys
from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from projections import progress

KIB = 1_024


class RateColumn(ProgressColumn):
    """Events a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} events/s")


def event_bars(*, quiet: bool) -> Progress:
    """Nothing is drawn where nobody looks."""
    console = Console(file=sys.stderr)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TextColumn("events"),
        RateColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
    )


def bar(bars: Progress, description: str, total: int) -> Callable[[progress.Progress], None]:
    """A new bar; what it is told of is drawn."""
    task = bars.add_task(description, total=total)

    def draw(told: progress.Progress) -> None:
        bars.update(task, completed=told.folded, total=max(told.total, told.folded))

    return draw


def peak_memory_bytes() -> int:
    """The most that this process has held at a time."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * KIB
