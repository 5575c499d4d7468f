"""HTTP of what comes in: uploads, and commands on tasks, documents and knowledge bases."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from events.failpoints import Place, failpoint
from events.ids import parse_document_id, parse_knowledge_base_id, parse_task_id
from ingest import knowledge_bases
from ingest.accepted import task_path
from ingest.body import has_body, read_json, refuse_encoded, refuse_nul
from ingest.cancellation import cancel_task, remove_document
from ingest.idempotency import idempotency_key
from ingest.imports import import_documents
from ingest.known_bases import KnownBases
from ingest.preconditions import preconditions_of
from ingest.resumable_routes import resumable_routes
from ingest.retry_routes import retry_routes
from ingest.services import DeadLettersOf, IngestServices
from ingest.uploads import upload

PREFIX = "/api/v1"
REASON_CHARS_MAX = 500


class CancelBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """May be left out altogether."""

    reason: Annotated[str, Meta(max_length=REASON_CHARS_MAX)] = ""


_create_decoder = msgspec.json.Decoder(knowledge_bases.CreateBody)
_change_decoder = msgspec.json.Decoder(knowledge_bases.ChangeBody)
_cancel_decoder = msgspec.json.Decoder(CancelBody)
_encoder = msgspec.json.Encoder()


def ingest_routes(services: IngestServices, dead_letters: DeadLettersOf) -> list[Route]:
    """All routes that write. Errors are raised; `answers.exception_handlers` turns them into problem documents."""
    return [
        *_upload_routes(services),
        *resumable_routes(services),
        *_task_routes(services),
        *_knowledge_base_routes(services),
        *retry_routes(services, dead_letters),
    ]


def _upload_routes(services: IngestServices) -> list[Route]:
    known_bases = KnownBases(services.log, services.clock_us)

    async def post_documents(request: Request) -> Response:
        knowledge_base_id = parse_knowledge_base_id(request.path_params["kb_id"])
        accepted = await upload(services, known_bases, knowledge_base_id, request)
        failpoint(Place.API_BEFORE_RESPONSE)
        return _json(accepted, 202, {"Location": task_path(accepted.task_id)})

    async def delete_document(request: Request) -> Response:
        knowledge_base_id = parse_knowledge_base_id(request.path_params["kb_id"])
        document = parse_document_id(request.path_params["document_id"])
        actor, preconditions = services.actor_of(request), preconditions_of(request.headers)
        return _json(await remove_document(services, knowledge_base_id, document, actor, preconditions), 202)

    async def post_import(request: Request) -> Response:
        knowledge_base_id = parse_knowledge_base_id(request.path_params["kb_id"])
        accepted = await import_documents(services, knowledge_base_id, request)
        return _json(accepted, 202, {"Location": task_path(accepted.task_id)})

    documents = f"{PREFIX}/knowledge-bases/{{kb_id}}/documents"
    return [
        Route(f"{documents}/import", post_import, methods=["POST"], name="import_documents"),
        Route(documents, post_documents, methods=["POST"], name="upload_documents"),
        Route(f"{documents}/{{document_id}}", delete_document, methods=["DELETE"], name="delete_document"),
    ]


def _task_routes(services: IngestServices) -> list[Route]:
    async def post_cancel(request: Request) -> Response:
        task_id = parse_task_id(request.path_params["task_id"])
        body = await _cancel_body(request, services)
        return _json(await cancel_task(services, task_id, body.reason, services.actor_of(request)), 202)

    return [Route(f"{PREFIX}/tasks/{{task_id}}/cancel", post_cancel, methods=["POST"], name="cancel_task")]


def _knowledge_base_routes(services: IngestServices) -> list[Route]:
    json_bytes_max = services.settings.json_bytes_max

    async def post_knowledge_base(request: Request) -> Response:
        key = idempotency_key(request.headers)
        body = await read_json(request, _create_decoder, bytes_max=json_bytes_max)
        created = await knowledge_bases.create(services, body, key, services.actor_of(request))
        return _json(created, 201, {"Location": created.links["self"]})

    async def patch_knowledge_base(request: Request) -> Response:
        knowledge_base_id = parse_knowledge_base_id(request.path_params["kb_id"])
        body = await read_json(request, _change_decoder, bytes_max=json_bytes_max)
        actor, preconditions = services.actor_of(request), preconditions_of(request.headers)
        changed = await knowledge_bases.change(services, knowledge_base_id, body, actor, preconditions)
        return _json(changed, 200, {"ETag": f'"{changed.version}"'})

    async def delete_knowledge_base(request: Request) -> Response:
        knowledge_base_id = parse_knowledge_base_id(request.path_params["kb_id"])
        actor, preconditions = services.actor_of(request), preconditions_of(request.headers)
        await knowledge_bases.delete(services, knowledge_base_id, actor, preconditions)
        return _json(knowledge_bases.RemovedKnowledgeBase(knowledge_base_id=knowledge_base_id), 202)

    one = f"{PREFIX}/knowledge-bases/{{kb_id}}"
    return [
        Route(f"{PREFIX}/knowledge-bases", post_knowledge_base, methods=["POST"], name="create_knowledge_base"),
        Route(one, patch_knowledge_base, methods=["PATCH"], name="change_knowledge_base"),
        Route(one, delete_knowledge_base, methods=["DELETE"], name="delete_knowledge_base"),
    ]


async def _cancel_body(request: Request, services: IngestServices) -> CancelBody:
    refuse_encoded(request.headers)
    if not has_body(request.headers):
        return CancelBody()
    body = await read_json(request, _cancel_decoder, bytes_max=services.settings.json_bytes_max)
    refuse_nul(body.reason, "/reason")
    return body


def _json(body: Any, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(_encoder.encode(body), status_code=status, headers=headers, media_type="application/json")
