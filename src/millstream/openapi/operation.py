"""What is told of one call: the words of the table of operations."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from ingest.problems import ProblemCode

Schema = Mapping[str, Any]
"""A JSON Schema (draft 2020-12, as OpenAPI 3.1 has it)."""

JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"
MULTIPART: Final = "multipart/form-data"

NO_PROBLEMS: Final = frozenset[ProblemCode]()


class Tag(StrEnum):
    """What a call is about; the order is that of the page."""

    UPLOADS = "Uploads"
    TASKS = "Tasks"
    KNOWLEDGE_BASES = "Knowledge bases"
    DOCUMENTS = "Documents"
    SEARCH = "Search"
    DEAD_LETTERS = "Dead letters"
    EVENTS = "Events"
    WEBHOOKS = "Webhooks"
    KEYS = "Keys"
    OPERATIONS = "Operations"


class Access(StrEnum):
    """Who may call. `public` needs no key anywhere."""

    PUBLIC = "public"
    KEY = "key"


class In(StrEnum):
    """Where a parameter stands."""

    QUERY = "query"
    HEADER = "header"


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter. With `is_open` it is many: an object, each member of which is a parameter of its own."""

    name: str
    where: In = In.QUERY
    schema: Schema
    description: str
    required: bool = False
    is_open: bool = False
    example: Any = None


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """A header of an answer. `always`: there is no such answer without it."""

    name: str
    schema: Schema
    description: str
    always: bool = True


class JsonBody(msgspec.Struct, frozen=True, kw_only=True):
    """A body of JSON: the struct that decodes it; where it may be left out, the route says what that means."""

    struct: type[msgspec.Struct]
    required: bool = True
    examples: Mapping[str, Any] = {}


class RawBody(msgspec.Struct, frozen=True, kw_only=True):
    """A body of another type, by its schema; `encoding` is OpenAPI's, for the parts of a form."""

    media_type: str
    schema: Schema
    description: str = ""
    required: bool = True
    encoding: Mapping[str, Any] = {}
    structs: tuple[type[msgspec.Struct], ...] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is no problem. `structs` is empty where there is no body, or none of JSON (`schema` then).

    `events` are those of an event stream: by name, the struct of their data. `others`: the same in other media types.
    """

    status: int = 200
    description: str
    structs: tuple[Any, ...] = ()
    media_type: str = JSON
    schema: Schema | None = None
    events: Mapping[str, Any] = {}
    others: Mapping[str, Schema] = {}
    headers: tuple[Header, ...] = ()
    example: Any = None


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `problems` are those of its own; `is_idempotent`: it takes an Idempotency-Key."""

    summary: str
    description: str = ""
    tag: Tag
    access: Access = Access.KEY
    parameters: tuple[Parameter, ...] = ()
    body: JsonBody | RawBody | None = None
    answers: tuple[Answer, ...]
    problems: frozenset[ProblemCode] = NO_PROBLEMS
    is_idempotent: bool = False
