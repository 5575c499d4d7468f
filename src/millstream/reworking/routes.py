"""HTTP of working on many documents again."""

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.access import principal_of
from events.ids import parse_knowledge_base_id
from ingest.body import read_json
from ingest.idempotency import idempotency_key
from millstream.reworking.reprocess import Reprocessing, ReprocessManyBody

BODY_BYTES_MAX: Final = 64 * 1024

_reprocess_decoder = msgspec.json.Decoder(ReprocessManyBody)
_encoder = msgspec.json.Encoder()


def reworking_routes(reprocessing: Reprocessing) -> list[Route]:
    """Errors are raised."""

    async def post_reprocess(request: Request) -> Response:
        body = await read_json(request, _reprocess_decoder, bytes_max=BODY_BYTES_MAX)
        knowledge_base = parse_knowledge_base_id(request.path_params["kb_id"])
        key, actor = idempotency_key(request.headers), principal_of(request.scope).actor
        return _json(await reprocessing.run(knowledge_base, body, key, actor), 200 if body.dry_run else 202)

    one = "/api/v1/knowledge-bases/{kb_id}"
    return [Route(f"{one}/reprocess", post_reprocess, methods=["POST"], name="reprocess_documents")]


def _json(answer: Any, status: int) -> Response:
    return Response(_encoder.encode(answer), status, media_type="application/json")
