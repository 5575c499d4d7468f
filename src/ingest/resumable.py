"""Pure: what the headers of a resumable upload say (tus 1.0.0, https://tus.io/protocols/resumable-upload)."""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from email.utils import format_datetime
from typing import Any, Final

import msgspec
from starlette.datastructures import Headers

from domain.instant import utc
from ingest.body import LENGTH_DIGITS_MAX
from ingest.problems import ProblemCode, Rejected
from ingest.upload_registry import UploadKind

VERSION: Final = "1.0.0"
EXTENSIONS: Final = "creation,creation-with-upload,creation-defer-length,checksum,expiration,termination,concatenation"
BODY_TYPE: Final = "application/offset+octet-stream"

METADATA_BYTES_MAX: Final = 24 * 1024
"""Of the header as it comes: base64 of the largest options (16 KiB) fits, and so does the limit of all headers."""

PARTS_MAX: Final = 100
"""Partial uploads of a final one, each named by its URL in one header."""

CHECKSUMS: Final[Mapping[str, Callable[[], Any]]] = {
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
    "md5": lambda: hashlib.md5(usedforsecurity=False),
}
"""Against broken lines and disks, not against forgers: the digest comes from whoever sends the bytes."""

_KEY: Final = re.compile(r"[\x21-\x2b\x2d-\x7e]+")
"""Visible ASCII without the comma."""

_UPLOAD_URL: Final = re.compile(r"\S*/uploads/([0-9a-f]{32})")
"""Absolute or relative; what lies in front is a proxy's to know."""

_OVERRIDDEN: Final = frozenset({"POST", "PATCH", "DELETE"})


class Checksum(msgspec.Struct, frozen=True):
    """What the bytes of one request must add up to."""

    algorithm: str
    digest: bytes


class Concat(msgspec.Struct, frozen=True):
    """`parts` are the ids of the partial uploads of a final one, in order; `header` is what the client sent."""

    kind: UploadKind
    header: str = ""
    parts: tuple[str, ...] = ()


def refuse_version(headers: Headers) -> None:
    """Raises Rejected (412) for anything but tus 1.0.0."""
    if headers.get("tus-resumable") != VERSION:
        raise Rejected(ProblemCode.TUS_VERSION, f"Send Tus-Resumable: {VERSION}, the one version spoken here.")


def method_of(method: str, headers: Headers) -> str:
    """The method to act on. A safe one is never overridden: nothing that is allowed to look may so come to change."""
    return headers.get("x-http-method-override", method).upper() if method in _OVERRIDDEN else method


def upload_offset(headers: Headers) -> int:
    """Raises Rejected."""
    offset = _number(headers, "upload-offset")
    if offset is None:
        raise _bad("Upload-Offset is missing.")
    return offset


def upload_length(headers: Headers, *, bytes_max: int) -> int | None:
    """None where the request does not say. Raises Rejected: no number (400), more than may be sent (413)."""
    length = _number(headers, "upload-length")
    if length is not None and length > bytes_max:
        raise too_large(bytes_max)
    return length


def length_of_new(headers: Headers, concat: Concat, *, bytes_max: int) -> int | None:
    """The length of an upload to create, None for one that is told later or follows. Raises Rejected."""
    length = upload_length(headers, bytes_max=bytes_max)
    deferred = headers.get("upload-defer-length")
    if deferred not in {None, "1"}:
        raise _bad("Upload-Defer-Length must be 1 or be left out.")
    if concat.kind is UploadKind.FINAL:
        if length is not None or deferred is not None:
            raise _bad("A final upload is as long as its parts: leave Upload-Length and Upload-Defer-Length out.")
    elif (length is None) is (deferred is None):
        raise _bad("Send either Upload-Length or Upload-Defer-Length: 1.")
    return length


def concat_of(headers: Headers) -> Concat:
    """Raises Rejected."""
    header = _single(headers, "upload-concat")
    if header is None:
        return Concat(UploadKind.WHOLE)
    if header == "partial":
        return Concat(UploadKind.PARTIAL, header)
    kind, _, listed = header.partition(";")
    found = [_UPLOAD_URL.fullmatch(url) for url in listed.split(" ") if url]
    parts = tuple(one[1] for one in found if one is not None)
    if kind != "final" or not parts or len(parts) != len(found):
        raise _bad("Upload-Concat must be `partial`, or `final;` and the URLs of uploads made here.")
    if len(parts) > PARTS_MAX:
        raise _bad(f"A final upload may have {PARTS_MAX} parts.")
    return Concat(UploadKind.FINAL, header, parts)


def checksum_of(headers: Headers) -> Checksum | None:
    """Raises Rejected."""
    header = _single(headers, "upload-checksum")
    if header is None:
        return None
    algorithm, _, encoded = header.partition(" ")
    if algorithm not in CHECKSUMS:
        raise _bad(f"Upload-Checksum: the algorithm must be one of {', '.join(CHECKSUMS)}.")
    digest = _decoded(encoded)
    if digest is None or len(digest) != CHECKSUMS[algorithm]().digest_size:
        raise _bad(f"Upload-Checksum: that is no {algorithm} digest in base64.")
    return Checksum(algorithm, digest)


def metadata_header(headers: Headers) -> str:
    """The header as it came, empty where there is none; it can be read, and be sent back. Raises Rejected."""
    header = _single(headers, "upload-metadata") or ""
    metadata_of(header)
    return header


def metadata_of(header: str) -> dict[str, bytes]:
    """The values by key. Raises Rejected."""
    if len(header) > METADATA_BYTES_MAX:
        raise _bad(f"Upload-Metadata may have {METADATA_BYTES_MAX:,} bytes.")
    pairs: dict[str, bytes] = {}
    for pair in header.split(",") if header.strip() else ():
        key, _, encoded = pair.strip(" ").partition(" ")
        value = _decoded(encoded)
        if not _KEY.fullmatch(key) or value is None:
            raise _bad("Upload-Metadata must be pairs of an ASCII key and a value in base64, with commas between.")
        if key in pairs:
            raise _bad(f"Upload-Metadata has the key {key[:80]!r} twice.")
        pairs[key] = value
    return pairs


def expires_header(expires_us: int) -> str:
    """A date of RFC 9110, section 5.6.7."""
    return format_datetime(utc(expires_us), usegmt=True)


def refuse_body_type(headers: Headers) -> None:
    """Raises Rejected."""
    if headers.get("content-type", "").strip().lower() != BODY_TYPE:
        raise Rejected(ProblemCode.UNSUPPORTED_MEDIA_TYPE, f"Send the bytes as {BODY_TYPE}.")


def too_large(bytes_max: int) -> Rejected:
    """The upload is over its limit."""
    return Rejected(ProblemCode.PAYLOAD_TOO_LARGE, f"One file may have {bytes_max:,} bytes.")


def _number(headers: Headers, name: str) -> int | None:
    value = _single(headers, name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= LENGTH_DIGITS_MAX):
        raise _bad(f"{name.title()} must be one number of bytes.")
    return int(value)


def _single(headers: Headers, name: str) -> str | None:
    values = headers.getlist(name)
    if len(values) > 1:
        raise _bad(f"{name.title()} must come once.")
    return values[0].strip() if values else None


def _decoded(encoded: str) -> bytes | None:
    try:
        return base64.b64decode(encoded.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None


def _bad(detail: str) -> Rejected:
    return Rejected(ProblemCode.BAD_REQUEST, detail)
