"""Rules that routes check behind the decoder, so that the schema of a struct does not know them: keywords to add.

What JSON Schema cannot say (an overlap of at most half a chunk, a model that this installation has) is told in words.
"""

from collections.abc import Mapping
from typing import Any, Final

from domain.document import STEPS_IN_ORDER
from ingest.dead_letters import RetryBody
from ingest.imports import ImportBody
from ingest.knowledge_bases import ChangeBody, CreateBody, RequestedSettings
from ingest.retry_routes import ReprocessBody
from ingest.routes import CancelBody
from ingest.webhooks import ChangeWebhookBody, CreateWebhookBody
from knowledge.answers import AnswerRequest
from knowledge.filters import KEY_CHARS_MAX, VALUE_CHARS_MAX, VALUES_MAX, Operator
from knowledge.routes import SearchManyRequest
from knowledge.routes_answers import AnswerManyRequest
from knowledge.search import QUERY_CHARS_MAX, SearchRequest
from millstream.admission.key_status import CreateKeyBody
from millstream.openapi.operation import Schema
from millstream.openapi.parameters import KB_ID
from millstream.reading.preview import PreviewBody
from millstream.reworking.reindex import ReindexBody
from millstream.reworking.reprocess import ReprocessManyBody

NO_NUL: Final = "^[^\\u0000]*$"
_PRINTED: Final = "[^\\u0000-\\u001f\\u007f]"
NAME: Final[Schema] = {"pattern": f"^{_PRINTED}*[^\\s\\u0000-\\u001f\\u007f]{_PRINTED}*$"}
TEXT: Final[Schema] = {"pattern": "^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f]*$"}
STEP: Final[Schema] = {"enum": [one.value for one in STEPS_IN_ORDER]}

_FILTER: Final[Schema] = {"$ref": "#/components/schemas/Filters"}
_FILTERS: Final[Schema] = {"type": "array", "minItems": 1, "items": _FILTER}
_SCALAR: Final[Schema] = {
    "anyOf": [{"type": "string", "maxLength": VALUE_CHARS_MAX}, {"type": "number"}, {"type": "boolean"}]
}
_BOUND: Final[Schema] = {"anyOf": [{"type": "string", "maxLength": VALUE_CHARS_MAX}, {"type": "number"}]}
_LIST: Final[Schema] = {"type": "array", "minItems": 1, "maxItems": VALUES_MAX, "items": _SCALAR}
_COMPARISONS: Final[Mapping[Operator, Schema]] = {
    Operator.EQ: _SCALAR,
    Operator.NE: _SCALAR,
    Operator.IN: _LIST,
    Operator.NIN: _LIST,
    Operator.GT: _BOUND,
    Operator.GTE: _BOUND,
    Operator.LT: _BOUND,
    Operator.LTE: _BOUND,
    Operator.EXISTS: {"type": "boolean"},
}
_FIELD: Final[Schema] = {
    "anyOf": [
        _SCALAR,
        {
            "type": "object",
            "minProperties": 1,
            "properties": {one.value: schema for one, schema in _COMPARISONS.items()},
            "additionalProperties": False,
        },
    ]
}

FILTERS: Final[dict[str, Any]] = {
    "title": "Filters",
    "description": (
        "Members are fields with a value or an object of comparisons, and `and`, `or` (lists of filters) and `not` (a "
        "filter); all members must hold. Every comparison is true or false: a passage without the key, or with a value "
        "of another type, compares false. At most 8 deep, with 100 comparisons."
    ),
    "type": "object",
    "properties": {
        "and": _FILTERS,
        "or": _FILTERS,
        "not": _FILTER,
    },
    "patternProperties": {f"^(document_id|filename|page|metadata\\..{{1,{KEY_CHARS_MAX}}})$": _FIELD},
    "additionalProperties": False,
}

COMPONENTS: Final[Mapping[str, dict[str, Any]]] = {"Filters": FILTERS}
"""Schemas of what is decoded by no struct."""

WHOLE: Final = ""
"""Stands for the struct itself among its members."""


def _given(name: str) -> Schema:
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


REFINEMENTS: Final[Mapping[type, Mapping[str, Schema]]] = {
    SearchRequest: {
        "query": {"minLength": 1, "maxLength": QUERY_CHARS_MAX, "pattern": "\\S"},
        "filters": _FILTER,
    },
    AnswerRequest: {
        "question": {"minLength": 1, "maxLength": QUERY_CHARS_MAX, "pattern": "\\S"},
        "filters": _FILTER,
    },
    SearchManyRequest: {"knowledge_base_ids": {"items": KB_ID}},
    AnswerManyRequest: {"knowledge_base_ids": {"items": KB_ID}},
    ReprocessBody: {"from_step": STEP, "settings": {"$ref": "#/components/schemas/RequestedSettings"}},
    ReprocessManyBody: {"settings": {"$ref": "#/components/schemas/RequestedSettings"}},
    RetryBody: {"from_step": STEP, "knowledge_base": KB_ID},
    PreviewBody: {
        WHOLE: {"oneOf": [_given(name) for name in ("text", "document_id")]},
        "settings": {"$ref": "#/components/schemas/RequestedSettings"},
    },
    ImportBody: {WHOLE: {"oneOf": [_given(name) for name in ("urls", "text", "objects")]}},
    CreateBody: {"name": NAME, "description": TEXT},
    ChangeBody: {
        "name": NAME,
        "description": TEXT,
        "settings": {"$ref": "#/components/schemas/RequestedSettings"},
    },
    RequestedSettings: {
        "chunk_overlap_tokens": {"description": "At most half of `chunk_tokens`."},
        "chunk_parent_tokens": {"description": "Of the kind `parents`; at least `chunk_tokens`; 1,024 unless given."},
        "chunk_window_sentences": {"description": "Of the kind `window`: sentences on either side, 3 unless given."},
        "chunk_breakpoint_percentile": {
            "description": "Of the kind `semantic`: cut at turns of meaning sharper than so many percent of all; 90."
        },
        "embedding_model": {"description": "One that this installation has; empty: the configured one."},
        "embedding_dimensions": {"description": "Those of the model, if anything."},
        "embedding_normalization": {"description": "Vectors of length 1: there is no other."},
        "embedding_query_prefix": {
            "description": "What the model reads ahead of a query, e.g. `query: ` for e5; without it that of the "
            "service for its default model. Changes without a new index."
        },
        "embedding_passage_prefix": {
            "description": "The same ahead of each passage: embedded, never stored or shown. Another needs a new index."
        },
    },
    ReindexBody: {"settings": {"$ref": "#/components/schemas/RequestedSettings"}},
    CreateKeyBody: {"knowledge_bases": {"items": KB_ID}},
    CreateWebhookBody: {"knowledge_bases": {"items": KB_ID}},
    ChangeWebhookBody: {"knowledge_bases": {"items": KB_ID}},
    CancelBody: {"reason": {"pattern": NO_NUL}},
}
"""By struct and member; they hold for structs derived from it too."""
