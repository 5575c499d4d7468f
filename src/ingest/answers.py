"""Which problem document each error is answered with."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from blobs.errors import BlobStoreFull, BlobStoreUnavailable
from domain.errors import Contention, Refused
from events.errors import (
    ArchiveRefused,
    InvalidId,
    LogFull,
    LogUnavailable,
    NewerFacts,
    NotReplicated,
    SegmentDamaged,
)
from events.seldom import Seldom
from ingest.problems import Flaw, Problem, ProblemCode, Rejected, problem, problem_response
from ingest.request_id import request_id_of
from ingest.validation import flaw_of
from knowledge.errors import EmbeddingError, IndexUnavailable, InvalidSearch, NoLanguageModel, ProviderError

CODE_OF_STATUS: Final[Mapping[int, ProblemCode]] = {
    401: ProblemCode.UNAUTHENTICATED,
    403: ProblemCode.FORBIDDEN,
    404: ProblemCode.NOT_FOUND,
    405: ProblemCode.METHOD_NOT_ALLOWED,
    413: ProblemCode.PAYLOAD_TOO_LARGE,
    415: ProblemCode.UNSUPPORTED_MEDIA_TYPE,
    422: ProblemCode.VALIDATION_FAILED,
    429: ProblemCode.RATE_LIMITED,
    503: ProblemCode.DEPENDENCY_UNAVAILABLE,
}
"""For errors of the framework, which know a status alone; any other below 500 is a bad_request."""

ToProblem = Callable[[Any], Problem]
"""Takes the error of the class that it is registered for."""

TOLD_EVERY_S: Final = 1.0

_NO_PATH: Final = "No call has this path; /docs shows those that there are."

_log = structlog.get_logger()


def exception_handlers(extra: Mapping[type[Exception], ToProblem] | None = None) -> dict[Any, ExceptionHandler]:
    """For `Starlette(exception_handlers=…)`: every error becomes a problem document.

    `extra` adds errors of packages that this one may not know. A class also covers those derived from it.
    """
    table = {**_PROBLEMS, **(extra or {})}
    handlers: dict[Any, ExceptionHandler] = {kind: _handler(to_problem) for kind, to_problem in table.items()}
    return {**handlers, HTTPException: _answer_framework, Exception: _answer_unexpected}


def problem_of(error: Exception) -> Problem | None:
    """The problem document of an error, for answers that are not HTTP; None for one that nobody expected."""
    found = next((_PROBLEMS[kind] for kind in type(error).__mro__ if kind in _PROBLEMS), None)
    return None if found is None else found(error)


def _handler(to_problem: ToProblem) -> ExceptionHandler:
    told: defaultdict[ProblemCode, Seldom] = defaultdict(lambda: Seldom(TOLD_EVERY_S))

    async def answer(request: Request, error: Exception) -> Response:
        document = to_problem(error)
        # The client is told each time, the log of an outage at most once a second.
        if document.status >= 500 and (kept_back := told[document.code].due()) is not None:
            _log.warning(
                "answered_unavailable",
                code=document.code,
                error=repr(error),
                path=request.scope["path"],
                kept_back=kept_back,
            )
        return problem_response(document, request_id_of(request.scope), getattr(error, "headers", None))

    return answer


async def _answer_framework(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    # Starlette says no more than the name of the status where no route has the path.
    is_no_path = error.status_code == 404 and error.detail == HTTPStatus.NOT_FOUND.phrase
    document = _of_status(error.status_code, _NO_PATH if is_no_path else error.detail)
    return problem_response(document, request_id_of(request.scope), error.headers)


async def _answer_unexpected(request: Request, error: Exception) -> Response:
    """The text of an unexpected error may hold anything (paths, keys, content): it goes to the log alone."""
    _log.error("unexpected_error", path=request.scope["path"], method=request.method, exc_info=error)
    document = problem(ProblemCode.INTERNAL_ERROR, "The error was recorded under the request id.")
    return problem_response(document, request_id_of(request.scope))


def _of_status(status: int, detail: str) -> Problem:
    if status in CODE_OF_STATUS:
        return problem(CODE_OF_STATUS[status], detail)
    return problem(ProblemCode.BAD_REQUEST if status < 500 else ProblemCode.INTERNAL_ERROR, detail)


def _of_rejected(error: Rejected) -> Problem:
    return problem(error.code, error.detail, errors=error.errors, retry_after_s=error.retry_after_s)


def _of_refused(error: Refused) -> Problem:
    return problem(ProblemCode(error.code.value), error.detail)


def _of_validation(error: msgspec.ValidationError) -> Problem:
    flaw = flaw_of(error)
    return problem(ProblemCode.VALIDATION_FAILED, flaw.told(), errors=(flaw,))


def _of_invalid_search(error: InvalidSearch) -> Problem:
    flaw = Flaw(error.pointer, error.message)
    return problem(ProblemCode.VALIDATION_FAILED, flaw.told(), errors=(flaw,))


_OF_SETTINGS: Final = {
    "dimensions_changed": ProblemCode.EMBEDDING_MISMATCH,
    "wrong_dimensions": ProblemCode.EMBEDDING_MISMATCH,
    "embedding_not_configured": ProblemCode.EMBEDDING_NOT_CONFIGURED,
}
"""Their messages are our own, of names and numbers: they say what an operator has to do."""


def _of_embedding(error: EmbeddingError) -> Problem:
    if error.code in _OF_SETTINGS:
        return problem(_OF_SETTINGS[error.code], error.message)
    if error.is_permanent:
        return problem(ProblemCode.EMBEDDING_REJECTED, "The embedding model refused; its settings need a look.")
    wait_s = None if error.retry_after_s is None else max(1, round(error.retry_after_s))
    return problem(ProblemCode.EMBEDDING_UNAVAILABLE, "Try again in a moment.", retry_after_s=wait_s)


def _of_provider(error: ProviderError) -> Problem:
    """Of a language model alone: a search goes on without its reranker."""
    if error.is_permanent:
        return problem(ProblemCode.LANGUAGE_MODEL_REJECTED, "Its settings need a look.")
    wait_s = None if error.retry_after_s is None else max(1, round(error.retry_after_s))
    return problem(ProblemCode.LANGUAGE_MODEL_UNAVAILABLE, "Try again in a moment.", retry_after_s=wait_s)


def _same(code: ProblemCode, detail: str) -> ToProblem:
    """The same answer for every error of a class: what its text says is for operators."""
    return lambda _error: problem(code, detail)


_NO_JSON: Final = _same(ProblemCode.INVALID_JSON, "The body is not JSON (UTF-8, RFC 8259) that can be read.")
_NO_ROOM: Final = _same(ProblemCode.STORAGE_FULL, "Nothing was accepted; an operator has to make room.")
_DAMAGED: Final = _same(
    ProblemCode.ARCHIVE_DAMAGED,
    "Old facts about this cannot be read; all else goes on. An operator runs `millstream archive verify`, which names "
    "the segment.",
)

_PROBLEMS: Final[Mapping[type[Exception], ToProblem]] = {
    Rejected: _of_rejected,
    Refused: _of_refused,
    InvalidId: _same(ProblemCode.NOT_FOUND, "There is nothing with this id."),
    LogUnavailable: _same(
        ProblemCode.DEPENDENCY_UNAVAILABLE,
        "The event log does not answer; whether the request took effect is unknown. "
        "Repeat it: with the same Idempotency-Key it takes effect once.",
    ),
    NotReplicated: _same(
        ProblemCode.NOT_REPLICATED,
        "An event counts as kept when a replica of the log has it too, and none has confirmed. Repeat the request: "
        "with the same Idempotency-Key it takes effect once. Where this lasts, /readyz names the server without one.",
    ),
    LogFull: _NO_ROOM,
    SegmentDamaged: _DAMAGED,
    ArchiveRefused: _DAMAGED,
    NewerFacts: _same(
        ProblemCode.DEPENDENCY_UNAVAILABLE,
        "A newer version of this service wrote what this is about; it can answer. Nothing was changed.",
    ),
    BlobStoreUnavailable: _same(ProblemCode.DEPENDENCY_UNAVAILABLE, "The blob store does not answer; try again."),
    BlobStoreFull: _NO_ROOM,
    IndexUnavailable: _same(ProblemCode.DEPENDENCY_UNAVAILABLE, "The search index does not answer; try again."),
    Contention: _same(ProblemCode.CONTENTION, "Others kept changing the same thing; try again."),
    InvalidSearch: _of_invalid_search,
    EmbeddingError: _of_embedding,
    ProviderError: _of_provider,
    NoLanguageModel: _same(
        ProblemCode.NO_LANGUAGE_MODEL,
        "Searches work without one; an operator sets MILLSTREAM_LLM_MODEL and an endpoint for answers.",
    ),
    msgspec.ValidationError: _of_validation,
    msgspec.DecodeError: _NO_JSON,
    UnicodeDecodeError: _NO_JSON,
    RecursionError: _NO_JSON,
    ClientDisconnect: _same(ProblemCode.CLIENT_DISCONNECTED, "Nothing was accepted."),
}
