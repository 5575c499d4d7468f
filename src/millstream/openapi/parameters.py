"""Parameters and headers that several calls share."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from millstream.openapi.operation import Header, In, Parameter, Schema
from projections.cursors import CURSOR_CHARACTERS_MAX
from projections.lists import LIMIT_DEFAULT, LIMIT_MAX
from projections.long_poll import Until
from projections.parameters import NAME_CHARACTERS_MAX, WAIT_S_MAX
from projections.routes_freshness import AS_OF_HEADER, LAG_HEADER

TEXT: Final[Schema] = {"type": "string"}
INSTANT: Final[Schema] = {"type": "string", "format": "date-time"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_UNIQUE: Final = "[0-9a-f]{14}[78][0-9a-f]{3}[89ab][0-9a-f]{15}"


def whole(low: int, high: int, default: int | None = None) -> Schema:
    """A whole number within a range."""
    schema: dict[str, Any] = {"type": "integer", "minimum": low, "maximum": high}
    return schema if default is None else {**schema, "default": default}


def one_of(kind: type[StrEnum]) -> Schema:
    """One of the values of an enumeration."""
    return {"type": "string", "enum": [one.value for one in kind]}


def id_schema(prefix: str) -> Schema:
    """An id of a knowledge base, a task or a document."""
    return {"type": "string", "pattern": f"^{prefix}_{_UNIQUE}$"}


KB_ID: Final = id_schema("kb")
PATH_PARAMETERS: Final[Mapping[str, tuple[Schema, str]]] = {
    "kb_id": (KB_ID, "The id of a knowledge base."),
    "task_id": (id_schema("task"), "The id of a task."),
    "upload_id": ({"type": "string", "pattern": "^[0-9a-f]{32}$"}, "The id of a resumable upload."),
    "document_id": (id_schema("doc"), "The id of a document."),
    "chunk_id": ({"type": "string", "pattern": "^[0-9a-f]{32}$"}, "The id of a chunk."),
    "webhook_id": ({"type": "string", "pattern": "^hook_[0-9a-f]{32}$"}, "The id of a webhook."),
    "delivery_id": ({"type": "string", "pattern": "^msg_[0-9a-f]{34}$"}, "The id of a delivery: its `webhook-id`."),
    "key_id": ({"type": "string", "pattern": "^[0-9a-f]{16}$"}, "The id of a key: what stands behind its `ms_`."),
}
"""By their names in the paths of routes: schema and description."""

LIMIT: Final = Parameter(
    name="limit", schema=whole(1, LIMIT_MAX, LIMIT_DEFAULT), description="How many rows a page has at most."
)
CURSOR: Final = Parameter(
    name="cursor",
    schema={"type": "string", "maxLength": CURSOR_CHARACTERS_MAX},
    description="`next_cursor` of the page before. It is signed, and good for this list with these filters alone.",
)
PAGED: Final = (LIMIT, CURSOR)
OF_KNOWLEDGE_BASE: Final = Parameter(name="knowledge_base", schema=KB_ID, description="Only of this knowledge base.")
WAIT: Final = Parameter(
    name="wait",
    schema=whole(0, WAIT_S_MAX, 0),
    description=(
        "Long poll: seconds to wait for a change of what `If-None-Match` names, or, without it, of what would be "
        "answered now."
    ),
)
UNTIL: Final = Parameter(
    name="until",
    schema={**one_of(Until), "default": Until.CHANGED.value},
    description=(
        "What `wait` waits for: any change, or the end of the task, which is one answer where each step of each "
        "document would be one."
    ),
)
NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": NAME_CHARACTERS_MAX}
FAILURE_CODE: Final = Parameter(
    name="code",
    schema={"type": "string", "pattern": "^[a-z0-9_]{1,100}$"},
    description="Only with this code of failure.",
    example="parse_failed",
)


def instant(name: str, description: str) -> Parameter:
    """A time with its offset from UTC."""
    return Parameter(name=name, schema=INSTANT, description=description, example="2026-11-23T08:00:00Z")


IDEMPOTENCY_KEY: Final = Parameter(
    name="Idempotency-Key",
    where=In.HEADER,
    schema={"type": "string", "pattern": "^[!-~]{1,255}$"},
    description=(
        "Repeat a request with the same key and it takes effect once: the same request answers the same, another one "
        "is refused. A UUID is a good key."
    ),
)
REQUEST_ID: Final = Parameter(
    name="X-Request-Id",
    where=In.HEADER,
    schema=TEXT,
    description="Yours, where it has 1 to 64 letters, digits, `.`, `_` or `-`; anything else is replaced.",
)
IF_NONE_MATCH: Final = Parameter(
    name="If-None-Match",
    where=In.HEADER,
    schema=TEXT,
    description="The `ETag` that you have: 304 where it still holds.",
)
CONDITIONAL: Final = (
    Parameter(
        name="If-Match",
        where=In.HEADER,
        schema=TEXT,
        description="Only if it is still at this version: the `ETag` that you read. Else 412.",
    ),
    Parameter(
        name="If-None-Match", where=In.HEADER, schema=TEXT, description="Only if it is at none of these versions."
    ),
)
RESUMED: Final = (
    Parameter(
        name="last_event_id",
        schema=TEXT,
        description="As `Last-Event-ID`, for clients that cannot set headers; the header goes first.",
    ),
    Parameter(
        name="Last-Event-ID",
        where=In.HEADER,
        schema=TEXT,
        description=(
            "`id` of the last event that you have: the stream goes on behind it. What no stream gave out, and what is "
            "too old, leads to a fresh start: the present state."
        ),
    ),
)

ANSWERED_REQUEST_ID: Final = Header(
    name="X-Request-Id",
    schema={"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    description="The id of this request: on every line that the service logged about it.",
)
ETAG: Final = Header(name="ETag", schema=TEXT, description="The version of what was answered, for `If-None-Match`.")
LOCATION: Final = Header(name="Location", schema=TEXT, description="Where what was made is read.")
RETRY_AFTER: Final = Header(
    name="Retry-After", schema=COUNT, description="Seconds to wait before the request is repeated."
)
LAG: Final = Header(name=LAG_HEADER, schema=COUNT, description="Events of the log that this answer does not show yet.")
AS_OF: Final = Header(
    name=AS_OF_HEADER,
    schema=COUNT,
    description="The number of the last event of the partition that this answer shows.",
    always=False,
)
FRESHNESS: Final = (LAG, AS_OF)
