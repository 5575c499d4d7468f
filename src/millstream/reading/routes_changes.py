"""HTTP of what persons change of documents and chunks."""

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.access import principal_of
from events.ids import parse_document_id, parse_knowledge_base_id
from ingest.body import read_json
from ingest.preconditions import preconditions_of
from millstream.reading.changes import ChangeChunkBody, ChangeDocumentBody, Changes

BODY_BYTES_MAX: Final = 256 * 1024

_document_decoder = msgspec.json.Decoder(ChangeDocumentBody)
_chunk_decoder = msgspec.json.Decoder(ChangeChunkBody)
_encoder = msgspec.json.Encoder()


def changing_routes(changes: Changes) -> list[Route]:
    """The two changes."""

    async def patch_document(request: Request) -> Response:
        body = await read_json(request, _document_decoder, bytes_max=BODY_BYTES_MAX)
        changed = await changes.change_document(
            parse_knowledge_base_id(request.path_params["kb_id"]),
            parse_document_id(request.path_params["document_id"]),
            body,
            principal_of(request.scope).actor,
            preconditions_of(request.headers),
        )
        return _json(changed, {"ETag": f'"{changed.version}"'})

    async def patch_chunk(request: Request) -> Response:
        body = await read_json(request, _chunk_decoder, bytes_max=BODY_BYTES_MAX)
        changed = await changes.change_chunk(
            parse_knowledge_base_id(request.path_params["kb_id"]),
            parse_document_id(request.path_params["document_id"]),
            request.path_params["chunk_id"],
            body,
            principal_of(request.scope).actor,
            preconditions_of(request.headers),
        )
        return _json(changed, {})

    document = "/api/v1/knowledge-bases/{kb_id}/documents/{document_id}"
    return [
        Route(document, patch_document, methods=["PATCH"], name="change_document"),
        Route(f"{document}/chunks/{{chunk_id}}", patch_chunk, methods=["PATCH"], name="change_chunk"),
    ]


def _json(answer: Any, headers: dict[str, str]) -> Response:
    return Response(_encoder.encode(answer), media_type="application/json", headers=headers)
