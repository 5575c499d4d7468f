"""A key as whoever manages keys asks for it and sees it."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from domain.access import Scope
from domain.api_keys import KNOWLEDGE_BASES_MAX, NAME_CHARS_MAX, OVERLAP_S_MAX, KeyLimits, KeyRecord, NewKey
from domain.instant import EPOCH, utc
from events.ids import KnowledgeBaseId, parse_knowledge_base_id
from millstream.admission.key_book import Shown

OVERLAP_S_DEFAULT: Final = 86_400


class CreateKeyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Asks for a key; without `knowledge_bases` it is bound to none and sees all."""

    name: Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=len(Scope))]
    knowledge_bases: Annotated[list[str], Meta(min_length=1, max_length=KNOWLEDGE_BASES_MAX)] | None = None
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None
    limits: KeyLimits = KeyLimits()

    def asked(self) -> NewKey:
        """Raises InvalidId."""
        bound = self.knowledge_bases
        return NewKey(
            name=self.name.strip(),
            scopes=tuple(self.scopes),
            knowledge_bases=None if bound is None else tuple(map(parse_knowledge_base_id, bound)),
            expires_at_us=None if self.expires_at is None else (self.expires_at - EPOCH) // timedelta(microseconds=1),
            limits=self.limits,
        )


class RotateKeyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """May be left out: the secret before stays good for a day."""

    overlap_s: Annotated[int, Meta(ge=0, le=OVERLAP_S_MAX)] = OVERLAP_S_DEFAULT


class KeyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A key as whoever manages keys sees it. `last_used_at` is known to a minute."""

    key_id: str
    name: str
    scopes: tuple[Scope, ...]
    knowledge_bases: tuple[KnowledgeBaseId, ...] | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    rotated_at: datetime | None
    previous_secret_until: datetime | None
    last_used_at: datetime | None
    limits: KeyLimits


class ShownKey(KeyStatus, frozen=True, kw_only=True):
    """`api_key` is the key itself. It is shown this once and kept nowhere; None: the request is a repeated one."""

    api_key: str | None


def key_status(record: KeyRecord, used_at_us: int | None = None) -> KeyStatus:
    """What is shown of a record."""
    return KeyStatus(**_fields(record, used_at_us))


def shown_key(shown: Shown) -> ShownKey:
    """The same, with the key."""
    return ShownKey(**_fields(shown.record, None), api_key=shown.api_key)


def _fields(record: KeyRecord, used_at_us: int | None) -> dict[str, Any]:
    return {
        "key_id": record.id,
        "name": record.name,
        "scopes": record.scopes,
        "knowledge_bases": record.knowledge_bases,
        "created_at": utc(record.created_at_us),
        "created_by": record.created_by,
        "expires_at": _instant(record.expires_at_us),
        "revoked_at": _instant(record.revoked_at_us),
        "rotated_at": _instant(record.rotated_at_us),
        "previous_secret_until": _instant(record.previous_until_us or None),
        "last_used_at": _instant(used_at_us),
        "limits": record.limits,
    }


def _instant(at_us: int | None) -> datetime | None:
    return None if at_us is None else utc(at_us)
