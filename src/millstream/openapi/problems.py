"""Which problems may come to a call without its saying so: they follow from what kind of call it is."""

from collections.abc import Set as AbstractSet
from typing import Final

from ingest.problems import ProblemCode
from millstream.openapi.operation import Access, JsonBody, Operation

CONNECTION: Final = frozenset(
    {
        ProblemCode.EXPECTATION_FAILED,
        ProblemCode.HEADERS_TOO_LARGE,
        ProblemCode.HTTP_VERSION_NOT_SUPPORTED,
        ProblemCode.REQUEST_TIMEOUT,
        ProblemCode.TOO_MANY_CONNECTIONS,
        ProblemCode.UNSUPPORTED_TRANSFER_ENCODING,
        ProblemCode.URI_TOO_LONG,
    }
)
"""Answered before there is a call."""

EVERYWHERE: Final = CONNECTION | {
    ProblemCode.BAD_HOST,
    ProblemCode.BAD_REQUEST,
    ProblemCode.CLIENT_DISCONNECTED,
    ProblemCode.INTERNAL_ERROR,
}
STORES: Final = frozenset(
    {
        ProblemCode.DEPENDENCY_UNAVAILABLE,
        ProblemCode.NOT_REPLICATED,
        ProblemCode.CONTENTION,
        ProblemCode.STORAGE_FULL,
        ProblemCode.ARCHIVE_DAMAGED,
    }
)
KEYED: Final = frozenset(
    {
        ProblemCode.UNAUTHENTICATED,
        ProblemCode.FORBIDDEN,
        ProblemCode.INSUFFICIENT_SCOPE,
        ProblemCode.RATE_LIMITED,
    }
)
INTAKE: Final = frozenset({ProblemCode.BACKLOG_FULL, ProblemCode.OVERLOADED, ProblemCode.QUOTA_EXCEEDED})
"""Of calls that bring documents in."""

URL_PROBLEMS: Final = frozenset(
    {
        ProblemCode.URL_ADDRESS_DENIED,
        ProblemCode.URL_INVALID,
        ProblemCode.URL_SCHEME_NOT_ALLOWED,
        ProblemCode.URL_UNRESOLVABLE,
    }
)
"""What may be wrong with an address that we are to call."""

CHANGED: Final = frozenset({ProblemCode.PRECONDITION_FAILED})
"""Of calls that take If-Match."""

QUERIED: Final = frozenset({ProblemCode.VALIDATION_FAILED})
PAGED: Final = frozenset({ProblemCode.BAD_CURSOR})
NAMED: Final = frozenset({ProblemCode.NOT_FOUND})
JSON_SENT: Final = frozenset(
    {
        ProblemCode.INVALID_JSON,
        ProblemCode.VALIDATION_FAILED,
        ProblemCode.PAYLOAD_TOO_LARGE,
        ProblemCode.UNSUPPORTED_MEDIA_TYPE,
        ProblemCode.CONTENT_ENCODING_NOT_SUPPORTED,
    }
)
IDEMPOTENT: Final = frozenset(
    {ProblemCode.BAD_IDEMPOTENCY_KEY, ProblemCode.IDEMPOTENCY_IN_PROGRESS, ProblemCode.IDEMPOTENCY_KEY_REUSED}
)

CURSORS: Final = frozenset({"cursor", "after"})
"""Parameters that take a cursor."""


def problems_of(operation: Operation, *, has_path_parameters: bool) -> AbstractSet[ProblemCode]:
    """Every code that may be answered to this call."""
    codes = set(EVERYWHERE | operation.problems)
    if operation.access is not Access.PUBLIC:
        codes |= KEYED | STORES | QUERIED
    if has_path_parameters:
        codes |= NAMED
    if any(one.name in CURSORS for one in operation.parameters):
        codes |= PAGED
    if any(one.name == "knowledge_base" for one in operation.parameters):
        codes |= NAMED | {ProblemCode.UNKNOWN_KNOWLEDGE_BASE}
    if isinstance(operation.body, JsonBody):
        codes |= JSON_SENT
    if operation.is_idempotent:
        codes |= IDEMPOTENT
    return codes
