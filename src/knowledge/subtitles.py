"""Pure: subtitles (SubRip, WebVTT) -> what is said, under the time at which it is said."""

import html
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import msgspec

from knowledge.writer import TextWriter

STRETCH_S: Final = 60.0
"""A heading with the time stands about once a minute: where a passage is found, it says where to listen."""
STRETCH_S_MAX: Final = 120.0
"""So long a sentence may run on before it is cut."""
TIME_LEVEL: Final = 2

_TIME: Final = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
_TIMING: Final = re.compile(rf"^[ \t]*{_TIME}[ \t]*-->[ \t]*{_TIME}.*$")
_SUBRIP_START: Final = re.compile(rf"^\s*\d{{1,7}}[ \t]*\r?\n[ \t]*{_TIME}[ \t]*-->")
_BLANK_LINES: Final = re.compile(r"\n(?:[ \t]*\n)+")
_NO_CUES: Final = ("WEBVTT", "NOTE", "STYLE", "REGION")
_VOICE: Final = re.compile(r"<v(?:\.[^\s>]{0,100})?[ \t]+([^<>\n]{1,200})>")
_TAG: Final = re.compile(r"</?[a-zA-Z\d][^<>\n]{0,500}>|\{\\[^{}\n]{0,200}\}")
_SENTENCE_END: Final = tuple(".?!。？！…")
_CLOSING: Final = "\"'”’」』)）]"


class Cue(msgspec.Struct, frozen=True):
    """What is shown from `start_s` on, line by line."""

    start_s: float
    lines: tuple[str, ...]


def is_subrip(text: str) -> bool:
    """Whether `text` begins as SubRip does: a number, and a time under it."""
    return _SUBRIP_START.match(text) is not None


def is_webvtt(text: str) -> bool:
    """Whether `text` begins as WebVTT has to."""
    return re.match(r"WEBVTT(?:[ \t\r\n]|\Z)", text) is not None


def write_subtitles(writer: TextWriter, text: str) -> None:
    """Writes the cues of `text`: those of about a minute as one paragraph, under a heading with its time."""
    paragraph: list[str] = []
    begun_s: float | None = None
    for cue in without_repeated_lines(read_cues(text)):
        if begun_s is None or _is_time_to_turn(paragraph, cue.start_s - begun_s):
            _write_stretch(writer, begun_s, paragraph)
            paragraph, begun_s = [], cue.start_s
        paragraph += cue.lines
    _write_stretch(writer, begun_s, paragraph)


def read_cues(text: str) -> Iterator[Cue]:
    """The cues of a SubRip or WebVTT text; comments, styles, regions, cue names and marks left out."""
    start_s: float | None = None
    said: list[str] = []
    for block in _BLANK_LINES.split(text):
        lines = block.splitlines()
        places = [place for place, line in enumerate(lines) if _TIMING.match(line)]
        if not block.startswith(_NO_CUES):  # a blank line in the middle of a cue, and then the number of the next
            said += lines[: max(places[0] - 1, 0)] if places else lines
        for place, end in pairwise([*places, len(lines)]):
            yield from _cue(start_s, said)
            start_s, said = _seconds(lines[place]), lines[place + 1 : end]
            if end < len(lines) and said and said[-1].strip().isdigit():
                said.pop()  # the number of the next cue, without a blank line in front of it
    yield from _cue(start_s, said)


def without_repeated_lines(cues: Iterator[Cue]) -> Iterator[Cue]:
    """`cues` without the lines that captions which roll up show a second time."""
    before: tuple[str, ...] = ()
    for cue in cues:
        fresh = tuple(line for line in cue.lines if line not in before)
        before = cue.lines
        if fresh:
            yield Cue(start_s=cue.start_s, lines=fresh)


def shown_time(seconds: float) -> str:
    """`01:02:03`."""
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def _cue(start_s: float | None, lines: list[str]) -> Iterator[Cue]:
    shown = tuple(words for line in lines if (words := _words(line)))
    if shown and start_s is not None:
        yield Cue(start_s=start_s, lines=shown)


def _words(line: str) -> str:
    return " ".join(html.unescape(_TAG.sub("", _VOICE.sub(r"\1: ", line))).split())


def _seconds(line: str) -> float:
    timing = _TIMING.match(line)
    hours, minutes, seconds, fraction = timing.groups()[:4] if timing else (None, "0", "0", "0")
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction.ljust(3, "0")) / 1000


def _is_time_to_turn(paragraph: list[str], seconds: float) -> bool:
    ends_sentence = bool(paragraph) and paragraph[-1].rstrip(_CLOSING).endswith(_SENTENCE_END)
    return seconds >= STRETCH_S_MAX or (seconds >= STRETCH_S and ends_sentence)


def _write_stretch(writer: TextWriter, begun_s: float | None, paragraph: list[str]) -> None:
    if begun_s is not None and paragraph:
        writer.heading(TIME_LEVEL, shown_time(begun_s))
        writer.paragraph("\n".join(paragraph))
