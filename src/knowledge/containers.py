"""Pure: what lies in a ZIP or OLE2 container, seen from parts of its bytes."""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

_LOCAL_HEADER: Final = b"PK\x03\x04"
_DIRECTORY_HEADER: Final = b"PK\x01\x02"
_EMPTY_ZIP: Final = b"PK\x05\x06"
_OLE2: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_CONTENT_TYPES: Final = "[Content_Types].xml"
_CONTENT_TYPES_BYTES_MAX: Final = 64 * 1024
_NAME_BYTES_MAX: Final = 256
_MIMETYPE_BYTES_MAX: Final = 128

_OFFICE_FOLDERS: Final = ("word", "ppt", "xl")
# By what the main part is called in [Content_Types].xml, for files that put their pictures first.
_OFFICE_PARTS: Final = ((b"wordprocessingml", "word"), (b"presentationml", "ppt"), (b"spreadsheetml", "xl"))
_OLE2_STREAMS: Final = (  # in this order: an encrypted workbook has a Workbook stream beside its package
    ("EncryptedPackage", "encrypted"),
    ("WordDocument", "doc"),
    ("PowerPoint Document", "powerpoint"),
    ("__properties_version1.0", "msg"),
    ("Workbook", "xls"),
    ("Book", "xls"),
)


def is_zip(head: bytes) -> bool:
    """Whether `head` starts a ZIP container, also an empty one."""
    return head.startswith((_LOCAL_HEADER, _EMPTY_ZIP))


def is_ole2(head: bytes) -> bool:
    """Whether `head` starts an OLE2 compound file (old Office, Outlook, encrypted new Office)."""
    return head.startswith(_OLE2)


def declared_zip_type(head: bytes) -> str:
    """What the stored first entry `mimetype` of ODF and EPUB says, else the empty string."""
    for name, data in _local_entries(head):
        if name != "mimetype":
            return ""
        return data[:_MIMETYPE_BYTES_MAX].split(b"PK")[0].decode("ascii", errors="replace").strip()
    return ""


def has_content_types(head: bytes) -> bool:
    """Whether the list of parts that every Office Open XML file carries is seen in `head`."""
    return any(name == _CONTENT_TYPES for name, _ in _local_entries(head))


def office_folder(head: bytes, rest: bytes | None) -> str | None:
    """The folder (`word`, `ppt`, `xl`) that makes a ZIP an Office file; None where there is none."""
    names: list[str] = []
    content_types = b""
    for name, data in _local_entries(head):
        names.append(name)
        if name == _CONTENT_TYPES:
            content_types = _inflate(data)
    names.extend(_directory_names(rest or b""))
    if _CONTENT_TYPES not in names:
        return None
    for folder in _OFFICE_FOLDERS:
        if any(name.startswith(f"{folder}/") for name in names):
            return folder
    return next((folder for part, folder in _OFFICE_PARTS if part in content_types), None)


def ole2_kind(head: bytes, rest: bytes | None) -> str | None:
    """`doc`, `xls`, `powerpoint`, `msg` or `encrypted`, by the names of the streams inside."""
    seen = _ole2_directory(head) or _ole2_directory(rest or b"") or head + (rest or b"")
    for stream, kind in _OLE2_STREAMS:
        if stream.encode("utf-16-le") + b"\0\0" in seen:
            return kind
    return None


def _local_entries(head: bytes) -> Iterator[tuple[str, bytes]]:
    """Names of the entries that start in `head`, each with the bytes that follow its header."""
    at = head.find(_LOCAL_HEADER)
    while at != -1 and at + 30 <= len(head):
        name_length, extra_length = struct.unpack_from("<HH", head, at + 26)
        name = head[at + 30 : at + 30 + name_length]
        if name_length <= _NAME_BYTES_MAX and len(name) == name_length:
            yield name.decode("utf-8", errors="replace"), head[at + 30 + name_length + extra_length :]
        at = head.find(_LOCAL_HEADER, at + 4)


def _directory_names(rest: bytes) -> Iterator[str]:
    at = rest.find(_DIRECTORY_HEADER)
    while at != -1 and at + 46 <= len(rest):
        (name_length,) = struct.unpack_from("<H", rest, at + 28)
        if name_length <= _NAME_BYTES_MAX:
            yield rest[at + 46 : at + 46 + name_length].decode("utf-8", errors="replace")
        at = rest.find(_DIRECTORY_HEADER, at + 4)


def _inflate(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, _CONTENT_TYPES_BYTES_MAX)
    except zlib.error:
        return data[:_CONTENT_TYPES_BYTES_MAX]  # stored without compression


def _ole2_directory(data: bytes) -> bytes:
    """The first sector of the directory, which lists the streams at the top; empty where out of reach."""
    if not data.startswith(_OLE2) or len(data) < 512:
        return b""
    (shift,) = struct.unpack_from("<H", data, 30)
    (sector,) = struct.unpack_from("<I", data, 48)
    if shift not in (9, 12):  # 512 or 4,096 bytes ([MS-CFB] 2.2)
        return b""
    start = (sector + 1) << shift
    directory = data[start : start + (1 << shift)]
    known = any(stream.encode("utf-16-le") in directory for stream, _ in _OLE2_STREAMS)
    return directory if known else b""
