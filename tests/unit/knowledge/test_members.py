"""Archives and mails: each file within is a part of the text, under its path, and what cannot be read is said."""

import io
import zipfile
from email.message import EmailMessage

import pytest

from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import ParseLimits
from knowledge.media_type import MediaType
from knowledge.members import WARNINGS_MAX
from knowledge.parsers import parse
from knowledge.text import ParsedText
from tests.e2e.papers import encrypted_pdf

LIMITS = ParseLimits()
HANDBOOK = b"# Stones\n\n## Dressing\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
PROGRAM = b"\x7fELF" + bytes(100)


def zipped(*files: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return buffer.getvalue()


def mail(*files: tuple[str, bytes], body: str = "See the attached.\n") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@b.c", "d@e.f", "Stones"
    message.set_content(body)
    for name, content in files:
        message.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return message


def opened(data: bytes, media_type: MediaType = MediaType.ZIP, limits: ParseLimits = LIMITS) -> ParsedText:
    return parse(data, media_type, "upload", limits)


def code_of(data: bytes, limits: ParseLimits = LIMITS) -> ParseErrorCode:
    with pytest.raises(ParseError) as caught:
        opened(data, limits=limits)
    return caught.value.code


def test_each_file_stands_under_its_path_with_its_headings_and_tables() -> None:
    parsed = opened(
        zipped(("手册/stones.md", HANDBOOK), ("notes/", b""), ("notes/a.txt", "石磨转动。".encode("gb18030")))
    )
    assert parsed.heading_path(parsed.text.index("| 1")) == ("手册/stones.md", "Stones", "Dressing")
    assert parsed.heading_path(parsed.text.index("石磨")) == ("notes/a.txt",)
    [table] = parsed.tables
    assert parsed.text[table.start : table.end].startswith("| a | b |")
    assert (parsed.pages, parsed.warnings) == ((), ())


def test_names_in_the_encoding_of_the_writers_system_are_read() -> None:
    name = "磨坊/石磨的修凿说明.txt"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo(name.encode("gb18030").decode("cp437"))
        archive.writestr(info, b"The mill.")
    data = bytearray(buffer.getvalue())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # zipfile wrote the cp437 look-alikes as UTF-8
        data[data.index(mark) + flags + 1] &= 0xF7
    raw = info.filename.encode()
    assert data.count(raw) == 2
    shorter = name.encode("gb18030")
    patched = bytes(data).replace(raw, shorter)
    patched = patched.replace(len(raw).to_bytes(2, "little") + b"\0\0", len(shorter).to_bytes(2, "little") + b"\0\0")
    end = patched.rindex(b"PK\x05\x06")
    start = patched.index(b"PK\x01\x02")
    sizes = (end - start).to_bytes(4, "little") + start.to_bytes(4, "little")
    patched = patched[: end + 12] + sizes + patched[end + 20 :]
    assert opened(patched).headings[0].text == name


def test_what_cannot_be_read_is_skipped_and_said() -> None:
    within = zipped(("a.txt", b"deep"))
    parsed = opened(
        zipped(("a.txt", b"The mill."), ("b.exe", PROGRAM), ("c.pdf", encrypted_pdf()), ("d", b""), ("e.zip", within))
    )
    assert parsed.text == "# a.txt\n\nThe mill."
    assert parsed.warnings == (
        "skipped: b.exe (unsupported_type)",
        "skipped: c.pdf (encrypted_document)",
        "skipped: d (empty_document)",
        "skipped: e.zip (archive_limit)",
    )


def test_many_warnings_are_counted() -> None:
    parsed = opened(zipped(("a.txt", b"The mill."), *((f"{n}.exe", PROGRAM) for n in range(40))))
    assert len(parsed.warnings) == WARNINGS_MAX + 1
    assert parsed.warnings[-1] == f"and {40 - WARNINGS_MAX} more warnings of files within"


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ([], ParseErrorCode.EMPTY_DOCUMENT),
        ([("__MACOSX/._a.txt", b"x"), ("docs/.DS_Store", b"x")], ParseErrorCode.EMPTY_DOCUMENT),
        ([("a.exe", PROGRAM), ("empty.txt", b"")], ParseErrorCode.UNSUPPORTED_TYPE),
        ([("a.exe", PROGRAM), ("b.pdf", encrypted_pdf())], ParseErrorCode.ENCRYPTED_DOCUMENT),
        ([("a.zip", zipped(("a.txt", b"deep")))], ParseErrorCode.ARCHIVE_LIMIT),
        ([("../a.txt", b"The mill.")], ParseErrorCode.ARCHIVE_UNSAFE),
        ([("a.txt", b" \n ")], ParseErrorCode.NO_TEXT),
    ],
)
def test_an_archive_without_anything_to_read_says_why(files: list[tuple[str, bytes]], code: ParseErrorCode) -> None:
    assert code_of(zipped(*files)) is code


