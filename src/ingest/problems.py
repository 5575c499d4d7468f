"""Problem documents (RFC 9457): every code that an error answer may carry, with its HTTP status."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec
from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 5
"""What a client is asked to wait where nobody knows better: a restart of Redis takes about as long."""

CHALLENGE: Final = 'Bearer realm="millstream"'
"""RFC 9110, section 11.6.1: every 401 says how to prove who one is."""


class ProblemCode(StrEnum):
    """Stable: programs branch on these, people read title and detail."""

    ARCHIVE_BUSY = "archive_busy"
    ARCHIVE_DAMAGED = "archive_damaged"
    ARCHIVE_NOT_KEPT = "archive_not_kept"
    BACKLOG_FULL = "backlog_full"
    BAD_CURSOR = "bad_cursor"
    BAD_HOST = "bad_host"
    BAD_IDEMPOTENCY_KEY = "bad_idempotency_key"
    BAD_REQUEST = "bad_request"
    BAD_RESULT = "bad_result"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    CLIENT_DISCONNECTED = "client_disconnected"
    CONTENT_ENCODING_NOT_SUPPORTED = "content_encoding_not_supported"
    CONTENTION = "contention"
    DEPENDENCY_UNAVAILABLE = "dependency_unavailable"
    DOCUMENT_DAMAGED = "document_damaged"
    DOCUMENT_ENDED = "document_ended"
    DOCUMENT_IN_PROGRESS = "document_in_progress"
    DOCUMENT_REMOVED = "document_removed"
    EMBEDDING_MISMATCH = "embedding_mismatch"
    EMBEDDING_NOT_CONFIGURED = "embedding_not_configured"
    EMBEDDING_REJECTED = "embedding_rejected"
    EMBEDDING_UNAVAILABLE = "embedding_unavailable"
    EMPTY_FILE = "empty_file"
    EXPECTATION_FAILED = "expectation_failed"
    FORBIDDEN = "forbidden"
    HEADERS_TOO_LARGE = "headers_too_large"
    HTTP_VERSION_NOT_SUPPORTED = "http_version_not_supported"
    IDEMPOTENCY_IN_PROGRESS = "idempotency_in_progress"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    INTERNAL_ERROR = "internal_error"
    INVALID_JSON = "invalid_json"
    KEY_ENDED = "key_ended"
    KNOWLEDGE_BASE_DELETED = "knowledge_base_deleted"
    LEASE_LOST = "lease_lost"
    LANGUAGE_MODEL_REJECTED = "language_model_rejected"
    LANGUAGE_MODEL_UNAVAILABLE = "language_model_unavailable"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    MISSING_FILE = "missing_file"
    MULTIPART_MALFORMED = "multipart_malformed"
    MULTIPART_TRUNCATED = "multipart_truncated"
    NO_IMPORT_BUCKET = "no_import_bucket"
    NO_LANGUAGE_MODEL = "no_language_model"
    NOTHING_TO_RETRY = "nothing_to_retry"
    NOT_REPLICATED = "not_replicated"
    NOT_A_DEAD_LETTER = "not_a_dead_letter"
    NOT_FOUND = "not_found"
    OFFSET_MISMATCH = "offset_mismatch"
    OVERLOADED = "overloaded"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    PRECONDITION_FAILED = "precondition_failed"
    QUOTA_EXCEEDED = "quota_exceeded"
    RANGE_NOT_SATISFIABLE = "range_not_satisfiable"
    RATE_LIMITED = "rate_limited"
    REINDEX_IN_PROGRESS = "reindex_in_progress"
    REINDEX_REQUIRED = "reindex_required"
    REQUEST_TIMEOUT = "request_timeout"
    STEP_NOT_REACHED = "step_not_reached"
    STORAGE_FULL = "storage_full"
    TASK_FINISHED = "task_finished"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    TOO_MANY_EDITS = "too_many_edits"
    TOO_MANY_PARTS = "too_many_parts"
    TOO_MANY_UPLOADS = "too_many_uploads"
    TUS_VERSION = "tus_version"
    TOO_MANY_WEBHOOKS = "too_many_webhooks"
    TOO_MANY_WORKERS = "too_many_workers"
    UNAUTHENTICATED = "unauthenticated"
    UNKNOWN_CHUNK = "unknown_chunk"
    UNKNOWN_DELIVERY = "unknown_delivery"
    UNKNOWN_DOCUMENT = "unknown_document"
    UNKNOWN_KEY = "unknown_key"
    UNKNOWN_KNOWLEDGE_BASE = "unknown_knowledge_base"
    UNKNOWN_TASK = "unknown_task"
    UNKNOWN_UPLOAD = "unknown_upload"
    UNKNOWN_WEBHOOK = "unknown_webhook"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    UNSUPPORTED_TRANSFER_ENCODING = "unsupported_transfer_encoding"
    UNSUPPORTED_TYPE = "unsupported_type"
    UPLOAD_BUSY = "upload_busy"
    UPLOAD_EXPIRED = "upload_expired"
    UPLOAD_FINISHED = "upload_finished"
    UPLOAD_IS_FINAL = "upload_is_final"
    UPLOAD_LOST = "upload_lost"
    UPLOAD_TAKEN_OVER = "upload_taken_over"
    UPLOAD_TOO_SLOW = "upload_too_slow"
    UPLOAD_UNFINISHED = "upload_unfinished"
    URI_TOO_LONG = "uri_too_long"
    URL_ADDRESS_DENIED = "url_address_denied"
    URL_INVALID = "url_invalid"
    URL_SCHEME_NOT_ALLOWED = "url_scheme_not_allowed"
    URL_UNRESOLVABLE = "url_unresolvable"
    VALIDATION_FAILED = "validation_failed"
    WEBHOOK_DISABLED = "webhook_disabled"


_ANSWERS: Final[Mapping[ProblemCode, tuple[int, str]]] = {
    ProblemCode.ARCHIVE_BUSY: (409, "The archive is being verified"),
    ProblemCode.ARCHIVE_DAMAGED: (500, "A part of the archive cannot be read"),
    ProblemCode.ARCHIVE_NOT_KEPT: (409, "Nothing is archived here"),
    ProblemCode.BACKLOG_FULL: (503, "Too much is waiting to be worked on"),
    ProblemCode.BAD_CURSOR: (400, "The cursor cannot be used"),
    ProblemCode.BAD_HOST: (400, "The Host header is not one of this service"),
    ProblemCode.BAD_IDEMPOTENCY_KEY: (400, "The Idempotency-Key header is not valid"),
    ProblemCode.BAD_REQUEST: (400, "The request cannot be understood"),
    ProblemCode.BAD_RESULT: (422, "The result cannot be used"),
    ProblemCode.CHECKSUM_MISMATCH: (460, "The bytes do not have the checksum that came with them"),
    ProblemCode.CLIENT_DISCONNECTED: (400, "The request ended before its body did"),
    ProblemCode.CONTENT_ENCODING_NOT_SUPPORTED: (415, "Compressed request bodies are not supported"),
    ProblemCode.CONTENTION: (503, "Too many changes at the same time"),
    ProblemCode.DEPENDENCY_UNAVAILABLE: (503, "A service that is needed does not answer"),
    ProblemCode.DOCUMENT_DAMAGED: (500, "What is stored of the document cannot be read"),
    ProblemCode.DOCUMENT_ENDED: (409, "The document has ended"),
    ProblemCode.DOCUMENT_IN_PROGRESS: (409, "The document is being worked on"),
    ProblemCode.DOCUMENT_REMOVED: (409, "The document was deleted"),
    ProblemCode.EMBEDDING_MISMATCH: (409, "The embedding model is not the one of the index"),
    ProblemCode.EMBEDDING_NOT_CONFIGURED: (409, "The embedding model of the index is not configured"),
    ProblemCode.EMBEDDING_REJECTED: (502, "The embedding model refused the text"),
    ProblemCode.EMBEDDING_UNAVAILABLE: (503, "The embedding model does not answer"),
    ProblemCode.EMPTY_FILE: (422, "A file is empty"),
    ProblemCode.EXPECTATION_FAILED: (417, "The expectation cannot be met"),
    ProblemCode.FORBIDDEN: (403, "Not allowed"),
    ProblemCode.HEADERS_TOO_LARGE: (431, "The head of the request is too large"),
    ProblemCode.HTTP_VERSION_NOT_SUPPORTED: (505, "This version of HTTP is not supported"),
    ProblemCode.IDEMPOTENCY_IN_PROGRESS: (409, "The same request is being answered"),
    ProblemCode.IDEMPOTENCY_KEY_REUSED: (422, "The Idempotency-Key belongs to another request"),
    ProblemCode.INSUFFICIENT_SCOPE: (403, "The key may not do this"),
    ProblemCode.INTERNAL_ERROR: (500, "Something went wrong here"),
    ProblemCode.INVALID_JSON: (400, "The body is not valid JSON"),
    ProblemCode.KEY_ENDED: (409, "The key is revoked or has expired"),
    ProblemCode.KNOWLEDGE_BASE_DELETED: (409, "The knowledge base was deleted"),
    ProblemCode.LANGUAGE_MODEL_REJECTED: (502, "The language model refused the question"),
    ProblemCode.LANGUAGE_MODEL_UNAVAILABLE: (503, "The language model does not answer"),
    ProblemCode.LEASE_LOST: (409, "The lease is not, or no longer, yours"),
    ProblemCode.METHOD_NOT_ALLOWED: (405, "This method is not allowed here"),
    ProblemCode.MISSING_FILE: (400, "The request has no file"),
    ProblemCode.MULTIPART_MALFORMED: (400, "The multipart body is malformed"),
    ProblemCode.MULTIPART_TRUNCATED: (400, "The multipart body ends too early"),
    ProblemCode.NO_IMPORT_BUCKET: (409, "There is no bucket to import from"),
    ProblemCode.NO_LANGUAGE_MODEL: (409, "No language model is configured"),
    ProblemCode.NOTHING_TO_RETRY: (409, "There is nothing to try again"),
    ProblemCode.NOT_A_DEAD_LETTER: (409, "The document has not failed"),
    ProblemCode.NOT_REPLICATED: (503, "No replica of the log follows"),
    ProblemCode.NOT_FOUND: (404, "There is nothing here"),
    ProblemCode.OFFSET_MISMATCH: (409, "The upload stands at another offset"),
    ProblemCode.OVERLOADED: (503, "Too many uploads at the same time"),
    ProblemCode.PAYLOAD_TOO_LARGE: (413, "The request is too large"),
    ProblemCode.PRECONDITION_FAILED: (412, "It is not at the version that was named"),
    ProblemCode.QUOTA_EXCEEDED: (507, "The knowledge base is full"),
    ProblemCode.RANGE_NOT_SATISFIABLE: (416, "There are no such bytes"),
    ProblemCode.RATE_LIMITED: (429, "Too many requests"),
    ProblemCode.REINDEX_IN_PROGRESS: (409, "Another index is being built"),
    ProblemCode.REINDEX_REQUIRED: (409, "The change needs a new index"),
    ProblemCode.REQUEST_TIMEOUT: (408, "The request came too slowly"),
    ProblemCode.STEP_NOT_REACHED: (409, "The document never came that far"),
    ProblemCode.STORAGE_FULL: (507, "There is no room left"),
    ProblemCode.TASK_FINISHED: (409, "The task has finished"),
    ProblemCode.TOO_MANY_CONNECTIONS: (503, "Too many connections are open"),
    ProblemCode.TOO_MANY_EDITS: (409, "Too much of the document is edited"),
    ProblemCode.TOO_MANY_PARTS: (400, "The request has too many parts"),
    ProblemCode.TOO_MANY_UPLOADS: (429, "Too many uploads are open"),
    ProblemCode.TUS_VERSION: (412, "This version of tus is not spoken here"),
    ProblemCode.TOO_MANY_WEBHOOKS: (409, "There are too many webhooks"),
    ProblemCode.TOO_MANY_WORKERS: (429, "Too many workers at the same time"),
    ProblemCode.UNAUTHENTICATED: (401, "A valid key is needed"),
    ProblemCode.UNKNOWN_CHUNK: (404, "There is no such chunk"),
    ProblemCode.UNKNOWN_DELIVERY: (404, "There is no such delivery"),
    ProblemCode.UNKNOWN_DOCUMENT: (404, "There is no such document"),
    ProblemCode.UNKNOWN_KEY: (404, "There is no such key"),
    ProblemCode.UNKNOWN_KNOWLEDGE_BASE: (404, "There is no such knowledge base"),
    ProblemCode.UNKNOWN_TASK: (404, "There is no such task"),
    ProblemCode.UNKNOWN_UPLOAD: (404, "There is no such upload"),
    ProblemCode.UNKNOWN_WEBHOOK: (404, "There is no such webhook"),
    ProblemCode.UNSUPPORTED_MEDIA_TYPE: (415, "The Content-Type is not supported"),
    ProblemCode.UNSUPPORTED_TRANSFER_ENCODING: (501, "The transfer coding is not supported"),
    ProblemCode.UNSUPPORTED_TYPE: (415, "Files of this type are not supported"),
    ProblemCode.UPLOAD_BUSY: (423, "The upload is being finished"),
    ProblemCode.UPLOAD_EXPIRED: (410, "The upload has expired"),
    ProblemCode.UPLOAD_FINISHED: (409, "The upload has finished"),
    ProblemCode.UPLOAD_IS_FINAL: (403, "The bytes of a final upload are those of its parts"),
    ProblemCode.UPLOAD_LOST: (410, "Bytes of the upload are gone"),
    ProblemCode.UPLOAD_TAKEN_OVER: (409, "Another request goes on with the upload"),
    ProblemCode.UPLOAD_TOO_SLOW: (408, "The upload took too long"),
    ProblemCode.UPLOAD_UNFINISHED: (409, "A part of the upload is not complete"),
    ProblemCode.URI_TOO_LONG: (414, "The target of the request is too long"),
    ProblemCode.URL_ADDRESS_DENIED: (422, "This address may not be called"),
    ProblemCode.URL_INVALID: (422, "This is no URL that can be called"),
    ProblemCode.URL_SCHEME_NOT_ALLOWED: (422, "Only http and https are called"),
    ProblemCode.URL_UNRESOLVABLE: (422, "The name of the host has no address"),
    ProblemCode.VALIDATION_FAILED: (422, "The request breaks a rule"),
    ProblemCode.WEBHOOK_DISABLED: (409, "The webhook is disabled"),
}


class Flaw(msgspec.Struct, frozen=True):
    """One broken rule; `pointer` is the JSON pointer (RFC 6901) of the member that breaks it, empty for the whole."""

    pointer: str
    message: str

    def told(self) -> str:
        """The rule with its place, for whoever sees no more than one sentence; not twice where the rule names it."""
        name = self.pointer.rpartition("/")[2]
        return self.message if not name or name in self.message else f"{self.pointer}: {self.message}"


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of an error answer. `retry_after_s` is in the Retry-After header too."""

    type: str
    title: str
    status: int
    code: ProblemCode
    detail: str
    request_id: str | None = None
    errors: tuple[Flaw, ...] = ()
    retry_after_s: int | None = None


