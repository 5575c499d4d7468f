"""Pure: what a file is, by its content; its name only decides between kinds of text."""

import re
from enum import StrEnum
from typing import Final

from knowledge import containers
from knowledge.decode import Decoded, decode
from knowledge.filenames import suffix_of
from knowledge.subtitles import is_subrip, is_webvtt

SNIFF_BYTES: Final = 64 * 1024
# Text has line ends, tabs, form feeds, sometimes escape sequences; random bytes have 10 % other controls.
CONTROL_SHARE_MAX: Final = 0.005
_PREFIX_CHARS: Final = 4096


class MediaType(StrEnum):
    """The types that are told apart; the values are IANA names where there is one."""

    PDF = "application/pdf"
    DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
    XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    DOC = "application/msword"
    PPT = "application/vnd.ms-powerpoint"
    XLS = "application/vnd.ms-excel"
    ODT = "application/vnd.oasis.opendocument.text"
    ODS = "application/vnd.oasis.opendocument.spreadsheet"
    ODP = "application/vnd.oasis.opendocument.presentation"
    EPUB = "application/epub+zip"
    HTML = "text/html"
    MARKDOWN = "text/markdown"
    TEXT = "text/plain"
    CSV = "text/csv"
    TSV = "text/tab-separated-values"
    JSON = "application/json"
    IPYNB = "application/x-ipynb+json"
    XML = "application/xml"
    RTF = "application/rtf"
    EML = "message/rfc822"
    MSG = "application/vnd.ms-outlook"
    PNG = "image/png"
    JPEG = "image/jpeg"
    TIFF = "image/tiff"
    WEBP = "image/webp"
    BMP = "image/bmp"
    GIF = "image/gif"
    SRT = "application/x-subrip"
    VTT = "text/vtt"
    ZIP = "application/zip"
    EXECUTABLE = "application/x-executable"
    BINARY = "application/octet-stream"


UNSUPPORTED: Final = frozenset({MediaType.EXECUTABLE, MediaType.BINARY})
IMAGES: Final = frozenset({MediaType.PNG, MediaType.JPEG, MediaType.TIFF, MediaType.WEBP, MediaType.BMP, MediaType.GIF})
READ_AS_TEXT: Final = frozenset(
    {
        *(MediaType.TEXT, MediaType.MARKDOWN, MediaType.CSV, MediaType.TSV),
        *(MediaType.JSON, MediaType.SRT, MediaType.VTT),
    }
)
"""Types that cost a parser milliseconds where they are small."""
MAY_BE_SCANS: Final = IMAGES | {MediaType.PDF, MediaType.ZIP, MediaType.EML, MediaType.MSG}
"""Types whose text, or that of files within, may have to be read off pictures, which takes its time."""

_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", MediaType.PNG),
    (b"\xff\xd8\xff", MediaType.JPEG),
    (b"II*\0", MediaType.TIFF),
    (b"MM\0*", MediaType.TIFF),
    (b"GIF87a", MediaType.GIF),
    (b"GIF89a", MediaType.GIF),
    (b"{\\rtf", MediaType.RTF),
    (b"\x7fELF", MediaType.EXECUTABLE),
    (b"\xca\xfe\xba\xbe", MediaType.EXECUTABLE),
    (b"\xcf\xfa\xed\xfe", MediaType.EXECUTABLE),
    (b"\xce\xfa\xed\xfe", MediaType.EXECUTABLE),
    (b"\0asm", MediaType.EXECUTABLE),
    (b"\x1f\x8b", MediaType.BINARY),
    (b"7z\xbc\xaf\x27\x1c", MediaType.BINARY),
    (b"Rar!\x1a\x07", MediaType.BINARY),
)
_MAGICS: Final = tuple(magic for magic, _ in _MAGIC)
_TEXT_BY_SUFFIX: Final = {
    ".md": MediaType.MARKDOWN, ".markdown": MediaType.MARKDOWN, ".mdx": MediaType.MARKDOWN,
    ".csv": MediaType.CSV, ".tsv": MediaType.TSV, ".tab": MediaType.TSV,
    ".html": MediaType.HTML, ".htm": MediaType.HTML, ".xhtml": MediaType.HTML,
    ".json": MediaType.JSON, ".geojson": MediaType.JSON, ".ndjson": MediaType.JSON, ".jsonl": MediaType.JSON,
    ".ipynb": MediaType.IPYNB, ".xml": MediaType.XML, ".srt": MediaType.SRT, ".vtt": MediaType.VTT,
}  # fmt: skip
_BY_CONTAINER: Final = {
    "word": MediaType.DOCX, "ppt": MediaType.PPTX, "xl": MediaType.XLSX,
    "doc": MediaType.DOC, "xls": MediaType.XLS, "powerpoint": MediaType.PPT, "msg": MediaType.MSG,
}  # fmt: skip
_OFFICE_BY_SUFFIX: Final = {
    ".docx": MediaType.DOCX, ".docm": MediaType.DOCX, ".pptx": MediaType.PPTX, ".pptm": MediaType.PPTX,
    ".xlsx": MediaType.XLSX, ".xlsm": MediaType.XLSX, ".doc": MediaType.DOC, ".xls": MediaType.XLS,
    ".ppt": MediaType.PPT, ".msg": MediaType.MSG,
}  # fmt: skip
_OOXML: Final = frozenset({MediaType.DOCX, MediaType.PPTX, MediaType.XLSX})
_OPEN_DOCUMENT: Final = (MediaType.ODT, MediaType.ODS, MediaType.ODP, MediaType.EPUB)

