"""What a search asks and what it answers: structs and their rules."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from knowledge.errors import InvalidSearch
from knowledge.filters import EVERYTHING, Every, Filter, Scalar, of_documents, parse_filters
from knowledge.ranking import Fusion

QUERY_CHARS_MAX = 2_000
TOP_K_MAX = 100
TOP_K_DEFAULT = 10
DOCUMENT_IDS_MAX = 1_000


class SearchMode(StrEnum):
    """By words, by meaning, or both; `hybrid` is never worse than the better of the two."""

    HYBRID = "hybrid"
    VECTOR = "vector"
    KEYWORD = "keyword"


class SearchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A search as it comes in: the query is stripped and then has 1 to 2,000 characters.

    `min_score` is compared with the passage's score: 0 to 1 in hybrid mode, a cosine in vector mode, BM25 in keyword
    mode. `filters` is described in filters.py.
    """

    query: str
    mode: SearchMode = SearchMode.HYBRID
    top_k: Annotated[int, msgspec.Meta(ge=1, le=TOP_K_MAX)] = TOP_K_DEFAULT
    filters: dict[str, Any] | None = None
    min_score: float | None = None
    document_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=DOCUMENT_IDS_MAX)] | None = None
    fusion: Fusion = Fusion.CONVEX


class SearchScope(msgspec.Struct, frozen=True):
    """One knowledge base to search: which generation is live, and the model that its vectors come from."""

    knowledge_base_id: str
    generation: int
    embedding_model: str
    vector_weight: float


class Scores(msgspec.Struct, frozen=True):
    """What each side said: BM25 and cosine; null where that side did not find the passage or was not asked."""

    keyword: float | None = None
    vector: float | None = None


class Passage(msgspec.Struct, frozen=True):
    """A chunk that answers the query. `span` is its place in the document's text, `highlights` are places in `text`.

    Places are counted in characters (Unicode code points).
    """

    chunk_id: str
    document_id: str
    knowledge_base_id: str
    filename: str
    text: str
    score: float
    scores: Scores
    page: int | None
    span: tuple[int, int]
    headings: Sequence[str]
    highlights: Sequence[tuple[int, int]]
    metadata: Mapping[str, Scalar]


class SearchResult(msgspec.Struct, frozen=True):
    """Passages, best first."""

    passages: tuple[Passage, ...]
    took_ms: float
    mode: SearchMode


def checked_query(request: SearchRequest) -> str:
    """The stripped query; raises InvalidSearch where nothing is left or it is too long."""
    query = request.query.strip()
    if not query:
        raise InvalidSearch("the query is empty", "/query")
    if len(query) > QUERY_CHARS_MAX:
        raise InvalidSearch(f"the query has more than {QUERY_CHARS_MAX:,} characters", "/query")
    if not 1 <= request.top_k <= TOP_K_MAX:
        raise InvalidSearch(f"top_k must be 1 to {TOP_K_MAX}", "/top_k")
    return query


def checked_filters(request: SearchRequest) -> Filter:
    """`filters` and `document_ids` as one filter; raises InvalidSearch."""
    filters = parse_filters(request.filters)
    if request.document_ids is None:
        return filters
    documents = of_documents(tuple(dict.fromkeys(request.document_ids)))
    return documents if filters == EVERYTHING else Every(parts=(documents, filters))
