"""docs/benchmarks.md between its markers, and the plots beside it, from the results alone."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from bench.bar_plot import Bar, draw
from bench.figures import Bound, Figure, Goal, Of
from bench.pace import PACE_OF_GOALS_NS
from bench.promises import Promise
from bench.results import BUSY_LOAD, Result, Run, read

DOCS: Final = Path(__file__).resolve().parents[1] / "docs"
PAGE: Final = DOCS / "benchmarks.md"
BEGIN: Final = "<!-- figures: written by `make bench-table`, not by hand -->"
END: Final = "<!-- end of figures -->"
HEAD: Final = "| | measured | low to high | beside | ratio | goal | reached | before |"
GOALS_PLOT: Final = "benchmarks-goals.svg"


def render(promises: Sequence[Promise]) -> list[Path]:
    """The files written."""
    found = [(promise, result) for promise in promises if (result := read(promise.name)) is not None]
    plots = {DOCS / GOALS_PLOT: _goals_plot(found), **_peer_plots(found)}
    for path, plot in plots.items():
        path.write_text(plot, encoding="utf-8")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{_page(found)}\n{END}{after}", encoding="utf-8")
    return [PAGE, *plots]


def _page(found: Sequence[tuple[Promise, Result]]) -> str:
    goals = [figure for _, result in found for figure in result.latest.figures if figure.share is not None]
    met = sum(goal_reached(figure) for figure in goals)
    parts = [
        f"{met} of {len(goals)} goals are met. `measured` is the median of the rounds, `ratio` ours to the peer's in",
        "the same run, `before` the figure of an earlier commit (its ratio, where the goal is about one).",
        (
            "The load is that of the minute before, so mostly of the benchmark before; **busy** marks what is "
            f"above {BUSY_LOAD}. How fast the machine was tells what an addition in plain Python took it: goals in "
            f"ms, µs and events a second were set at {PACE_OF_GOALS_NS} ns, and are not moved for a slow day."
        ),
        f"\n![Each figure as a share of its goal]({GOALS_PLOT})",
    ]
    for promise, result in found:
        parts.append(f"\n### {promise.text}\n")
        parts.append(told_of(promise, result.latest))
        parts.append("\n" + "\n".join([HEAD, f"|{'---|' * 8}", *rows_of(result)]))
        if promise.plot:
            parts.append(f"\n![{promise.text}]({_plot_name(promise)})")
    return "\n".join(parts)


def told_of(promise: Promise, run: Run) -> str:
    """How, when and where."""
    where, versions = run.machine, ", ".join(f"{name} {version}" for name, version in run.versions.items())
    load = f"**busy, load {run.load:.1f}**" if run.is_busy else f"load {run.load:.1f}"
    pace = f", {run.pace_ns:.0f} ns an addition" if run.pace_ns else ""
    return (
        f"`make bench ONLY={promise.name}`, {run.date[:10]}, commit `{run.commit}`, {load}{pace}, "
        f"{run.took_seconds:.0f} s; "
        f"{where.architecture}, {where.cores} cores, {where.memory_gib:g} GiB.\n"
        f"<details><summary>versions</summary>{versions}</details>"
    )


def rows_of(result: Result) -> Iterable[str]:
    """A line of the table for each figure of the latest run, beside the earlier one."""
    earlier = {figure.name: figure for figure in result.before.figures} if result.before else {}
    for figure in result.latest.figures:
        spread = f"{_shown(figure.low)} to {_shown(figure.high)}" if figure.rounds > 1 else ""
        peer = f"{figure.peer}: {_shown(figure.peer_value)}" if figure.peer_value is not None else ""
        ratio = f"{figure.ratio:.2f}" if figure.ratio is not None else ""
        goal = _goal(figure.goal) if figure.goal else ""
        reached = "" if figure.share is None else "yes" if goal_reached(figure) else f"**{figure.share:.2f} of it**"
        measured = f"{_shown(figure.value)} {figure.unit}"
        before = _before(earlier.get(figure.name), result.before)
        yield f"| {figure.name} | {measured} | {spread} | {peer} | {ratio} | {goal} | {reached} | {before} |"


def goal_reached(figure: Figure) -> bool:
    """False without a goal."""
    return figure.share is not None and figure.share >= 1


def _goal(goal: Goal) -> str:
    sign = {Bound.AT_LEAST: "≥", Bound.AT_MOST: "≤"}[goal.bound]
    return f"{sign} {goal.number:g}{' x' if goal.of is Of.RATIO else ''}"


def _before(figure: Figure | None, run: Run | None) -> str:
    if figure is None or run is None:
        return ""
    is_ratio = figure.ratio is not None and (figure.goal is None or figure.goal.of is Of.RATIO)
    shown = f"{figure.ratio:.2f} x" if is_ratio else f"{_shown(figure.value)} {figure.unit}"
    return f"{shown} (`{run.commit}`{', busy' if run.is_busy else ''})"


def _shown(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _goals_plot(found: Sequence[tuple[Promise, Result]]) -> str:
    bars = [
        Bar(f"{promise.name}: {figure.name}", figure.share, _of_goal(figure), is_ours=figure.share >= 1)
        for promise, result in found
        for figure in result.latest.figures
        if figure.share is not None
    ]
    return draw("Each figure as a share of its goal (the line is the goal; longer is better)", bars, line=1.0, top=2.0)


def _of_goal(figure: Figure) -> str:
    return f"{figure.share:.2f}" if figure.share is not None else ""


def _peer_plots(found: Sequence[tuple[Promise, Result]]) -> dict[Path, str]:
    plots = {}
    for promise, result in found:
        if promise.plot:
            figures = [figure for figure in result.latest.figures if figure.name.startswith(promise.plot)]
            title = f"{promise.text}: {promise.plot} ({figures[0].unit})" if figures else promise.text
            plots[DOCS / _plot_name(promise)] = draw(title, list(_bars(figures)))
    return plots


def _bars(figures: Sequence[Figure]) -> Iterable[Bar]:
    """Ours once, then each peer."""
    named = set[str]()
    for figure in figures:
        ours = "millstream" if figure.peer_value is not None else figure.name
        for name, value in ((ours, figure.value), (figure.peer, figure.peer_value)):
            if value is not None and name not in named:
                named.add(name)
                yield Bar(name, value, _shown(value), is_ours=name == ours)


def _plot_name(promise: Promise) -> str:
    return f"benchmarks-{promise.name.replace('_', '-')}.svg"
