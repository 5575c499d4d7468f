"""Which strings may name a blob: one rule for every store, so that data can move between them."""

import re
from typing import Final

from blobs.errors import InvalidBlobKey

KEY_BYTES_MAX: Final = 512
"""Half of what S3 allows (1,024), which leaves the other half to the prefix of a bucket."""

SEGMENT_BYTES_MAX: Final = 255
"""The longest file name of ext4, xfs and APFS."""

_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@/-]*")
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,254}(?:/[A-Za-z0-9][A-Za-z0-9._@-]{0,254})*+")
"""Segments of which each begins with a letter or digit, as in nearly every key."""

_NOT_A_NAME: Final = frozenset({"", ".", ".."})


def check_key(key: str) -> str:
    """Return the key if it may name a blob.

    A key is 1 to 512 ASCII characters, begins with a letter or digit, and consists of segments of at most 255
    characters of `A-Za-z0-9._@-` with `/` between them; no segment is empty, `.` or `..`.

    Raises InvalidBlobKey.
    """
    if len(key) > KEY_BYTES_MAX or not _PLAIN.fullmatch(key):
        _check(key, key.split("/"))
    return key


def check_prefix(prefix: str) -> str:
    """Return the prefix if a key may begin with it: as a key, but it may be empty or end with `/`.

    Raises InvalidBlobKey.
    """
    if prefix:
        _check(prefix, prefix.removesuffix("/").split("/"))
    return prefix


def check_range(start: int, length: int | None) -> None:
    """Raise ValueError for a range that begins before the blob or runs backwards."""
    if start < 0:
        raise ValueError(f"a range starts at 0 or later, not at {start}")
    if length is not None and length < 0:
        raise ValueError(f"a range is 0 bytes or longer, not {length}")


def _check(key: str, segments: list[str]) -> None:
    if len(key) > KEY_BYTES_MAX:
        raise InvalidBlobKey(key, f"it is longer than {KEY_BYTES_MAX} bytes")
    if not _KEY.fullmatch(key):
        raise InvalidBlobKey(key, "it must be letters, digits and '._@/-' of ASCII, and begin with a letter or digit")
    if not _NOT_A_NAME.isdisjoint(segments):
        raise InvalidBlobKey(key, "it has a segment that is empty, '.' or '..'")
    if max(map(len, segments)) > SEGMENT_BYTES_MAX:
        raise InvalidBlobKey(key, f"it has a segment longer than {SEGMENT_BYTES_MAX} bytes")
