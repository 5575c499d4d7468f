"""A dashboard of Grafana as one SVG: its own panels at their own places, drawn from what Prometheus answered.

Grafana is no package that this project could install, so its picture is not Grafana's; titles, places, units and
queries are those of the dashboard file.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final, NamedTuple

WIDTH: Final = 1_200
COLUMN: Final = WIDTH / 24
ROW: Final = 26
GAP: Final = 4
COLOURS: Final = ("#1f6f8b", "#c8553d", "#5b7a3a", "#8a5a9e", "#b8862b", "#3b4a6b", "#a33b5e", "#4f8f86")
SERIES_SHOWN_MAX: Final = 8
LINE: Final = 12
LEVELS: Final = 4
LEGEND_SHOWN_MAX: Final = 46
"""Characters of a legend in a panel of half the width."""


class Series(NamedTuple):
    """Points of unix seconds and values."""

    name: str
    points: list[tuple[float, float]]


class Window(NamedTuple):
    """Unix seconds."""

    begin_s: float
    end_s: float


def draw(dashboard: Mapping[str, Any], answers: Mapping[int, Sequence[Series]], window: Window) -> str:
    """`answers` are the series of each panel by its id; a panel without any says that it has no data."""
    panels: list[dict[str, Any]] = dashboard["panels"]
    height = ROW * max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) + 40
    size = f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11" fill="#222"'
    title = escape(dashboard["title"])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{title}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#f2f3f5"/>',
        f'<text x="10" y="24" font-size="17" font-weight="600">{title}</text>',
        *(_panel(panel, answers.get(panel["id"], []), window) for panel in panels),
    ]
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Mapping[str, Any], series: Sequence[Series], window: Window) -> str:
    place = panel["gridPos"]
    x, y = place["x"] * COLUMN + GAP, 40 + place["y"] * ROW + GAP
    width, height = place["w"] * COLUMN - 2 * GAP, place["h"] * ROW - 2 * GAP
    title = escape(panel["title"])
    if panel["type"] == "row":
        return f'<text x="{x}" y="{y + 14}" font-size="14" font-weight="600">{title}</text>'
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    frame = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="3" fill="#fff" stroke="#d5d8dd"/>'
    head = f'<text x="{x + 8}" y="{y + 16}" font-weight="600">{title}</text>'
    if not any(one.points for one in series):
        inner = f'<text x="{x + width / 2}" y="{y + height / 2 + 6}" text-anchor="middle" fill="#777">No data</text>'
    elif panel["type"] == "stat":
        last = series[0].points[-1][1]
        inner = (
            f'<text x="{x + width / 2}" y="{y + height / 2 + 22}" text-anchor="middle" font-size="30"'
            f' fill="{COLOURS[0]}">{said(last, unit)}</text>'
        )
    else:
        shown = series[:SERIES_SHOWN_MAX]
        inner = _curves(shown, unit, (x + 58, y + 26, width - 78, height - 52 - LINE * ((len(shown) + 1) // 2)), window)
    return frame + head + inner


def _curves(series: Sequence[Series], unit: str, box: tuple[float, float, float, float], window: Window) -> str:
    x, y, width, height = box
    top = rounded_up(max(value for one in series for _, value in one.points), binary=unit in {"bytes", "Bps"})
    parts = []
    for part in range(LEVELS + 1):
        level = y + height - height * part / LEVELS
        parts.append(f'<line x1="{x}" x2="{x + width}" y1="{level:.1f}" y2="{level:.1f}" stroke="#e6e8eb"/>')
        parts.append(
            f'<text x="{x - 6}" y="{level + 4:.1f}" text-anchor="end">{said(top * part / LEVELS, unit)}</text>'
        )
    span_s = window.end_s - window.begin_s
    for part in range(5):
        at = x + width * part / 4
        minutes, seconds = divmod(round(span_s * part / 4), 60)
        parts.append(f'<text x="{at:.1f}" y="{y + height + 15}" text-anchor="middle">{minutes}:{seconds:02}</text>')
    for number, one in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        for run in _runs(one.points, span_s / 20):
            drawn = " ".join(
                f"{x + width * (at - window.begin_s) / span_s:.1f},{y + height - height * value / top:.1f}"
                for at, value in run
            )
            parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        column, line = number % 2, number // 2
        name = escape(_cut(one.name))
        parts.append(
            f'<text x="{x - 48 + column * (width + 60) / 2:.1f}" y="{y + height + 31 + LINE * line}" fill="{colour}">'
            f"&#9472; {name}</text>"
        )
    return "".join(parts)


def _runs(points: Sequence[tuple[float, float]], gap_s: float) -> list[list[tuple[float, float]]]:
    """Cut where values are missing: no line is drawn over what was not measured."""
    runs: list[list[tuple[float, float]]] = []
    for point in points:
        if not runs or point[0] - runs[-1][-1][0] > gap_s:
            runs.append([])
        runs[-1].append(point)
    return runs


def said(value: float, unit: str) -> str:
    """A value as Grafana's unit of that name would tell it."""
    match unit:
        case "bytes" | "Bps":
            power = min(int(math.log2(value) // 10), 3) if value >= 1 else 0
            return f"{value / 1_024**power:.3g} {('B', 'KiB', 'MiB', 'GiB')[power]}" + ("/s" if unit == "Bps" else "")
        case "s":
            return f"{value * 1_000:.3g} ms" if value < 1 else f"{value:.3g} s"
        case "ops" | "eps" | "reqps":
            return f"{value:.3g}/s"
        case _:
            return f"{value:,.3g}" if value < 1_000 else f"{value:,.0f}"


def rounded_up(value: float, *, binary: bool) -> float:
    """The next value that quarters into numbers which are easy to read."""
    if value <= 0:
        return 1.0
    unit = 1_024.0 ** (math.log2(value) // 10) if binary and value >= 1 else 1.0
    tens = 10.0 ** math.floor(math.log10(value / unit))
    return unit * tens * next(step for step in (1, 1.2, 2, 4, 6, 8, 10) if value <= unit * tens * step * 1.000_001)


def _cut(name: str) -> str:
    return name if len(name) <= LEGEND_SHOWN_MAX else name[: LEGEND_SHOWN_MAX - 1] + "…"
