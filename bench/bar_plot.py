"""A chart of horizontal bars as SVG, written by hand; the number beside each bar makes it readable without colours."""

from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

WIDTH: Final = 860
LEFT, RIGHT, TOP, BOTTOM = 350, 90, 44, 16
ROW, THICK = 22, 14
OURS, OTHERS = "#1f6f8b", "#c8553d"


class Bar(NamedTuple):
    """`told` is written behind the bar."""

    name: str
    value: float
    told: str
    is_ours: bool


def draw(title: str, bars: Sequence[Bar], *, line: float | None = None, top: float | None = None) -> str:
    """The chart as a document of its own; `line` marks a value, bars beyond `top` are cut there."""
    height = TOP + ROW * len(bars) + BOTTOM
    scale = (WIDTH - LEFT - RIGHT) / (top or max((bar.value for bar in bars), default=1.0) or 1.0)
    size = f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12" fill="#222"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="16" y="24" font-size="15" font-weight="600">{escape(title)}</text>',
    ]
    for number, bar in enumerate(bars):
        y, width = TOP + ROW * number, min(bar.value * scale, WIDTH - LEFT - RIGHT)
        colour = OURS if bar.is_ours else OTHERS
        parts += [
            f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(bar.name)}</text>',
            f'<rect x="{LEFT}" y="{y}" width="{max(width, 1):.1f}" height="{THICK}" fill="{colour}"/>',
            f'<text x="{LEFT + width + 6:.1f}" y="{y + 12}">{escape(bar.told)}</text>',
        ]
    if line is not None:
        x = LEFT + line * scale
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{height - 8}" stroke="#222"/>')
    return "\n".join([*parts, "</svg>", ""])
