"""HTTP of API keys, for the scope admin."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.access import Scope, principal_of
from domain.api_keys import KNOWLEDGE_BASES_MAX, NAME_CHARS_MAX, OVERLAP_S_MAX, KeyLimits, KeyRecord, NewKey
from domain.instant import EPOCH, utc
from events.ids import KnowledgeBaseId, parse_knowledge_base_id
from ingest.body import has_body, read_json, refuse_encoded
from ingest.idempotency import idempotency_key
from millstream.admission.key_book import KeyBook, Shown
from millstream.admission.key_ring import KeyRing
from projections.lists import Listing
from projections.parameters import Parameters
from projections.queries import Queries

PREFIX: Final = "/api/v1/keys"
JSON_BYTES_MAX: Final = 65_536
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


_create_decoder = msgspec.json.Decoder(CreateKeyBody)
_rotate_decoder = msgspec.json.Decoder(RotateKeyBody)
_encoder = msgspec.json.Encoder()


def key_status(record: KeyRecord, used_at_us: int | None = None) -> KeyStatus:
    """What is shown of a record."""
    return KeyStatus(**_fields(record, used_at_us))


def shown_key(shown: Shown) -> ShownKey:
    """The same, with the key."""
    return ShownKey(**_fields(shown.record, None), api_key=shown.api_key)


def key_routes(book: KeyBook, ring: KeyRing, queries: Queries) -> list[Route]:
    """Errors are raised. This process knows of each change before it answers."""

    async def create_key(request: Request) -> Response:
        key = idempotency_key(request.headers)
        body = await read_json(request, _create_decoder, bytes_max=JSON_BYTES_MAX)
        asked = body.asked()
        for one in asked.knowledge_bases or ():
            await queries.knowledge_base(one)  # a key that was mistyped would see nothing, and nobody would know why
        shown = await book.create(asked, principal_of(request.scope).actor, idempotency_key=key)
        await ring.look()
        location = {"Location": f"{PREFIX}/{shown.record.id}"}
        return _json(shown_key(shown), 200 if shown.api_key is None else 201, location)

    async def list_keys(request: Request) -> Response:
        Parameters(request.query_params.multi_items(), known=frozenset())
        used = await book.used()
        rows = tuple(key_status(record, used.get(record.id)) for record in await book.all())
        return _json(Listing(rows, len(rows), None), 200)

    async def get_key(request: Request) -> Response:
        record = await book.find(request.path_params["key_id"])
        return _json(key_status(record, (await book.used()).get(record.id)), 200)

    async def revoke_key(request: Request) -> Response:
        record = await book.revoke(request.path_params["key_id"], principal_of(request.scope).actor)
        await ring.look()
        return _json(key_status(record), 200)

    async def rotate_key(request: Request) -> Response:
        refuse_encoded(request.headers)
        key = idempotency_key(request.headers)
        body = RotateKeyBody()
        if has_body(request.headers):
            body = await read_json(request, _rotate_decoder, bytes_max=JSON_BYTES_MAX)
        actor = principal_of(request.scope).actor
        shown = await book.rotate(request.path_params["key_id"], actor, overlap_s=body.overlap_s, idempotency_key=key)
        await ring.look()
        return _json(shown_key(shown), 200)

    one = f"{PREFIX}/{{key_id}}"
    return [
        Route(PREFIX, create_key, methods=["POST"], name="create_key"),
        Route(PREFIX, list_keys, name="list_keys"),
        Route(one, get_key, name="get_key"),
        Route(one, revoke_key, methods=["DELETE"], name="revoke_key"),
        Route(f"{one}/rotate", rotate_key, methods=["POST"], name="rotate_key"),
    ]


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


def _json(body: Any, status: int, headers: dict[str, str] | None = None) -> Response:
    sent = {"Cache-Control": "no-store", **(headers or {})}
    return Response(_encoder.encode(body), status_code=status, headers=sent, media_type="application/json")
