"""Hooks of Schemathesis: what the document cannot say, and what would only make the tests slow.

JSON Schema has no words for a rule between two members, for a signed cursor, or for what an installation has. A request
that keeps to the schema and is refused for such a reason is no failure, as long as the answer says just that. All else
that Schemathesis finds is one. The names of parameters are those that Schemathesis looks for.
"""

import re
from typing import Any, Final

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import RejectedPositiveData

CODES: Final = {
    "bad_cursor": "a cursor is signed, any other text is refused",
    "idempotency_key_reused": "the same key came with another request before",
    "unsupported_type": "random bytes are no document",
    "url_invalid": "no text is a URL by chance",
    "url_scheme_not_allowed": "http and https alone are called",
    "url_address_denied": "nothing inside is called",
    "precondition_failed": "no text is the tag of a version by chance",
    "no_import_bucket": "none is configured",
    "no_language_model": "none is configured",
    "empty_file": "a file of no bytes fits the schema of bytes",
}
POINTERS: Final = {
    "/settings/chunk_overlap_tokens": "at most half of another member",
    "/settings/chunk_parent_tokens": "at least another member",
    "/settings/embedding_model": "one that the installation has",
    "/settings/embedding_dimensions": "those of the model",
    "/options/not_before": "within a year from now",
    "/expires_at": "in the future",
    "/filename": "goes with a text",
    "/urls": "a limit that is a setting",
}
DETAILS: Final = {
    "printable characters": "the name of a key shows at a terminal",
    "would have expired already": "whatever ends has to end later",
    "a whole number from 0 to": "partitions that the installation has",
    "cannot be bound to knowledge bases": "who has the scope admin sees everything",
}
FLOAT: Final = re.compile(r"Expected `int( \| null)?`, got `float`")
"""JSON Schema calls 1.0 an integer, we do not."""

RESUMABLE: Final = "/api/v1/uploads"
"""Headers of tus speak with one another: a length and its deferral, bytes and their checksum, parts and their whole."""

REFUSALS: Final = {400, 413, 415, 422, 460}

UNTYPED: Final = "file: Incorrect type"
"""A part of a form has bytes and no type: what was meant to be an object is a document."""


@schemathesis.serializer("application/offset+octet-stream")
def serialize_bytes(context: Any, value: Any) -> bytes:
    """Bytes of a resumable upload."""
    return value if isinstance(value, bytes) else str(value).encode()


ASKING: Final = "OPTIONS"
"""What the service can do is told whatever was asked about."""


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """False for what is no failure."""
    if isinstance(failure, AcceptedNegativeData):
        return UNTYPED not in failure.message and case.method != ASKING
    if not isinstance(failure, RejectedPositiveData) or not response.content:
        return True
    if case.path.startswith(RESUMABLE) and response.status_code in REFUSALS:
        return False
    problem = response.json()
    flaws = problem.get("errors", [])
    is_known = (
        problem["code"] in CODES
        or any(detail in problem["detail"] for detail in DETAILS)
        or any(flaw["pointer"] in POINTERS for flaw in flaws)
        or any(FLOAT.fullmatch(flaw["message"]) for flaw in flaws)
    )
    return not is_known


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """A long poll of a task at which nobody works lasts as long as it may."""
    wait = str((case.query or {}).get("wait", ""))
    if wait.isascii() and wait.isdigit() and 0 < int(wait[:4]) <= 60:
        case.query["wait"] = 0
