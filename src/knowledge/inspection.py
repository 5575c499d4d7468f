"""What the bytes of a document tell besides its text: that it means harm, why it is empty, what is hidden in it."""

from collections.abc import Iterator
from typing import Final

from knowledge.archive_scan import scan_archive
from knowledge.containers import is_ole2, is_zip, ole2_kind
from knowledge.errors import ParseError, ParseErrorCode
from knowledge.hidden_text import hidden_in_docx, hidden_in_page, invisible_characters
from knowledge.html import shows_text
from knowledge.limits import ParseLimits
from knowledge.media_type import MediaType
from knowledge.pdf_scan import is_cut_off, scan_pdf
from knowledge.xml_entities import check_entities

_OFFICE_OPEN: Final = frozenset({MediaType.DOCX, MediaType.PPTX, MediaType.XLSX})
_ZIPPED: Final = _OFFICE_OPEN | {MediaType.ODT, MediaType.ODS, MediaType.ODP, MediaType.EPUB}
_XFA: Final = b"/XFA"
XFA_FORM: Final = "xfa_form: a program inside the PDF draws this form; only what its pages show without it is read"


def look_over(data: bytes, media_type: MediaType, limits: ParseLimits) -> None:
    """Refuses, before a parser is asked, what is encrypted or means harm. Raises ParseError with the reason."""
    if is_ole2(data) and ole2_kind(data, None) == "encrypted":
        raise ParseError(ParseErrorCode.ENCRYPTED_DOCUMENT, "the document is encrypted; a password is needed")
    if media_type in _ZIPPED:
        if not is_zip(data):
            raise ParseError(ParseErrorCode.PARSE_FAILED, "the file is not what its type says: no container found")
        scan_archive(data, limits)
    if media_type is MediaType.PDF:
        scan_pdf(data, limits)
    if media_type is MediaType.XML:
        check_entities(data, limits)


def why_empty(data: bytes, media_type: MediaType) -> ParseError | None:
    """Why a document without text is not merely one: it was cut off, or is deeper than anybody reads."""
    if media_type is MediaType.PDF and is_cut_off(data):
        return ParseError(ParseErrorCode.PARSE_FAILED, "the PDF is damaged or cut off: its end is missing")
    if media_type is MediaType.HTML and shows_text(data):
        return ParseError(
            ParseErrorCode.RESOURCE_LIMIT, "the elements of the page lie deeper in one another than is read"
        )
    return None


def notices(data: bytes, media_type: MediaType, text: str) -> Iterator[str]:
    """Warnings about what a reader of the document would not see, and what a parser does not."""
    if media_type is MediaType.PDF and _XFA in data:
        yield XFA_FORM
    if media_type is MediaType.ZIP:
        return  # each file within has told its own
    hidden = [invisible_characters(text)]
    if media_type is MediaType.HTML:
        hidden.append(hidden_in_page(data))
    if media_type is MediaType.DOCX:
        hidden.append(hidden_in_docx(data))
    yield from filter(None, hidden)
