"""Operations: knowledge bases, and searches in them."""

from collections.abc import Mapping
from typing import Any, Final

from domain.knowledge_base_status import KnowledgeBaseStatus
from ingest.knowledge_bases import ChangeBody, CreateBody, RemovedKnowledgeBase
from ingest.problems import ProblemCode
from knowledge.routes import SearchManyRequest
from knowledge.search import SearchRequest, SearchResult
from millstream.openapi.of_tasks import NOT_MODIFIED
from millstream.openapi.operation import EVENT_STREAM, Answer, JsonBody, Operation, Parameter, Tag
from millstream.openapi.parameters import CONDITIONAL, ETAG, FRESHNESS, IF_NONE_MATCH, LOCATION, NAME, PAGED, RESUMED
from millstream.openapi.problems import CHANGED
from projections.frames import Gone
from projections.lists import Listing

UNKNOWN: Final = frozenset({ProblemCode.UNKNOWN_KNOWLEDGE_BASE})
GONE: Final = UNKNOWN | {ProblemCode.KNOWLEDGE_BASE_DELETED}
EMBEDDED: Final = frozenset(
    {
        ProblemCode.EMBEDDING_MISMATCH,
        ProblemCode.EMBEDDING_NOT_CONFIGURED,
        ProblemCode.EMBEDDING_REJECTED,
        ProblemCode.EMBEDDING_UNAVAILABLE,
    }
)
SEARCHED: Final = UNKNOWN | EMBEDDED

_SEARCHES: Final[Mapping[str, Any]] = {
    "plain": {"query": "how is the millstone dressed?"},
    "filtered": {
        "query": "磨坊",
        "mode": "keyword",
        "top_k": 5,
        "filters": {"metadata.language": "zh", "page": {"gte": 2}},
    },
}

OPERATIONS: Final[Mapping[str, Operation]] = {
    "create_knowledge_base": Operation(
        summary="Create a knowledge base",
        tag=Tag.KNOWLEDGE_BASES,
        body=JsonBody(
            struct=CreateBody,
            examples={
                "plain": {"name": "handbook"},
                "small chunks": {"name": "faq", "settings": {"chunker": "sentence", "chunk_tokens": 128}},
            },
        ),
        answers=(
            Answer(status=201, description="The knowledge base.", structs=(KnowledgeBaseStatus,), headers=(LOCATION,)),
        ),
        problems=frozenset({ProblemCode.KNOWLEDGE_BASE_DELETED}),
        is_idempotent=True,
    ),
    "list_knowledge_bases": Operation(
        summary="List knowledge bases",
        description="Newest first, with those that were made a moment ago.",
        tag=Tag.KNOWLEDGE_BASES,
        parameters=(Parameter(name="name", schema=NAME, description="Only with exactly this name."), *PAGED),
        answers=(Answer(description="One page.", structs=(Listing[KnowledgeBaseStatus],), headers=FRESHNESS),),
    ),
    "get_knowledge_base": Operation(
        summary="Read a knowledge base",
        description="Its settings, counters and index generation.",
        tag=Tag.KNOWLEDGE_BASES,
        parameters=(IF_NONE_MATCH,),
        answers=(
            Answer(description="The knowledge base.", structs=(KnowledgeBaseStatus,), headers=(ETAG, *FRESHNESS)),
            NOT_MODIFIED,
        ),
        problems=GONE,
    ),
    "change_knowledge_base": Operation(
        summary="Change a knowledge base",
        description="Only what is given is changed, within `settings` too.",
        tag=Tag.KNOWLEDGE_BASES,
        parameters=CONDITIONAL,
        body=JsonBody(struct=ChangeBody, examples={"renamed": {"name": "handbook 2026"}}),
        answers=(
            Answer(description="The knowledge base as it is now.", structs=(KnowledgeBaseStatus,), headers=(ETAG,)),
        ),
        problems=CHANGED | GONE | {ProblemCode.REINDEX_IN_PROGRESS, ProblemCode.REINDEX_REQUIRED},
    ),
    "delete_knowledge_base": Operation(
        summary="Delete a knowledge base",
        description="It is gone at once; its documents are erased behind the answer.",
        tag=Tag.KNOWLEDGE_BASES,
        parameters=CONDITIONAL,
        answers=(Answer(status=202, description="It is gone.", structs=(RemovedKnowledgeBase,)),),
        problems=CHANGED | GONE,
    ),
    "stream_knowledge_base": Operation(
        summary="Follow a knowledge base",
        description=(
            "Server-sent events: `event: status` with a KnowledgeBaseStatus, first the present one, then one a change. "
            "`id` is the place to resume from. A slow reader gets fewer, newer states, and always the last one."
        ),
        tag=Tag.KNOWLEDGE_BASES,
        parameters=RESUMED,
        answers=(
            Answer(
                description="Events, until the knowledge base is gone.",
                media_type=EVENT_STREAM,
                events={"status": KnowledgeBaseStatus, "gone": Gone, "end": None},
            ),
        ),
        problems=GONE,
    ),
    "search": Operation(
        summary="Search a knowledge base",
        description="By words, by meaning, or both. Passages come best first, with where their words were found.",
        tag=Tag.SEARCH,
        body=JsonBody(struct=SearchRequest, examples=_SEARCHES),
        is_idempotent=True,
        answers=(Answer(description="Passages, best first.", structs=(SearchResult,)),),
        problems=SEARCHED | GONE,
    ),
    "search_many": Operation(
        summary="Search several knowledge bases",
        description="Each by its own model; the passages are ranked together.",
        tag=Tag.SEARCH,
        body=JsonBody(struct=SearchManyRequest),
        is_idempotent=True,
        answers=(Answer(description="Passages, best first.", structs=(SearchResult,)),),
        problems=SEARCHED | GONE | {ProblemCode.NOT_FOUND},
    ),
}
