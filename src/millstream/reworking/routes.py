"""HTTP of working on many documents again."""

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.access import principal_of
from events.ids import KnowledgeBaseId, parse_knowledge_base_id
from ingest.body import has_body, read_json, refuse_encoded
from ingest.idempotency import idempotency_key
from millstream.reworking.reindex import ReindexBody, Reindexing
from millstream.reworking.reprocess import Reprocessing, ReprocessManyBody

BODY_BYTES_MAX: Final = 64 * 1024

_reprocess_decoder = msgspec.json.Decoder(ReprocessManyBody)
_reindex_decoder = msgspec.json.Decoder(ReindexBody)
_encoder = msgspec.json.Encoder()


def reworking_routes(reprocessing: Reprocessing, reindexing: Reindexing) -> list[Route]:
    """Errors are raised."""

    async def post_reindex(request: Request) -> Response:
        refuse_encoded(request.headers)
        body = ReindexBody()
        if has_body(request.headers):
            body = await read_json(request, _reindex_decoder, bytes_max=BODY_BYTES_MAX)
        key, actor = idempotency_key(request.headers), principal_of(request.scope).actor
        return _json(await reindexing.start(_kb(request), body, key, actor), 202)

    async def get_reindex(request: Request) -> Response:
        return _json(await reindexing.status(_kb(request)), 200)

    async def delete_reindex(request: Request) -> Response:
        return _json(await reindexing.abandon(_kb(request), principal_of(request.scope).actor), 202)

    async def post_reprocess(request: Request) -> Response:
        body = await read_json(request, _reprocess_decoder, bytes_max=BODY_BYTES_MAX)
        knowledge_base = parse_knowledge_base_id(request.path_params["kb_id"])
        key, actor = idempotency_key(request.headers), principal_of(request.scope).actor
        return _json(await reprocessing.run(knowledge_base, body, key, actor), 200 if body.dry_run else 202)

    one = "/api/v1/knowledge-bases/{kb_id}"
    return [
        Route(f"{one}/reprocess", post_reprocess, methods=["POST"], name="reprocess_documents"),
        Route(f"{one}/reindex", post_reindex, methods=["POST"], name="reindex"),
        Route(f"{one}/reindex", get_reindex, name="get_reindex"),
        Route(f"{one}/reindex", delete_reindex, methods=["DELETE"], name="abandon_reindex"),
    ]


def _kb(request: Request) -> KnowledgeBaseId:
    return parse_knowledge_base_id(request.path_params["kb_id"])


def _json(answer: Any, status: int) -> Response:
    return Response(_encoder.encode(answer), status, media_type="application/json")
