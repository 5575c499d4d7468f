"""Small documents made on the spot, each with what a test needs it to have."""

import io
import zipfile
from collections.abc import Iterable

SENTENCES = (
    "The runner stone turns above the bed stone and never touches it.",
    "Wheat rests for a day after it was damped, so that the bran comes off in large flakes.",
    "A sieve with torn silk shows itself by specks of bran in the flour.",
    "The miller feels the meal between thumb and finger before he trusts any gauge.",
    "石磨的磨盘每磨一百二十吨小麦需要重新凿刻一次。",
    "面粉应当储存在干燥通风的地方，避免阳光直射。",
)


def text_of(number: int) -> bytes:
    """A short text with a word that occurs in no other: `kennzahl0007`."""
    lines = (SENTENCES[(number + offset) % len(SENTENCES)] for offset in range(4))
    return f"Report {number}, {word_of(number)}.\n\n{chr(10).join(lines)}\n".encode()


def word_of(number: int) -> str:
    return f"kennzahl{number:04}"


def archive(files: dict[str, bytes]) -> bytes:
    """A ZIP archive of `files`, by their paths."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as packed:
        for path, content in files.items():
            packed.writestr(path, content)
    return written.getvalue()


def blank_pdf() -> bytes:
    """One empty page: valid, and without any text."""
    return _pdf(_PAGES, trailer=b"")


def encrypted_pdf() -> bytes:
    """A page behind a password that nobody knows: standard security handler, 40 bit (ISO 32000-1, 7.6.3)."""
    key = b"<" + b"5a" * 32 + b">"
    encrypt = b"<< /Filter /Standard /V 1 /R 2 /O " + key + b" /U " + key + b" /P -4 >>"
    trailer = b" /Encrypt 4 0 R /ID [<" + b"ab" * 16 + b"> <" + b"ab" * 16 + b">]"
    return _pdf((*_PAGES, encrypt), trailer=trailer)


_PAGES = (
    b"<< /Type /Catalog /Pages 2 0 R >>",
    b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Resources << >> >>",
)


def _pdf(objects: Iterable[bytes], *, trailer: bytes) -> bytes:
    body, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    entries = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(offsets) + 1
    table = b"xref\n0 %d\n0000000000 65535 f \n%b" % (size, entries)
    return (
        body + table + b"trailer\n<< /Size %d /Root 1 0 R%b >>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, len(body))
    )
