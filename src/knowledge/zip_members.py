"""The files of a ZIP archive, one at a time, under names that can be read."""

import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import Final

from knowledge.archive_scan import scan_archive
from knowledge.cleaning import one_line
from knowledge.decode import decode
from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import ParseLimits
from knowledge.members import Member

_UTF_8_FLAG: Final = 0x800
_FOLDER_OF_FINDER: Final = "__MACOSX/"
_LEFTOVERS: Final = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""What file managers leave in every folder; nobody means to upload it."""
PATH_CHARS_MAX: Final = 200


def zip_members(data: bytes, limits: ParseLimits) -> Iterator[Member]:
    """The files of the archive, in its order. Raises ParseError as `scan_archive` does, before the first."""
    scan_archive(data, limits)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for entry in archive.infolist():
            if not entry.is_dir() and not _is_leftover(entry.filename):
                yield Member(path=_path(entry), data=_bytes(archive, entry))


def _is_leftover(name: str) -> bool:
    return name.startswith(_FOLDER_OF_FINDER) or name.rsplit("/", 1)[-1] in _LEFTOVERS


def _path(entry: zipfile.ZipInfo) -> str:
    name = entry.filename
    if not entry.flag_bits & _UTF_8_FLAG:
        # Without the flag a name is in whatever the writer's system speaks; zipfile takes it for cp437.
        name = decode(name.encode("cp437", "replace")).text
    return one_line(name.replace("\\", "/"))[-PATH_CHARS_MAX:]


def _bytes(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes | ParseError:
    try:
        return archive.read(entry)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        return ParseError(ParseErrorCode.PARSE_FAILED, f"the archive is damaged here ({error})")
