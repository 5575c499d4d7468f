"""HTTP of beginning again: a task's failed documents, one document, dead letters by a query."""

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.access import principal_of
from domain.document import STEPS_IN_ORDER
from events.ids import parse_document_id, parse_knowledge_base_id, parse_task_id
from events.steps import Step
from ingest.accepted import AcceptedTask, task_path
from ingest.body import has_body, read_json, refuse_encoded
from ingest.cancellation import remove_dead_letter
from ingest.dead_letters import RetryBody, retry_dead_letters
from ingest.idempotency import idempotency_key
from ingest.problems import invalid
from ingest.retry import reprocess_document, retry_task
from ingest.services import DeadLettersOf, IngestServices

PREFIX: Final = "/api/v1"


class ReprocessBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """May be left out: a document that failed goes on where it stopped, an indexed one begins from its source.

    `settings` are its own for chunking, in place of those that it had; empty: the knowledge base's again.
    """

    from_step: Annotated[str, Meta(max_length=20)] | None = None
    settings: dict[str, Any] | UnsetType = UNSET


_reprocess_decoder = msgspec.json.Decoder(ReprocessBody)
_retry_decoder = msgspec.json.Decoder(RetryBody)
_encoder = msgspec.json.Encoder()


def retry_routes(services: IngestServices, dead_letters: DeadLettersOf) -> list[Route]:
    """Errors are raised; `answers.exception_handlers` turns them into problem documents."""
    bytes_max = services.settings.json_bytes_max

    async def post_retry(request: Request) -> Response:
        asked = _query(request, {"from", "cancelled"})
        accepted = await retry_task(
            services,
            parse_task_id(request.path_params["task_id"]),
            from_step=_step(asked.get("from"), "/from"),
            with_cancelled=_flag(asked, "cancelled"),
            idempotency_key=idempotency_key(request.headers),
            actor=services.actor_of(request),
        )
        return _accepted(accepted)

    async def post_reprocess(request: Request) -> Response:
        refuse_encoded(request.headers)
        body = ReprocessBody()
        if has_body(request.headers):
            body = await read_json(request, _reprocess_decoder, bytes_max=bytes_max)
        accepted = await reprocess_document(
            services,
            parse_knowledge_base_id(request.path_params["kb_id"]),
            parse_document_id(request.path_params["document_id"]),
            from_step=_step(body.from_step, "/from_step"),
            idempotency_key=idempotency_key(request.headers),
            actor=services.actor_of(request),
            settings=body.settings,
        )
        return _accepted(accepted)

    async def post_dead_letters_retry(request: Request) -> Response:
        body = await read_json(request, _retry_decoder, bytes_max=bytes_max)
        _step(body.from_step, "/from_step")
        bound = principal_of(request.scope).knowledge_bases
        retried = await retry_dead_letters(services, dead_letters, body, services.actor_of(request), bound)
        return _json(retried, 200 if body.dry_run else 202)

    async def delete_dead_letter(request: Request) -> Response:
        document = parse_document_id(request.path_params["document_id"])
        return _json(await remove_dead_letter(services, document, services.actor_of(request)), 202)

    document = f"{PREFIX}/knowledge-bases/{{kb_id}}/documents/{{document_id}}"
    return [
        Route(f"{PREFIX}/tasks/{{task_id}}/retry", post_retry, methods=["POST"], name="retry_task"),
        Route(f"{document}/reprocess", post_reprocess, methods=["POST"], name="reprocess_document"),
        Route(f"{PREFIX}/dead-letters/retry", post_dead_letters_retry, methods=["POST"], name="retry_dead_letters"),
        Route(
            f"{PREFIX}/dead-letters/{{document_id}}", delete_dead_letter, methods=["DELETE"], name="delete_dead_letter"
        ),
    ]


def _query(request: Request, known: set[str]) -> dict[str, str]:
    """The parameters of a command; unknown and repeated ones are refused. Raises Rejected."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise invalid(f"/{name}", f"unknown parameter; known here: {', '.join(sorted(known))}")
        if name in found:
            raise invalid(f"/{name}", "the parameter is given twice")
        found[name] = value
    return found


def _step(value: str | None, pointer: str) -> Step | None:
    """A step of a document; finishing or erasing is nothing to begin at. Raises Rejected."""
    if value is None:
        return None
    for step in STEPS_IN_ORDER:
        if step.value == value:
            return step
    raise invalid(pointer, f"one of {', '.join(STEPS_IN_ORDER)} is expected")


def _flag(asked: dict[str, str], name: str) -> bool:
    value = asked.get(name, "false")
    if value not in {"true", "false"}:
        raise invalid(f"/{name}", "true or false is expected")
    return value == "true"


def _accepted(accepted: AcceptedTask) -> Response:
    return _json(accepted, 202, {"Location": task_path(accepted.task_id)})


def _json(body: Any, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(_encoder.encode(body), status_code=status, headers=headers, media_type="application/json")