def test_an_archive_of_nothing_that_is_read_names_what_is_in_it() -> None:
    with pytest.raises(ParseError, match=r"; there is 0\.exe, 1\.exe, 2\.exe and 2 more$"):
        opened(zipped(*((f"{n}.exe", PROGRAM) for n in range(5))))


def test_limits_hold_for_all_files_together() -> None:
    files = [(f"{n}.txt", b"The mill turns. " * 10) for n in range(5)]
    assert code_of(zipped(*files), ParseLimits(text_bytes_max=500)) is ParseErrorCode.RESOURCE_LIMIT
    assert code_of(zipped(*files), ParseLimits(archive_entries_max=4)) is ParseErrorCode.ARCHIVE_LIMIT
    assert code_of(zipped(*files), ParseLimits(archive_depth_max=0)) is ParseErrorCode.ARCHIVE_LIMIT
    assert len(opened(zipped(*files)).headings) == 5


def test_what_is_attached_to_a_mail_stands_under_its_name() -> None:
    parsed = opened(
        mail(("../../夜班.md", HANDBOOK), ("all.zip", zipped(("b/c.txt", b"Flour.")))).as_bytes(), MediaType.EML
    )
    assert "See the attached." in parsed.text
    assert parsed.heading_path(parsed.text.index("| 1")) == ("夜班.md", "Stones", "Dressing")
    assert parsed.heading_path(parsed.text.index("Flour.")) == ("all.zip", "b/c.txt")
    assert parsed.warnings == ()


def test_a_mail_within_a_mail_is_read_without_what_is_attached_to_it() -> None:
    outer = mail()
    outer.add_attachment(mail(("deep.txt", b"deep words"), body="Forwarded.\n"))
    parsed = opened(outer.as_bytes(), MediaType.EML)
    assert parsed.heading_path(parsed.text.rindex("Forwarded.")) == ("message.eml",)
    assert "deep words" not in parsed.text
    assert parsed.warnings == ("message.eml: skipped: 1 file attached to a mail within a mail (archive_limit)",)
    deeper = opened(outer.as_bytes(), MediaType.EML, ParseLimits(archive_depth_max=2))
    assert "deep words" in deeper.text


def test_a_mail_in_an_archive_brings_its_attachments_but_no_archive_among_them() -> None:
    letter = mail(("a.txt", b"Flour."), ("b.zip", zipped(("c.txt", b"Bran.")))).as_bytes()
    parsed = opened(zipped(("letter.eml", letter)))
    assert parsed.heading_path(parsed.text.index("Flour.")) == ("letter.eml", "a.txt")
    assert parsed.warnings == ("letter.eml: skipped: b.zip (archive_limit)",)


def test_a_picture_that_a_mail_shows_is_part_of_the_mail() -> None:
    message = mail()
    message.add_related(b"\x89PNG\r\n\x1a\n", "image", "png", cid="<logo>", filename="logo.png", disposition="inline")
    parsed = opened(message.as_bytes(), MediaType.EML)
    assert parsed.warnings == ()
    assert "See the attached." in parsed.text


def test_a_mail_of_too_many_parts_is_refused() -> None:
    message = mail(*((f"{n}.txt", b"x") for n in range(30)))
    with pytest.raises(ParseError) as caught:
        opened(message.as_bytes(), MediaType.EML, ParseLimits(archive_entries_max=20))
    assert caught.value.code is ParseErrorCode.ARCHIVE_LIMIT
