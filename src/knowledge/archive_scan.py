"""Pure: looks a ZIP container over before any parser unpacks it."""

import io
import stat
import struct
import zipfile
import zlib
from typing import Final

from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import MEBIBYTE, ParseLimits
from knowledge.xml_entities import check_entities

_DIRECTORY_HEADER: Final = b"PK\x01\x02"
_DIRECTORY_END: Final = b"PK\x05\x06"
_DIRECTORY_END_BYTES: Final = 22
_LOCAL_HEADER_BYTES: Final = 30
_INFLATE_STEP_BYTES: Final = MEBIBYTE
_ENCRYPTED_FLAG: Final = 0x1
_ODF_MANIFEST: Final = "META-INF/manifest.xml"
_ODF_ENCRYPTION: Final = b":encryption-data"
_XML_SUFFIXES: Final = (".xml", ".rels", ".opf", ".ncx", ".xhtml", ".html", ".htm", ".svg")
_DECLARATIONS_BYTES_MAX: Final = 64 * 1024
"""Entities are declared in front of the first element."""


def scan_archive(data: bytes, limits: ParseLimits) -> None:
    """Refuses a container that is a bomb, lies about itself or reaches outside.

    Raises ParseError: archive_limit (entries), resource_limit (unpacked bytes, ratio, entities; declared and counted),
    archive_unsafe (paths, links, duplicate or overlapping entries, sizes that lie, data in front), encrypted_document,
    and parse_failed where it is no readable ZIP.
    """
    entries = _entries(data, limits)
    _check_names(entries)
    _check_declared(entries, limits)
    _check_overlap(entries)
    unpacked = 0
    for entry in entries:
        unpacked += _count(data, entry, limits.archive_bytes_max - unpacked)
    _check_odf_encryption(data, entries)
    _check_entities(data, entries, limits)


def _entries(data: bytes, limits: ParseLimits) -> list[zipfile.ZipInfo]:
    # Counted before the directory is read: a million entries cost seconds and hundreds of MB as objects.
    if data.count(_DIRECTORY_HEADER, _directory_start(data)) > limits.archive_entries_max:
        raise ParseError(
            ParseErrorCode.ARCHIVE_LIMIT,
            f"the container holds more than {limits.archive_entries_max:,} files",
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, OverflowError, EOFError) as error:
        raise ParseError(
            ParseErrorCode.PARSE_FAILED, f"the file is damaged or cut off: its container cannot be read ({error})"
        ) from error


def _directory_start(data: bytes) -> int:
    """Where the list of files begins: files before it may be containers with lists of their own."""
    end = data.rfind(_DIRECTORY_END)
    if end == -1 or end + _DIRECTORY_END_BYTES > len(data):
        return 0
    return max(end - int.from_bytes(data[end + 12 : end + 16], "little"), 0)


