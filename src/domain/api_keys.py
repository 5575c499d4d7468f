"""API keys: a form that anybody can check, and what is kept of one. Chance and time are passed in.

`ms_<id>_<secret>_<checksum>`: the prefix is what secret scanners look for, the id finds the record, the secret is 32
random bytes in base62, the checksum is CRC-32 of all before it (github.blog, "Behind GitHub's new authentication token
formats", 2021). Of the secret only its SHA-256 is kept: it is no password, nobody guesses 256 random bits.
"""

import hashlib
import hmac
import re
import string
import zlib
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from domain.access import Principal, Scope, with_included
from domain.errors import RefusalCode, Refused
from events.ids import KnowledgeBaseId

ID_DIGITS: Final = 16
SECRET_BYTES: Final = 32
SECRET_CHARS: Final = 43
"""62 ** 43 is the first power of 62 above 2 ** 256."""
CHECKSUM_CHARS: Final = 6
KEY_CHARS: Final = len("ms_") + ID_DIGITS + 1 + SECRET_CHARS + 1 + CHECKSUM_CHARS

KNOWLEDGE_BASES_MAX: Final = 100
"""A key may be bound to so many: each of its lists is merged from as many."""

NAME_CHARS_MAX: Final = 100
OVERLAP_S_MAX: Final = 2_592_000
PER_MINUTE_MAX: Final = 10_000_000

_DIGITS: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_FORM: Final = re.compile(r"(ms_([0-9a-f]{16})_([0-9A-Za-z]{43}))_([0-9A-Za-z]{6})")

PerMinute = Annotated[int, Meta(ge=0, le=PER_MINUTE_MAX)]
Count = Annotated[int, Meta(ge=0, le=2**62)]


class KeyLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What holds for one key instead of the settings; None is as set, 0 is no limit. The last two bound what a
    knowledge base may hold for this key to add to it."""

    reads_per_minute: PerMinute | None = None
    searches_per_minute: PerMinute | None = None
    writes_per_minute: PerMinute | None = None
    knowledge_base_bytes_max: Count | None = None
    knowledge_base_documents_max: Count | None = None


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that is kept of a key. Times in unix µs. `previous_sha256` is good until `previous_until_us`.

    `request_sha256` and `rotation_sha256` recognise requests that are repeated under their Idempotency-Key.
    """

    id: str
    name: str
    secret_sha256: str
    scopes: tuple[Scope, ...]
    created_at_us: int
    created_by: str
    knowledge_bases: tuple[KnowledgeBaseId, ...] | None = None
    expires_at_us: int | None = None
    revoked_at_us: int | None = None
    rotated_at_us: int | None = None
    previous_sha256: str | None = None
    previous_until_us: int = 0
    limits: KeyLimits = KeyLimits()
    request_sha256: str | None = None
    rotation_sha256: str | None = None

    def principal(self) -> Principal:
        """Whoever shows this key."""
        bound = None if self.knowledge_bases is None else frozenset(self.knowledge_bases)
        return Principal(actor=self.id, scopes=with_included(self.scopes), knowledge_bases=bound)


