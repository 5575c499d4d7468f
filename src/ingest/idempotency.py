"""The Idempotency-Key header: the same key and body answer the same task or knowledge base."""

import hashlib
import re
from collections.abc import Sequence
from typing import Final

import msgspec
from starlette.datastructures import Headers

from ingest.problems import ProblemCode, Rejected

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


class Sent(msgspec.Struct, frozen=True):
    """What makes a file the same as in an earlier request."""

    filename: str
    sha256: str
    size_bytes: int


def idempotency_key(headers: Headers) -> str | None:
    """The key, None where none was sent. Raises Rejected."""
    values = headers.getlist("idempotency-key")
    if not values:
        return None
    if len(values) > 1 or not _KEY.fullmatch(values[0]):
        raise Rejected(
            ProblemCode.BAD_IDEMPOTENCY_KEY, "Idempotency-Key must come once, with 1 to 255 visible ASCII characters."
        )
    return values[0]


def key_sha256(key: str) -> str:
    """What the log remembers of a key: a client may have put something private into it."""
    return hashlib.sha256(key.encode()).hexdigest()


def parts_sha256(parts: Sequence[str]) -> str:
    """The fingerprint of a request without files: what it asks for, word by word."""
    return hashlib.sha256(msgspec.msgpack.encode(list(parts))).hexdigest()


def request_sha256(sent: Sequence[Sent], options: msgspec.Struct) -> str:
    """The fingerprint of a request: its files in order, then its options.

    Each part is MessagePack, which says where it ends: two requests never run together to the same bytes.
    """
    return hashlib.sha256(msgspec.msgpack.encode([list(sent), options], order="deterministic")).hexdigest()
