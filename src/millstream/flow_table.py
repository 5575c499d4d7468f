"""The flow of the mill as a table for a terminal."""

from collections.abc import Iterator
from typing import Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from events.steps import Step
from projections.system import StepFlow, SystemFlow

IN_ORDER: Final = (
    *(Step.FETCH, Step.PARSE, Step.CHUNK, Step.EMBED, Step.INDEX, Step.FINISH),
    *(Step.REVISE, Step.ERASE, Step.CALLBACK),
)
"""As a document takes them; those of upkeep behind."""

LAG_EVENTS_MANY: Final = 1_000
"""A page of the projector: more is not on its way already."""


def flow_shown(flow: SystemFlow, url: str) -> Iterator[RenderableType]:
    """Head, steps, and what stands still."""
    yield Text.assemble(("millstream ", "bold"), url, f"   {flow.as_of:%H:%M:%S} UTC   last {flow.window_s:.0f} s")
    yield _summary(flow)
    for one in () if flow.standing is None else flow.standing.halted:
        yield Text(one.told, style="bold red")
    yield _steps(flow)


def _summary(flow: SystemFlow) -> Text:
    lag = f"{flow.lag_events:,}"
    parts: list[str | tuple[str, str]] = [
        f"events {flow.events_per_s:,.1f}/s   lag of the views ",
        (lag, "bold red") if flow.lag_events > LAG_EVENTS_MANY else lag,
    ]
    if (standing := flow.standing) is not None:
        workers, letters = f"{standing.workers}", f"{standing.dead_letters:,}"
        parts += ["   workers ", workers if standing.workers else (workers, "bold red")]
        parts += ["   dead letters ", (letters, "yellow") if standing.dead_letters else letters]
        parts += [f"   timers {standing.timers:,}"]
    if (webhooks := flow.webhooks) is not None:
        parts += [f"   webhooks {webhooks.pending:,} waiting, {webhooks.failed:,} failed"]
    return Text.assemble(*parts)


def _steps(flow: SystemFlow) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("step")
    for name in ("waiting", "in hand", "ended/s", "done", "again", "failed", "p50", "p95"):
        table.add_column(name, justify="right")
    known = {one.step: one for one in flow.steps}
    for step in IN_ORDER:
        if step in known:
            table.add_row(*_row(known[step]), style="" if _is_moving(known[step]) else "dim")
    return table


def _row(one: StepFlow) -> list[str | Text]:
    return [
        one.step.value,
        f"{one.waiting:,}",
        f"{one.pending:,}",
        f"{one.ended_per_s:,.1f}",
        f"{one.succeeded:,}",
        Text(f"{one.retried:,}", style="yellow" if one.retried else ""),
        Text(f"{one.failed:,}", style="red" if one.failed else ""),
        _duration(one.duration_p50_ms),
        _duration(one.duration_p95_ms),
    ]


def _is_moving(one: StepFlow) -> bool:
    return bool(one.waiting or one.pending or one.started or one.succeeded or one.retried or one.failed)


def _duration(duration_ms: float | None) -> str:
    if duration_ms is None:
        return ""
    return f"{duration_ms:,.0f} ms" if duration_ms < 10_000 else f"{duration_ms / 1_000:,.0f} s"
