"""Pure: where the headings and tables of a Markdown source lie; the source itself stays as it was written."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from knowledge.text import Heading, Table

_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX: Final = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_SETEXT: Final = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_RULER: Final = re.compile(r" {0,3}\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
# A picture pasted as base64 is noise of up to megabytes in a text; its type is all that reads.
_DATA_URI: Final = re.compile(r"(data:[\w.+-]+/[\w.+-]+)[;,][\w;=+-]*,?[A-Za-z0-9+/=%_-]{64,}")
_MARKS: Final = re.compile(r"[*_`]+|!?\[([^\[\]]{0,500})\]\([^()]{0,2000}\)")


class Line(msgspec.Struct, frozen=True):
    """One line of a text and where it starts."""

    text: str
    start: int

    @property
    def end(self) -> int:
        """Where the line ends, its line end not included."""
        return self.start + len(self.text)


def shorten_data_uris(text: str) -> str:
    """`text` with every long `data:` address cut down to its type."""
    return _DATA_URI.sub(r"\1", text)


def outline(text: str) -> tuple[tuple[Heading, ...], tuple[Table, ...]]:
    """The headings (ATX and underlined) and pipe tables of `text`, those in fenced code left out."""
    lines = list(_prose_lines(text))
    return tuple(_headings(lines)), tuple(_tables(lines))


def _prose_lines(text: str) -> Iterator[Line]:
    """Blank lines that follow one another are one: megabytes of them took 20 s."""
    start, fence, was_blank = 0, "", False
    for raw in text.split("\n"):
        if not raw and was_blank:
            start += 1
            continue
        was_blank = not raw
        line = Line(text=raw, start=start)
        start += len(raw) + 1
        mark = _FENCE.match(raw)
        if fence:
            if mark and mark[1].startswith(fence) and not raw.strip().strip(fence[0]):
                fence = ""
            yield Line(text="", start=line.start)
        elif mark:
            fence = mark[1]
            yield Line(text="", start=line.start)
        else:
            yield line


def _headings(lines: Sequence[Line]) -> Iterator[Heading]:
    front_matter_end = _front_matter_end(lines)
    for index, line in enumerate(lines[front_matter_end:], front_matter_end):
        if found := _ATX.match(line.text):
            words = plain_words(found[2] or "")
            if words:
                yield Heading(level=len(found[1]), text=words, start=line.start)
        elif index > front_matter_end and (found := _SETEXT.match(line.text)):
            above = lines[index - 1]
            if (
                above.text.strip()
                and "|" not in above.text
                and not _ATX.match(above.text)
                and above.text[:1] not in "-*>"
            ):
                yield Heading(level=1 if found[1][0] == "=" else 2, text=plain_words(above.text), start=above.start)


def _front_matter_end(lines: Sequence[Line]) -> int:
    if not lines or lines[0].text.rstrip() != "---":
        return 0
    for index, line in enumerate(lines[1:], 1):
        if line.text.rstrip() in {"---", "..."}:
            return index + 1
    return 0


def _tables(lines: Sequence[Line]) -> Iterator[Table]:
    index = 1
    while index < len(lines):
        header = lines[index - 1]
        if "|" in header.text and "-" in lines[index].text and _RULER.match(lines[index].text):
            last = index
            while last + 1 < len(lines) and "|" in lines[last + 1].text:
                last += 1
            columns = len(header.text.strip().strip("|").replace("\\|", "").split("|"))
            yield Table(start=header.start, end=lines[last].end, rows=last - index + 1, columns=columns)
            index = last
        index += 1


def plain_words(text: str) -> str:
    """The words of one line of Markdown without its marks of emphasis, code and links."""
    return " ".join(_MARKS.sub(lambda found: found[1] or "", text).split())
