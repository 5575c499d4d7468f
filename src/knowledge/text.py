"""What a parser makes of a document: one text, and where its pages, headings and tables lie in it."""

from bisect import bisect_right
from enum import StrEnum
from typing import Final, Self

import msgspec

from knowledge.errors import ParseError, ParseErrorCode

OWN_PARSER: Final = "millstream 1"
"""What read text, Markdown, CSV, JSON and subtitles: Python of ours, no native parser."""


class TextFormat(StrEnum):
    """What `ParsedText.text` is written in."""

    PLAIN = "plain"
    MARKDOWN = "markdown"


class Page(msgspec.Struct, frozen=True):
    """One page, slide or sheet: its number from 1, and its span of characters in the text."""

    number: int
    start: int
    end: int


class Heading(msgspec.Struct, frozen=True):
    """One heading: its level from 1, its words, and where its line starts in the text."""

    level: int
    text: str
    start: int


class Table(msgspec.Struct, frozen=True):
    """One table: the span of its rendering with Markdown pipes, and its size without the ruler line."""

    start: int
    end: int
    rows: int
    columns: int


class ParsedText(msgspec.Struct, frozen=True):
    """A document's text in NFC without control characters (but `\\n` and `\\t`), and its structure.

    Pages, headings and tables are sorted by `start`; `language` is ISO 639-1, None where not sure.
    """

    text: str
    pages: tuple[Page, ...] = ()
    headings: tuple[Heading, ...] = ()
    tables: tuple[Table, ...] = ()
    format: TextFormat = TextFormat.PLAIN
    title: str | None = None
    language: str | None = None
    parser: str = ""
    warnings: tuple[str, ...] = ()

    def page_of(self, offset: int) -> int | None:
        """The number of the page that holds the character at `offset`; None where there are no pages.

        What stands between two pages belongs to the earlier one; what stands behind the last page (footnotes,
        running headers) to none.
        """
        index = bisect_right(self.pages, offset, key=_start_of_page) - 1
        if index < 0 or (index == len(self.pages) - 1 and offset >= self.pages[index].end):
            return None
        return self.pages[index].number

    def heading_path(self, offset: int) -> tuple[str, ...]:
        """The headings that the character at `offset` stands under, outermost first."""
        path: list[Heading] = []
        level = None
        for heading in reversed(self.headings[: bisect_right(self.headings, offset, key=_start_of_heading)]):
            if level is None or heading.level < level:
                path.append(heading)
                level = heading.level
                if level == 1:
                    break
        return tuple(heading.text for heading in reversed(path))

    def encode(self) -> bytes:
        """The blob of this text: MessagePack, self-describing by field name."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, blob: bytes) -> Self:
        """The text that `encode` wrote; raises ParseError(parse_failed) where the blob is something else."""
        try:
            return msgspec.msgpack.decode(blob, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ParseError(ParseErrorCode.PARSE_FAILED, f"the stored text is damaged: {error}") from error


def _start_of_page(page: Page) -> int:
    return page.start


def _start_of_heading(heading: Heading) -> int:
    return heading.start
