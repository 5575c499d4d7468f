"""HTTP of trying how a text would be cut."""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from events.ids import parse_knowledge_base_id
from ingest.body import read_json
from millstream.reading.preview import PreviewBody, Previews

BODY_BYTES_MAX: Final = 1024 * 1024

_decoder = msgspec.json.Decoder(PreviewBody)
_encoder = msgspec.json.Encoder()


def preview_routes(previews: Previews) -> list[Route]:
    """Errors are raised."""

    async def post_preview(request: Request) -> Response:
        knowledge_base = parse_knowledge_base_id(request.path_params["kb_id"])
        body = await read_json(request, _decoder, bytes_max=BODY_BYTES_MAX)
        answer = await previews.preview(knowledge_base, body)
        return Response(_encoder.encode(answer), media_type="application/json")

    path = "/api/v1/knowledge-bases/{kb_id}/chunk-preview"
    return [Route(path, post_preview, methods=["POST"], name="preview_chunks")]