_HTML_START: Final = re.compile(r"<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_MAIL_HEADER: Final = re.compile(
    r"^(from|to|cc|subject|date|received|return-path|message-id|mime-version|delivered-to|reply-to|x-[\w-]+):",
    re.IGNORECASE,
)
MAIL_HEADERS_MIN: Final = 3
TEXT_PROBE_BYTES: Final = 8_192
"""How much of a file is decoded to tell text from anything else: guessing the encoding of 64 KiB of GB18030 took 272 ms
of CPU on the path of an upload, of 8 KiB 11 ms."""
_CONTROLS: Final = bytes([*range(0x08), 0x0B, *range(0x0E, 0x1A), *range(0x1C, 0x20)])
"""What text does not hold, besides the ESC, SUB, BS and FF of old terminals."""


def is_supported(media_type: MediaType) -> bool:
    """Whether an upload of this type is accepted; programs, archives other than ZIP and unknown bytes are not."""
    return media_type not in UNSUPPORTED


def sniff(head: bytes, tail_or_whole: bytes | None, filename: str) -> MediaType:
    """What the file is whose first bytes (64 KiB are enough) are `head`; total, raises nothing.

    `tail_or_whole` is the end of the file or all of it, where at hand: the directory of a container lies at the
    end. Without it, what stands at the front of the container must do.
    """
    suffix = suffix_of(filename.lower().strip())
    if head.startswith(_MAGICS):
        return next(media_type for magic, media_type in _MAGIC if head.startswith(magic))
    if head.startswith(b"MZ") and b"PE\0\0" in head[:4096]:
        return MediaType.EXECUTABLE
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return MediaType.WEBP
    if head.startswith(b"BM") and head[6:10] == b"\0\0\0\0" and len(head) > 26:
        return MediaType.BMP
    if containers.is_zip(head):
        return _zip_type(head, tail_or_whole, suffix)
    if containers.is_ole2(head):
        return _ole2_type(head, tail_or_whole, suffix)
    if b"%PDF-" in head[:1024]:  # readers accept up to 1,024 bytes of other things before it
        return MediaType.PDF
    return _text_type(head, suffix)


def _zip_type(head: bytes, rest: bytes | None, suffix: str) -> MediaType:
    declared = containers.declared_zip_type(head)
    for media_type in _OPEN_DOCUMENT:
        if declared.startswith(media_type.value):  # also their templates, `…text-template`
            return media_type
    folder = containers.office_folder(head, rest)
    if folder is not None:
        return _BY_CONTAINER[folder]
    by_suffix = _OFFICE_BY_SUFFIX.get(suffix)
    if by_suffix in _OOXML and containers.has_content_types(head):
        return by_suffix
    return MediaType.ZIP


def _ole2_type(head: bytes, rest: bytes | None, suffix: str) -> MediaType:
    kind = containers.ole2_kind(head, rest)
    by_suffix = _OFFICE_BY_SUFFIX.get(suffix)
    if kind == "encrypted":  # an encrypted OOXML file shows only that; its name says which one
        return by_suffix if by_suffix in _OOXML else MediaType.DOCX
    if kind is not None:
        return _BY_CONTAINER[kind]
    return by_suffix if by_suffix is not None and by_suffix not in _OOXML else MediaType.BINARY


def _text_type(head: bytes, suffix: str) -> MediaType:
    by_suffix = _TEXT_BY_SUFFIX.get(suffix)
    decoded = decode(_whole_characters(head[:TEXT_PROBE_BYTES]))
    if not _is_text(decoded):
        return MediaType.BINARY
    start = decoded.text[:_PREFIX_CHARS]
    if by_suffix is not None and by_suffix not in {MediaType.XML, MediaType.HTML}:
        return by_suffix
    if _HTML_START.match(_after_prolog(start)):
        return MediaType.HTML
    if start.lstrip()[:5].lower() == "<?xml":
        return MediaType.XML
    if by_suffix is None and _looks_like_mail(start, suffix):
        return MediaType.EML
    if by_suffix is None and (is_webvtt(start) or is_subrip(start)):
        return MediaType.VTT if is_webvtt(start) else MediaType.SRT
    return by_suffix or MediaType.TEXT


def _whole_characters(head: bytes) -> bytes:
    """`head` without the part of a character that was cut off at its end."""
    if b"\0" in head:
        return head[: len(head) - len(head) % 4]
    for cut in range(4):
        whole = head[: len(head) - cut]
        try:
            whole.decode("utf-8")
        except UnicodeDecodeError:
            continue
        return whole
    return head[: head.rfind(b"\n") + 1] or head


def _after_prolog(start: str) -> str:
    # By hand: a pattern with a repeated comment in it takes exponential time on `<!----><!---->…`.
    start = start.lstrip()
    while start.startswith(("<?", "<!--")):
        end = "-->" if start.startswith("<!--") else ">"
        _, found, start = start.partition(end)
        if not found:
            return ""
        start = start.lstrip()
    return start


def _is_text(decoded: Decoded) -> bool:
    text = decoded.text
    if not text.strip("\0"):
        return True  # nothing but NULs: an empty text, and parsing says so
    encoded = text.encode("utf-8", "surrogatepass")  # each control is one byte there, and counted ten times as fast
    controls = len(encoded) - len(encoded.translate(None, _CONTROLS))
    return controls + text.count("\ufffd") / 2 <= 1 + len(text) * CONTROL_SHARE_MAX


def _looks_like_mail(start: str, suffix: str) -> bool:
    if suffix != ".eml" and not _MAIL_HEADER.match(start):
        return False
    lines = re.split(r"\r?\n\r?\n", start, maxsplit=1)[0].splitlines()
    headers = sum(1 for line in lines if _MAIL_HEADER.match(line))
    return headers >= (1 if suffix == ".eml" else MAIL_HEADERS_MIN)
