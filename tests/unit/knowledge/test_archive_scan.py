"""A container is looked over before anything unpacks it."""

import io
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.archive_scan import scan_archive
from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import ParseLimits

LIMITS = ParseLimits(archive_entries_max=20, archive_bytes_max=4_000_000, archive_ratio_max=100)


def container(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")  # a duplicate name is what one of the tests is about
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


def lying_about_its_size() -> bytes:
    """The directory says 10 bytes, the stream holds 200,000."""
    data = bytearray(container(("word/a.xml", bytes(range(200)) * 1000)))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")
    return bytes(data)


def overlapping() -> bytes:
    """Both entries of the directory point to the first file."""
    data = bytearray(container(("a", b"x" * 50), ("b", b"y" * 50), method=zipfile.ZIP_STORED))
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = (0).to_bytes(4, "little")
    return bytes(data)


def encrypted() -> bytes:
    data = bytearray(container(("a", b"x")))
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    return bytes(data)


LAUGHS = b"<!DOCTYPE x [<!ENTITY a '%b'><!ENTITY b '%b'>]><x>&b;</x>" % (b"ha" * 50_000, b"&a;" * 1_000)
MANIFEST = b"<manifest:file-entry><manifest:encryption-data/></manifest:file-entry>"


def test_files_of_containers_within_are_not_counted() -> None:
    within = container(*((f"{n}", b"") for n in range(15)))
    scan_archive(container(("a.docx", within), ("b.docx", within), method=zipfile.ZIP_STORED), LIMITS)
    with pytest.raises(ParseError):
        scan_archive(container(*((f"{n}", b"") for n in range(30))), LIMITS)


def test_an_ordinary_container_passes() -> None:
    scan_archive(container(("[Content_Types].xml", b"<a/>"), ("word/document.xml", b"<b/>" * 1000)), LIMITS)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: container(*((f"{n}", b"") for n in range(30))), ParseErrorCode.ARCHIVE_LIMIT),
        (lambda: container(("a", bytes(3_000_000))), ParseErrorCode.RESOURCE_LIMIT),
        (lambda: container(("a", b"x" * 3_000_000), ("b", b"x" * 3_000_000), method=0), ParseErrorCode.RESOURCE_LIMIT),
        (lambda: container(("../a", b"")), ParseErrorCode.ARCHIVE_UNSAFE),
        (lambda: container(("/etc/a", b"")), ParseErrorCode.ARCHIVE_UNSAFE),
        (lambda: container(("C:\\a", b"")), ParseErrorCode.ARCHIVE_UNSAFE),
        (lambda: container(("a\\..\\..\\b", b"")), ParseErrorCode.ARCHIVE_UNSAFE),
        (lambda: container((link("a"), b"/etc/passwd")), ParseErrorCode.ARCHIVE_UNSAFE),
        (lambda: container(("a", b"1"), ("a", b"2")), ParseErrorCode.ARCHIVE_UNSAFE),
        (lying_about_its_size, ParseErrorCode.ARCHIVE_UNSAFE),
        (overlapping, ParseErrorCode.ARCHIVE_UNSAFE),
        (encrypted, ParseErrorCode.ENCRYPTED_DOCUMENT),
        (lambda: container(("META-INF/manifest.xml", MANIFEST)), ParseErrorCode.ENCRYPTED_DOCUMENT),
        (lambda: container(("a", b"x" * 99), method=zipfile.ZIP_LZMA), ParseErrorCode.PARSE_FAILED),
        (lambda: container(("a", b"x" * 999))[:-30], ParseErrorCode.PARSE_FAILED),
        (lambda: container(("a", b"x")).replace(b"PK", b"xxPK", 1), ParseErrorCode.ARCHIVE_UNSAFE),
        (lambda: container(("word/a.xml", LAUGHS)), ParseErrorCode.RESOURCE_LIMIT),
        (lambda: b"", ParseErrorCode.PARSE_FAILED),
    ],
)
def test_a_hostile_container_is_refused_with_its_reason(make: Callable[[], bytes], code: ParseErrorCode) -> None:
    with pytest.raises(ParseError) as caught:
        scan_archive(make(), LIMITS)
    assert caught.value.code is code


@given(st.data())
def test_a_damaged_container_is_refused_or_passes_and_never_breaks(data: st.DataObject) -> None:
    archive = bytearray(container(("[Content_Types].xml", b"<a/>"), ("META-INF/manifest.xml", b"<b/>" * 50)))
    for _ in range(data.draw(st.integers(1, 6))):
        archive[data.draw(st.integers(0, len(archive) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ParseError):  # anything else that is raised fails this test
        scan_archive(bytes(archive), LIMITS)