def _check_names(entries: list[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry.flag_bits & _ENCRYPTED_FLAG:
            raise ParseError(ParseErrorCode.ENCRYPTED_DOCUMENT, "the document is encrypted")
        name = entry.filename.replace("\\", "/")
        mode = entry.external_attr >> 16
        if name.startswith("/") or ".." in name.split("/") or name[1:2] == ":" or stat.S_ISLNK(mode):
            raise ParseError(ParseErrorCode.ARCHIVE_UNSAFE, "a file in the container points outside of it")
        if name in seen:
            raise ParseError(ParseErrorCode.ARCHIVE_UNSAFE, "two files in the container have the same name")
        seen.add(name)


def _check_declared(entries: list[zipfile.ZipInfo], limits: ParseLimits) -> None:
    total = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    if total > limits.archive_bytes_max:
        raise _too_large(limits.archive_bytes_max)
    suspects = [(entry.file_size, entry.compress_size) for entry in entries]
    for size, compressed in [*suspects, (total, packed)]:
        if size >= MEBIBYTE and size > limits.archive_ratio_max * max(compressed, 1):
            raise ParseError(
                ParseErrorCode.RESOURCE_LIMIT,
                f"the container unpacks to more than {limits.archive_ratio_max} times its size",
            )


def _check_overlap(entries: list[zipfile.ZipInfo]) -> None:
    end = 0
    if entries and min(entry.header_offset for entry in entries) > 0:  # readers disagree about where such a one begins
        raise ParseError(ParseErrorCode.ARCHIVE_UNSAFE, "something lies in front of the first file of the container")
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            raise ParseError(ParseErrorCode.ARCHIVE_UNSAFE, "files in the container overlap")
        end = entry.header_offset + _LOCAL_HEADER_BYTES + len(entry.orig_filename) + entry.compress_size


def _count(data: bytes, entry: zipfile.ZipInfo, bytes_max: int) -> int:
    """The bytes that `entry` really unpacks to; a parser would trust the stream, not the directory."""
    packed = _packed(data, entry)
    match entry.compress_type:
        case zipfile.ZIP_STORED:
            counted = len(packed)
        case zipfile.ZIP_DEFLATED:
            counted = _inflated_bytes(packed, bytes_max)
        case _:
            raise ParseError(ParseErrorCode.PARSE_FAILED, "the container uses a compression that is not read")
    if counted > bytes_max:
        raise _too_large(bytes_max)
    if counted > entry.file_size:
        raise ParseError(ParseErrorCode.ARCHIVE_UNSAFE, "a file in the container lies about its size")
    return counted


def _packed(data: bytes, entry: zipfile.ZipInfo) -> memoryview:
    header = data[entry.header_offset : entry.header_offset + _LOCAL_HEADER_BYTES]
    if len(header) < _LOCAL_HEADER_BYTES:
        raise ParseError(ParseErrorCode.PARSE_FAILED, "the container is cut off")
    name_length, extra_length = struct.unpack_from("<HH", header, 26)
    start = entry.header_offset + _LOCAL_HEADER_BYTES + name_length + extra_length
    return memoryview(data)[start : start + entry.compress_size]


def _inflated_bytes(packed: memoryview, bytes_max: int) -> int:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    counted = 0
    pending: bytes | memoryview = packed
    try:
        while pending and not inflater.eof:
            counted += len(inflater.decompress(pending, _INFLATE_STEP_BYTES))
            if counted > bytes_max:
                return counted
            pending = inflater.unconsumed_tail
    except zlib.error as error:
        raise ParseError(ParseErrorCode.PARSE_FAILED, f"a file in the container is damaged ({error})") from error
    return counted


def _check_odf_encryption(data: bytes, entries: list[zipfile.ZipInfo]) -> None:
    manifests = (entry for entry in entries if entry.filename == _ODF_MANIFEST and entry.file_size <= MEBIBYTE)
    if any(_ODF_ENCRYPTION in _unpacked(data, entry, MEBIBYTE) for entry in manifests):
        raise ParseError(ParseErrorCode.ENCRYPTED_DOCUMENT, "the document is encrypted")


def _check_entities(data: bytes, entries: list[zipfile.ZipInfo], limits: ParseLimits) -> None:
    for entry in entries:
        is_xml = entry.filename.lower().endswith(_XML_SUFFIXES)
        if is_xml and b"<!ENTITY" in _unpacked(data, entry, _DECLARATIONS_BYTES_MAX):
            check_entities(_unpacked(data, entry, entry.file_size), limits)


def _unpacked(data: bytes, entry: zipfile.ZipInfo, bytes_max: int) -> bytes:
    """The beginning of a file that was counted before."""
    packed = _packed(data, entry)
    if entry.compress_type != zipfile.ZIP_DEFLATED:
        return bytes(packed[:bytes_max])
    # Not zlib.decompress, which raises for a stream that ends early.
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, bytes_max)


def _too_large(bytes_max: int) -> ParseError:
    return ParseError(ParseErrorCode.RESOURCE_LIMIT, f"the container unpacks to more than {bytes_max:,} bytes")
