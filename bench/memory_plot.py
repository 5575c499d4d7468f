"""A line chart as SVG, written by hand: events to the right, bytes upwards."""

from typing import Final, NamedTuple

WIDTH: Final = 860
HEIGHT: Final = 420
LEFT, RIGHT, TOP, BOTTOM = 78, 48, 56, 62
COLOURS: Final = ("#1f6f8b", "#c8553d", "#5b7a3a")
STEPS: Final = 5
MEBIBYTE: Final = 1_048_576


class Curve(NamedTuple):
    """Points of events and bytes."""

    name: str
    points: list[tuple[int, int]]


def draw(title: str, curves: list[Curve]) -> str:
    """The chart as a document of its own; dark text on a white ground, readable without colours by its labels."""
    right = max(x for curve in curves for x, _ in curve.points)
    top = _rounded_up(max(y for curve in curves for _, y in curve.points) / MEBIBYTE)
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13" fill="#222"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{title}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="26" font-size="15" font-weight="600">{title}</text>',
        *(_level(top * step / STEPS, top) for step in range(STEPS + 1)),
        *(_column(right * step / STEPS, right) for step in range(STEPS + 1)),
        f'<text x="{LEFT + (WIDTH - LEFT - RIGHT) / 2}" y="{HEIGHT - 14}" text-anchor="middle">events appended</text>',
    ]
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{_x(x, right):.1f},{_y(y / MEBIBYTE, top):.1f}" for x, y in curve.points)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{LEFT + 10 + 190 * number}" y="46" fill="{colour}">&#9472; {curve.name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _level(mebibytes: float, top: float) -> str:
    y = _y(mebibytes, top)
    return (
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{mebibytes:.0f} MiB</text>'
    )


def _column(events: float, right: float) -> str:
    return f'<text x="{_x(events, right):.1f}" y="{HEIGHT - 40}" text-anchor="middle">{events:,.0f}</text>'


def _x(events: float, right: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * events / right


def _y(mebibytes: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * mebibytes / top


def _rounded_up(value: float) -> float:
    step = 10.0
    while value > 10 * step:
        step *= 2
    return step * (value // step + 1)
