"""Pure: where a text may be cut: stretches that an edit elsewhere leaves alone, and pieces of sentences too long."""

import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from knowledge.chunk import TOKEN, count_tokens

Span = tuple[int, int]

# A paragraph in so many begins a stretch. Which ones, their first words decide: where text is put in or taken out, the
# stretches before and behind stay the same, and with them the chunks, their ids and vectors.
STRETCH_PARAGRAPHS: Final = 12
ANCHOR_CHARS: Final = 48
# One character only: a pattern that spans blank lines takes quadratic time on megabytes of them.
_LINE: Final = re.compile(r"\n(?=[^\s|])")
_ENDS_PARAGRAPH: Final = frozenset("\n。！？!?.；;：:”」』")
_CLAUSE_MARKS: Final = frozenset(",.;:，。；、：？！?!）)》」』”…")
_WORD: Final = re.compile(r"\S+\s*")


def stretches(text: str, span: Span, tokens_min: int) -> Iterator[Span]:
    """Spans of whole paragraphs that together are `span`, of `tokens_min` tokens and more but the last."""
    start, tokens, counted = span[0], 0, span[0]
    for line in _LINE.finditer(text, span[0], span[1]):
        place = line.end()
        if text[line.start() - 1 : line.start()] not in _ENDS_PARAGRAPH or not _is_anchor(text, place, span[1]):
            continue
        tokens += count_tokens(text[counted:place])
        counted = place
        if tokens >= tokens_min:
            yield start, place
            start, tokens = place, 0
    if start < span[1]:
        yield start, span[1]


def _is_anchor(text: str, place: int, end: int) -> bool:
    words = text[place : min(place + ANCHOR_CHARS, end)].split("\n", 1)[0]
    return zlib.crc32(words.encode("utf-8", "replace")) % STRETCH_PARAGRAPHS == 0


def bounded(units: Iterable[str], tokens_max: int) -> list[str]:
    """`units`, those of more than `tokens_max` tokens cut in pieces; joined they are the same text."""
    pieces: list[str] = []
    for unit in units:
        # A token is at least a character: short ones need no counting.
        is_short = len(unit) <= tokens_max or count_tokens(unit) <= tokens_max
        pieces.extend([unit] if is_short else cut_long(unit, tokens_max))
    return pieces


def cut_long(text: str, tokens_max: int) -> list[str]:
    """Pieces of at most `tokens_max` tokens: cut behind the last mark, else blank, of the second half of a piece.

    Only where there is neither is a word (or a run of Chinese without a mark) cut.
    """
    pieces: list[str] = []
    start = count = half = mark = blank = 0
    for token in TOKEN.finditer(text):
        if count == tokens_max:
            cut = next((place for place in (mark, blank) if place > half), token.start())
            pieces.append(text[start:cut])
            start, count = cut, count_tokens(text[cut : token.start()])
            half = mark = blank = 0
        count += 1
        if count == (tokens_max + 1) // 2:
            half = token.start()
        if token.group() in _CLAUSE_MARKS:
            mark = token.end()
        elif text[token.end() : token.end() + 1].isspace():
            blank = token.end()
    return [*pieces, text[start:]]


def words(text: str) -> list[str]:
    """Runs without blanks, each with the blanks behind it."""
    return _WORD.findall(text)
