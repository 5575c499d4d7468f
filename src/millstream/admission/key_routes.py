"""HTTP of API keys, for the scope admin."""

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.access import principal_of
from ingest.body import has_body, read_json, refuse_encoded
from ingest.idempotency import idempotency_key
from millstream.admission.key_book import KeyBook
from millstream.admission.key_ring import KeyRing
from millstream.admission.key_status import CreateKeyBody, RotateKeyBody, key_status, shown_key
from projections.lists import Listing
from projections.parameters import Parameters
from projections.queries import Queries

PREFIX: Final = "/api/v1/keys"
JSON_BYTES_MAX: Final = 65_536


_create_decoder = msgspec.json.Decoder(CreateKeyBody)
_rotate_decoder = msgspec.json.Decoder(RotateKeyBody)
_encoder = msgspec.json.Encoder()


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


def _json(body: Any, status: int, headers: dict[str, str] | None = None) -> Response:
    sent = {"Cache-Control": "no-store", **(headers or {})}
    return Response(_encoder.encode(body), status_code=status, headers=sent, media_type="application/json")
