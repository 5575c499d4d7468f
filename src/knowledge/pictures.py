"""Pictures and scanned pages -> text with pages."""

import io
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from knowledge import ocr, pdf_pages
from knowledge.errors import ParseError, ParseErrorCode
from knowledge.language import detect_language
from knowledge.limits import ParseLimits
from knowledge.text import Page, ParsedText, TextFormat
from knowledge.writer import TextWriter

if TYPE_CHECKING:
    from PIL.Image import Image

SCANNED_CHARS_MAX: Final = 16
"""A page with no more visible characters than a page number or a stamp has is looked at as a picture."""
BLANK_DOTS_PER_INCH: Final = 20
"""Enough to tell a blank page from one that shows something."""


def parse_picture(data: bytes, limits: ParseLimits) -> ParsedText:
    """The text that a picture shows; each of its frames (TIFF, GIF) is a page.

    Raises ParseError: no_text, resource_limit for too many pixels or too little time, parse_failed for no picture.
    """
    if not ocr.is_available(limits):
        raise ParseError(ParseErrorCode.NO_TEXT, f"a picture has no text layer; {ocr.why_not(limits)}")
    read, warnings = _read(_frames(data, limits), limits)
    if not any(read.values()):
        raise _nothing_read("no text was recognised in the picture", warnings)
    return _written(read, limits, warnings)


def with_scanned_pages(data: bytes, parsed: ParsedText, limits: ParseLimits) -> ParsedText:
    """A PDF's text, pages that have none of their own read as pictures. Raises PagesUnreadable, ParseError."""
    scanned = _scanned(data, parsed)
    if scanned is not None and not scanned:
        return parsed
    if not ocr.is_available(limits):
        return _unread(data, parsed, scanned, limits)
    read, warnings = _read(pdf_pages.pictures(data, scanned), limits)
    if not parsed.text.strip():
        if not any(read.values()):
            raise _nothing_read("no text layer, and no text was recognised on the pages", warnings)
        return _written(read, limits, warnings)
    found = {number: text for number, text in read.items() if text}
    if not found:
        return msgspec.structs.replace(parsed, warnings=parsed.warnings + warnings)
    return msgspec.structs.replace(
        with_page_texts(parsed, found),
        parser=f"{parsed.parser}, {ocr.version()}",
        warnings=(
            *parsed.warnings,
            f"ocr: {_pages_were(len(found))} read as pictures, of {len(parsed.pages)}",
            *warnings,
        ),
    )


def _nothing_read(reason: str, warnings: tuple[str, ...]) -> ParseError:
    """Pages that time ran out for may well hold text."""
    if warnings:
        return ParseError(
            ParseErrorCode.RESOURCE_LIMIT, f"the time for scans was up before any text was read; {warnings[0]}"
        )
    return ParseError(ParseErrorCode.NO_TEXT, reason)


def _unread(data: bytes, parsed: ParsedText, scanned: frozenset[int] | None, limits: ParseLimits) -> ParsedText:
    if scanned is None:
        raise ParseError(ParseErrorCode.NO_TEXT, f"no text layer; {ocr.why_not(limits)}")
    looked_at = pdf_pages.pictures(data, scanned, dots_per_inch=BLANK_DOTS_PER_INCH)
    count = sum(not ocr.is_blank(picture) for _, picture in looked_at)
    if not count:
        return parsed
    without = "1 page has" if count == 1 else f"{count} pages have"
    warning = f"no_text: {without} no text, of {len(parsed.pages)}; {ocr.why_not(limits)}"
    return msgspec.structs.replace(parsed, warnings=(*parsed.warnings, warning))


def with_page_texts(parsed: ParsedText, texts: Mapping[int, str]) -> ParsedText:
    """`parsed` with `texts` at the start of their pages, by number; every span moves along."""
    parts: list[str] = []
    pages: list[Page] = []
    moves: list[tuple[int, int]] = []
    done = shift = 0
    for page in parsed.pages:
        start = page.start + shift
        if text := texts.get(page.number):
            at_end = page.start == len(parsed.text)
            added = f"\n\n{text}" if at_end and page.start else f"{text}\n\n"
            parts += [parsed.text[done : page.start], added]
            done, shift = page.start, shift + len(added)
            moves.append((page.start, len(added)))
        pages.append(Page(number=page.number, start=start, end=page.end + shift))

    def moved(offset: int, *, is_end: bool = False) -> int:
        return offset + sum(length for place, length in moves if place + is_end <= offset)

    return msgspec.structs.replace(
        parsed,
        text="".join([*parts, parsed.text[done:]]),
        pages=tuple(pages),
        headings=tuple(msgspec.structs.replace(one, start=moved(one.start)) for one in parsed.headings),
        tables=tuple(
            msgspec.structs.replace(one, start=moved(one.start), end=moved(one.end, is_end=True))
            for one in parsed.tables
        ),
    )


def _scanned(data: bytes, parsed: ParsedText) -> frozenset[int] | None:
    """Numbers of the pages that are pictures of text; None is all, where no text was seen and maybe no page either."""
    if not parsed.text.strip():
        return None
    seen = {page.number: len("".join(parsed.text[page.start : page.end].split())) for page in parsed.pages}
    empty = frozenset(number for number, chars in seen.items() if chars == 0)
    stamped = frozenset(number for number, chars in seen.items() if 0 < chars <= SCANNED_CHARS_MAX)
    return empty | (pdf_pages.with_large_pictures(data, stamped) if stamped else stamped)


def _read(pictures: Iterator[tuple[int, "Image"]], limits: ParseLimits) -> tuple[dict[int, str], tuple[str, ...]]:
    """The text of each picture, by its number, and what was left out."""
    budget = ocr.OcrBudget(limits)
    read: dict[int, str] = {}
    unread = 0
    for number, picture in pictures:
        read[number] = ""
        if number > limits.pages_max or budget.page_s() <= 0:
            unread += 1
        elif not ocr.is_blank(picture):
            found = ocr.recognise(picture, budget)
            unread += found is None
            read[number] = found.text if found else ""
    warnings = (f"ocr: {_pages_were(unread)} not read, the time was up",) if unread else ()
    return read, warnings


def _written(read: Mapping[int, str], limits: ParseLimits, warnings: tuple[str, ...]) -> ParsedText:
    writer = TextWriter(TextFormat.PLAIN, limits)
    for number, text in read.items():
        writer.turn_to_page(number)
        for paragraph in text.split("\n\n"):
            writer.paragraph(paragraph)
    told = (f"ocr: {_pages_were(len(read))} read as pictures", *warnings)
    parsed = writer.finish(parser=ocr.version(), title=None, language=None, warnings=told)
    return msgspec.structs.replace(parsed, language=detect_language(parsed.text))


def _pages_were(count: int) -> str:
    return "1 page was" if count == 1 else f"{count} pages were"


def _frames(data: bytes, limits: ParseLimits) -> Iterator[tuple[int, "Image"]]:
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = limits.ocr_pixels_max
    try:
        with Image.open(io.BytesIO(data)) as picture:
            for frame in range(min(getattr(picture, "n_frames", 1), limits.pages_max)):
                picture.seek(frame)
                if picture.width * picture.height > limits.ocr_pixels_max:
                    raise _too_many_pixels(limits)
                yield frame + 1, ocr.prepared(picture)
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(limits) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise ParseError(ParseErrorCode.PARSE_FAILED, f"the picture is damaged: {error}") from error


def _too_many_pixels(limits: ParseLimits) -> ParseError:
    return ParseError(ParseErrorCode.RESOURCE_LIMIT, f"the picture has more than {limits.ocr_pixels_max:,} pixels")