class PresentedKey(msgspec.Struct, frozen=True):
    """What is looked at of a key that somebody shows; the secret itself goes no further."""

    id: str
    secret_sha256: str


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that is asked for."""

    name: str
    scopes: tuple[Scope, ...]
    knowledge_bases: tuple[KnowledgeBaseId, ...] | None = None
    expires_at_us: int | None = None
    limits: KeyLimits = KeyLimits()


def parse_key(text: str) -> PresentedKey | None:
    """None for whatever is no key, of any length and content."""
    matched = _FORM.fullmatch(text) if len(text) == KEY_CHARS else None
    if matched is None or not hmac.compare_digest(matched[4], _checksum(matched[1])):
        return None
    return PresentedKey(matched[2], hashlib.sha256(matched[3].encode()).hexdigest())


def opens(record: KeyRecord | None, presented: PresentedKey, now_us: int) -> bool:
    """Whether the key is good now. What is unknown is compared as well: it takes as long."""
    known = record if record is not None else _NOBODYS
    is_present = hmac.compare_digest(known.secret_sha256, presented.secret_sha256)
    is_previous = hmac.compare_digest(known.previous_sha256 or _NO_SHA256, presented.secret_sha256)
    return (is_present or (is_previous and now_us < known.previous_until_us)) and is_valid(known, now_us)


def is_valid(record: KeyRecord, now_us: int) -> bool:
    """Neither revoked nor expired."""
    return record.revoked_at_us is None and (record.expires_at_us is None or now_us < record.expires_at_us)


def new_key(
    asked: NewKey,
    *,
    key_id: str,
    secret: bytes,
    now_us: int,
    created_by: str,
    request_sha256: str | None = None,
) -> tuple[KeyRecord, str]:
    """The record, and the key as it is shown once. Raises Refused (validation_failed)."""
    _check(asked, now_us)
    text, secret_sha256 = _written(key_id, secret)
    record = KeyRecord(
        id=key_id,
        name=asked.name,
        secret_sha256=secret_sha256,
        scopes=tuple(scope for scope in Scope if scope in asked.scopes),
        created_at_us=now_us,
        created_by=created_by,
        knowledge_bases=None if asked.knowledge_bases is None else tuple(sorted(set(asked.knowledge_bases))),
        expires_at_us=asked.expires_at_us,
        limits=asked.limits,
        request_sha256=request_sha256,
    )
    return record, text


def rotated(
    record: KeyRecord, *, secret: bytes, now_us: int, overlap_us: int, rotation_sha256: str | None = None
) -> tuple[KeyRecord, str]:
    """The same key with another secret; the one before it stays good for the overlap. Raises Refused (key_ended)."""
    if not is_valid(record, now_us):
        raise Refused(RefusalCode.KEY_ENDED, "the key is revoked or has expired; create another")
    text, secret_sha256 = _written(record.id, secret)
    after = replace(
        record,
        secret_sha256=secret_sha256,
        previous_sha256=record.secret_sha256 if overlap_us > 0 else None,
        previous_until_us=now_us + overlap_us if overlap_us > 0 else 0,
        rotated_at_us=now_us,
        rotation_sha256=rotation_sha256,
    )
    return after, text


def revoked(record: KeyRecord, now_us: int) -> KeyRecord:
    """For good; saying it twice changes nothing."""
    return record if record.revoked_at_us is not None else replace(record, revoked_at_us=now_us)


def _check(asked: NewKey, now_us: int) -> None:
    if not asked.name.strip() or not asked.name.isprintable() or len(asked.name) > NAME_CHARS_MAX:
        raise _invalid(f"a name of 1 to {NAME_CHARS_MAX} printable characters is needed")
    if not asked.scopes:
        raise _invalid("at least one scope is needed: read, write or admin")
    if asked.expires_at_us is not None and asked.expires_at_us <= now_us:
        raise _invalid("the key would have expired already")
    if asked.knowledge_bases is None:
        return
    if not 1 <= len(asked.knowledge_bases) <= KNOWLEDGE_BASES_MAX:
        raise _invalid(f"a key is bound to 1 to {KNOWLEDGE_BASES_MAX} knowledge bases, or to none by leaving them out")
    if Scope.ADMIN in asked.scopes:
        raise _invalid("a key with the scope admin sees everything; it cannot be bound to knowledge bases")


def _invalid(reason: str) -> Refused:
    return Refused(RefusalCode.VALIDATION_FAILED, reason)


def _written(key_id: str, secret: bytes) -> tuple[str, str]:
    encoded = _base62(int.from_bytes(secret), SECRET_CHARS)
    head = f"ms_{key_id}_{encoded}"
    return f"{head}_{_checksum(head)}", hashlib.sha256(encoded.encode()).hexdigest()


def _checksum(head: str) -> str:
    return _base62(zlib.crc32(head.encode()), CHECKSUM_CHARS)


def _base62(number: int, chars: int) -> str:
    found = []
    for _ in range(chars):
        number, digit = divmod(number, len(_DIGITS))
        found.append(_DIGITS[digit])
    return "".join(reversed(found))


_NO_SHA256: Final = "-" * 64
_NOBODYS: Final = KeyRecord(
    id="", name="", secret_sha256=_NO_SHA256, scopes=(), created_at_us=0, created_by="", revoked_at_us=0
)
