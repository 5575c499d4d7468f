"""What needs no foreign parser: text, tables, JSON, pictures, and what is refused before any parser runs."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge import ocr
from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import Ocr
from knowledge.media_type import IMAGES, MediaType, is_supported
from knowledge.parsers import ParseLimits, parse
from knowledge.text import ParsedText, TextFormat

OLE2_ENCRYPTED = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + "EncryptedPackage".encode("utf-16-le") + b"\0\0"


def test_plain_text_keeps_its_lines_in_any_encoding() -> None:
    text = "夜班交接记录\r\n石磨停机待修凿，\n配件编号EL-0342。"
    parsed = parse(text.encode("gb18030"), MediaType.TEXT, "记录.txt", ParseLimits())
    assert parsed.text == text.replace("\r\n", "\n")
    assert (parsed.format, parsed.language, parsed.pages) == (TextFormat.PLAIN, "zh", ())


def test_markdown_stays_as_it_was_written_and_has_a_title() -> None:
    source = "# Stones\n\n## Dressing\n\n| a | b |\n|---|---|\n| *1* | 2 |\n"
    parsed = parse(source.encode(), MediaType.MARKDOWN, "a.md", ParseLimits())
    assert parsed.text == source
    assert parsed.title == "Stones"
    assert parsed.heading_path(source.index("*1*")) == ("Stones", "Dressing")
    assert len(parsed.tables) == 1


def test_a_delimited_file_is_one_table() -> None:
    parsed = parse(b"a\tb\n1\t2\n", MediaType.TSV, "a.tsv", ParseLimits())
    assert parsed.text == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_json_reads_as_lines() -> None:
    assert parse(b'{"part": "MS-4410"}', MediaType.JSON, "a.json", ParseLimits()).text == "part: MS-4410"


@pytest.mark.parametrize(
    ("data", "media_type", "code"),
    [
        (b"", MediaType.PDF, ParseErrorCode.EMPTY_DOCUMENT),
        (b" \n\t ", MediaType.TEXT, ParseErrorCode.NO_TEXT),
        (b"\0\0\0\0", MediaType.TEXT, ParseErrorCode.NO_TEXT),
        (b"\n\n", MediaType.CSV, ParseErrorCode.NO_TEXT),
        (b"  ", MediaType.JSON, ParseErrorCode.NO_TEXT),
        (b"PK\x03\x04", MediaType.ZIP, ParseErrorCode.PARSE_FAILED),
        (b"\x7fELF", MediaType.EXECUTABLE, ParseErrorCode.UNSUPPORTED_TYPE),
        (b"PK\x03\x04 cut off", MediaType.DOCX, ParseErrorCode.PARSE_FAILED),
        (b"no container", MediaType.EPUB, ParseErrorCode.PARSE_FAILED),
        (OLE2_ENCRYPTED, MediaType.DOCX, ParseErrorCode.ENCRYPTED_DOCUMENT),
        (b"x" * 200, MediaType.TEXT, ParseErrorCode.RESOURCE_LIMIT),
    ],
)
def test_what_cannot_be_read_says_why(data: bytes, media_type: MediaType, code: ParseErrorCode) -> None:
    with pytest.raises(ParseError) as caught:
        parse(data, media_type, "file", ParseLimits(text_bytes_max=100))
    assert caught.value.code is code


def test_a_damaged_pdf_is_called_so_without_the_layers_of_the_parser() -> None:
    with pytest.raises(ParseError) as caught:
        parse(b"%PDF-1.4\n", MediaType.PDF, "cut.pdf", ParseLimits())
    assert caught.value.code is ParseErrorCode.PARSE_FAILED
    assert caught.value.message.startswith("the file is damaged, or not what its type says (")
    assert "xberg" not in caught.value.message


@pytest.mark.parametrize("media_type", sorted(IMAGES))
def test_a_picture_says_that_ocr_is_off(media_type: MediaType) -> None:
    assert is_supported(media_type)
    with pytest.raises(ParseError, match="switched off") as caught:
        parse(b"pixels", media_type, "mill.png", ParseLimits(ocr=Ocr.OFF))
    assert caught.value.code is ParseErrorCode.NO_TEXT


def test_without_tesseract_a_picture_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "languages", lambda: "")
    with pytest.raises(ParseError, match="install tesseract-ocr") as caught:
        parse(b"pixels", MediaType.PNG, "mill.png", ParseLimits())
    assert caught.value.code is ParseErrorCode.NO_TEXT


@given(
    st.binary(max_size=300),
    st.sampled_from(
        [MediaType.TEXT, MediaType.MARKDOWN, MediaType.CSV, MediaType.TSV, MediaType.JSON, MediaType.SRT, MediaType.ZIP]
    ),
)
def test_any_bytes_give_text_or_a_reason(data: bytes, media_type: MediaType) -> None:
    with suppress(ParseError):  # anything else that is raised fails this test
        parsed = parse(data, media_type, "file", ParseLimits())
        assert parsed.text.strip()
        assert ParsedText.decode(parsed.encode()) == parsed