class Rejected(Exception):
    """A request that this package refuses; nothing of it stays."""

    def __init__(
        self,
        code: ProblemCode,
        detail: str,
        errors: tuple[Flaw, ...] = (),
        *,
        retry_after_s: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.errors = errors
        self.retry_after_s = retry_after_s
        self.headers = headers

    def __str__(self) -> str:
        return self.detail


def invalid(pointer: str, message: str) -> Rejected:
    """A rule of the request body is broken at one place."""
    flaw = Flaw(pointer, message)
    return Rejected(ProblemCode.VALIDATION_FAILED, flaw.told(), (flaw,))


def answer_of(code: ProblemCode) -> tuple[int, str]:
    """The HTTP status and the title of a code."""
    return _ANSWERS[code]


def problem(
    code: ProblemCode, detail: str, *, errors: tuple[Flaw, ...] = (), retry_after_s: int | None = None
) -> Problem:
    """The problem document of a code; the request id is put in when it is answered."""
    status, title = _ANSWERS[code]
    if retry_after_s is None and status == 503:
        retry_after_s = RETRY_AFTER_S
    return Problem(
        type=f"urn:millstream:problem:{code}",
        title=title,
        status=status,
        code=code,
        detail=detail,
        errors=errors,
        retry_after_s=retry_after_s,
    )


def problem_response(document: Problem, request_id: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer; it carries the request id itself, so that one sent from outside all middleware has it too."""
    sent = {**(headers or {}), "X-Request-Id": request_id, "Cache-Control": "no-store"}
    if document.status == 401:
        sent["WWW-Authenticate"] = CHALLENGE
    if document.retry_after_s is not None:
        sent["Retry-After"] = str(document.retry_after_s)
    body = msgspec.json.encode(msgspec.structs.replace(document, request_id=request_id))
    return Response(body, status_code=document.status, headers=sent, media_type=MEDIA_TYPE)
