"""A file is what its bytes say; its name only decides between kinds of text."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.media_type import SNIFF_BYTES, MediaType, is_supported, sniff

CONTENT_TYPES = '<Types><Override ContentType="application/vnd.openxmlformats-officedocument.{}.main+xml"/></Types>'
OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def container(*entries: tuple[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def compound_file(*streams: str) -> bytes:
    """An OLE2 file of which only the header and the first sector of the directory are written."""
    header = bytearray(512)
    header[:8] = OLE2
    header[30:32] = (9).to_bytes(2, "little")
    header[48:52] = (0).to_bytes(4, "little")
    directory = b"".join((name.encode("utf-16-le") + b"\0\0").ljust(128, b"\0") for name in ("Root Entry", *streams))
    return bytes(header) + directory.ljust(512, b"\0")


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"%PDF-1.7\n%", MediaType.PDF),
        (b"\n\n junk %PDF-1.4", MediaType.PDF),
        (b"\x89PNG\r\n\x1a\n\0\0", MediaType.PNG),
        (b"\xff\xd8\xff\xe0", MediaType.JPEG),
        (b"II*\0\x08\0", MediaType.TIFF),
        (b"RIFF\x10\0\0\0WEBPVP8 ", MediaType.WEBP),
        (b"BM\x36\0\0\0\0\0\0\0\x36" + bytes(30), MediaType.BMP),
        (b"GIF89a\x01", MediaType.GIF),
        (b"{\\rtf1\\ansi", MediaType.RTF),
        (b"\x7fELF\x02\x01", MediaType.EXECUTABLE),
        (b"MZ" + bytes(100) + b"PE\0\0" + bytes(100), MediaType.EXECUTABLE),
        (b"\x1f\x8b\x08\0", MediaType.BINARY),
        (bytes(range(256)) * 4, MediaType.BINARY),
    ],
)
def test_the_name_never_hides_what_the_bytes_are(head: bytes, media_type: MediaType) -> None:
    for name in ("file", "letter.txt", "letter.pdf", "letter.docx"):
        assert sniff(head, None, name) is media_type


@pytest.mark.parametrize(
    ("text", "name", "media_type"),
    [
        ("# Mill", "a.md", MediaType.MARKDOWN),
        ("# Mill", "a.txt", MediaType.TEXT),
        ("a,b\n1,2", "a.CSV ", MediaType.CSV),
        ("a\tb", "a.tsv", MediaType.TSV),
        ("{}", "a.json", MediaType.JSON),
        ("{}", "a.ipynb", MediaType.IPYNB),
        ("just words", "a.html", MediaType.HTML),
        ("<!DOCTYPE html><p>", "a.txt", MediaType.HTML),
        ("<!-- a --><?xml version='1.0'?> <html>", "a", MediaType.HTML),
        ("<?xml version='1.0'?><note/>", "a.txt", MediaType.XML),
        ("From: a@b\nTo: c@d\nSubject: mill\n\nbody", "a", MediaType.EML),
        ("From: a@b\n\nbody", "a.eml", MediaType.EML),
        ("1\n00:00:01,000 --> 00:00:02,000\nmill", "a", MediaType.SRT),
        ("1\n00:00:01,000 --> 00:00:02,000\nmill", "a.md", MediaType.MARKDOWN),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\nmill", "a.txt", MediaType.VTT),
        ("WEBVTTX", "a", MediaType.TEXT),
        ("mill", "a.srt", MediaType.SRT),
        ("To: whom it may concern\n\nbody", "a.txt", MediaType.TEXT),
        ("磨坊", "", MediaType.TEXT),
        ("", "a.csv", MediaType.CSV),
        ("\0\0\0\0", "a.txt", MediaType.TEXT),
    ],
)
def test_kinds_of_text_are_told_apart(text: str, name: str, media_type: MediaType) -> None:
    assert sniff(text.encode(), None, name) is media_type


@pytest.mark.parametrize("encoding", ["utf-16", "gb18030", "utf-8-sig"])
def test_an_html_page_is_one_in_every_encoding(encoding: str) -> None:
    assert sniff("<html><body>磨坊的面粉".encode(encoding), None, "page") is MediaType.HTML


def test_a_head_cut_inside_a_character_is_still_text() -> None:
    text = ("磨" * SNIFF_BYTES).encode()
    for cut in range(SNIFF_BYTES - 3, SNIFF_BYTES):
        assert sniff(text[:cut], None, "a.txt") is MediaType.TEXT


@pytest.mark.parametrize(
    ("folder", "part", "media_type"),
    [
        ("word", "wordprocessingml.document", MediaType.DOCX),
        ("ppt", "presentationml.presentation", MediaType.PPTX),
        ("xl", "spreadsheetml.sheet", MediaType.XLSX),
    ],
)
def test_an_office_container_is_known_by_its_front_alone(folder: str, part: str, media_type: MediaType) -> None:
    data = container(("[Content_Types].xml", CONTENT_TYPES.format(part)), (f"{folder}/main.xml", "<a/>"))
    front = data[: data.index(b"PK\x01\x02")]
    assert sniff(front, None, "wrong.zip") is media_type
    pictures_first = container(("[Content_Types].xml", CONTENT_TYPES.format(part)), ("media/1.png", bytes(100_000)))
    assert sniff(pictures_first[:SNIFF_BYTES], None, "wrong.bin") is media_type


def test_an_office_container_is_known_by_its_end() -> None:
    data = container(("media/1.bin", bytes(70_000)), ("[Content_Types].xml", "<Types/>"), ("xl/a.xml", ""), method=0)
    assert sniff(data[:SNIFF_BYTES], data[-400:], "a.zip") is MediaType.XLSX


@pytest.mark.parametrize("media_type", [MediaType.EPUB, MediaType.ODT, MediaType.ODS, MediaType.ODP])
def test_a_container_that_names_its_type_is_believed(media_type: MediaType) -> None:
    assert sniff(container(("mimetype", media_type.value), ("a", ""), method=0), None, "a.zip") is media_type


def test_a_plain_zip_is_a_zip_whatever_it_is_called() -> None:
    assert sniff(container(("word/a.txt", "x")), None, "a.docx") is MediaType.ZIP
    assert sniff(container(), None, "a.docx") is MediaType.ZIP


@pytest.mark.parametrize(
    ("streams", "name", "media_type"),
    [
        (("WordDocument",), "a.xls", MediaType.DOC),
        (("Workbook",), "a.doc", MediaType.XLS),
        (("Book",), "a.doc", MediaType.XLS),
        (("PowerPoint Document",), "a", MediaType.PPT),
        (("__properties_version1.0",), "a", MediaType.MSG),
        (("EncryptedPackage",), "a.xlsx", MediaType.XLSX),
        (("EncryptedPackage",), "a.doc", MediaType.DOCX),
        (("Unknown",), "a.doc", MediaType.DOC),
        (("Unknown",), "a.docx", MediaType.BINARY),
    ],
)
def test_an_old_office_file_is_known_by_its_streams(streams: tuple[str, ...], name: str, media_type: MediaType) -> None:
    assert sniff(compound_file(*streams), None, name) is media_type


def test_programs_other_archives_and_unknown_bytes_are_not_accepted() -> None:
    refused = {media_type for media_type in MediaType if not is_supported(media_type)}
    assert refused == {MediaType.EXECUTABLE, MediaType.BINARY}


@given(st.binary(max_size=600), st.none() | st.binary(max_size=100), st.text(max_size=20))
def test_any_bytes_have_a_type(head: bytes, rest: bytes | None, name: str) -> None:
    assert sniff(head, rest, name) in MediaType


@given(st.sampled_from([b"PK\x03\x04", OLE2, b"<!--", b"<?xml"]), st.binary(max_size=600))
def test_any_damaged_container_has_a_type(magic: bytes, rest: bytes) -> None:
    assert sniff(magic + rest, magic + rest, "a.docx") in MediaType
