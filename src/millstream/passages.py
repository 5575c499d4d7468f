"""Passages for a terminal: rank, score, file and page, then the text around what matched."""

import shutil
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from millstream.client_answers import Found, Passage

SNIPPET_CHARS = 280
WIDTH_MAX = 120
LEAD_CHARS = 60
"""How much is shown ahead of the first match."""


def print_passages(found: Found) -> None:
    """To standard output; matches stand out and Chinese wraps right where it is a terminal."""
    is_terminal = sys.stdout.isatty()
    width = min(shutil.get_terminal_size().columns, WIDTH_MAX) if is_terminal else WIDTH_MAX
    console = Console(highlight=False, width=width)
    for rank, passage in enumerate(found.passages, 1):
        _print(console, rank, passage)
    for warning in found.warnings:
        console.print(f"! {warning.message}")
    console.print(f"({found.took_ms:.0f} ms)" if found.passages else "nothing found")


def snippet(text: str, highlights: Sequence[tuple[int, int]]) -> tuple[str, list[tuple[int, int]]]:
    """The part of a text with the most matches in it, on one line, and where the matches lie in that part."""
    start = _best_start(len(text), highlights)
    end = min(len(text), start + SNIPPET_CHARS)
    shown = "".join(" " if character.isspace() else character for character in text[start:end])
    marks = [(first - start, last - start) for first, last in highlights if start <= first and last <= end]
    lead, trail = ("…" if start > 0 else ""), ("…" if end < len(text) else "")
    return f"{lead}{shown}{trail}", [(first + len(lead), last + len(lead)) for first, last in marks]


def _best_start(length: int, highlights: Sequence[tuple[int, int]]) -> int:
    """Where the window begins that holds the most matches; of equals the first."""
    starts = [max(0, min(first - LEAD_CHARS, length - SNIPPET_CHARS)) for first, _ in highlights] or [0]

    def matches(start: int) -> int:
        return sum(start <= first and last <= start + SNIPPET_CHARS for first, last in highlights)

    return max(starts, key=matches)


def _print(console: Console, rank: int, passage: Passage) -> None:
    page = f", page {passage.page}" if passage.page is not None else ""
    console.print(Text.assemble((f"{rank}. ", ""), (f"{passage.score:.2f}", "cyan"), f"  {passage.filename}{page}"))
    console.print(Padding(_shown(passage), (0, 0, 0, 3)))


def _shown(passage: Passage) -> Text:
    """The passage's best part; with its neighbours, where those were asked for, all of it."""
    if passage.context is not None:
        return Text(passage.context.text)
    text, marks = snippet(passage.text, passage.highlights)
    shown = Text(text)
    for first, last in marks:
        shown.stylize("bold", first, last)
    return shown
