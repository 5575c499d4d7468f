"""What a search asks and what it answers: structs and their rules."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from knowledge.embedders import NO_PREFIXES, Embedding, Prefixes
from knowledge.errors import InvalidSearch
from knowledge.filters import EVERYTHING, Every, Filter, Scalar, of_documents, parse_filters
from knowledge.neighbours import Context
from knowledge.ranking import CANDIDATES, Fusion

QUERY_CHARS_MAX = 2_000
TOP_K_MAX = 100
TOP_K_DEFAULT = 10
DOCUMENT_IDS_MAX = 1_000
NEIGHBOURS_MAX = 5

# Hits of each side that enter the fusion in the enhanced profile, and how many of the fused a reranker reads.
CANDIDATES_ENHANCED = 200
RERANKED = 50


class SearchMode(StrEnum):
    """By words, by meaning, or both; `hybrid` is never worse than the better of the two."""

    HYBRID = "hybrid"
    VECTOR = "vector"
    KEYWORD = "keyword"


class SearchProfile(StrEnum):
    """`fast`: the index alone. `enhanced`: more candidates, a neighbour on each side, reranked where that is set up."""

    FAST = "fast"
    ENHANCED = "enhanced"


class SearchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A search as it comes in: the query is stripped and then has 1 to 2,000 characters.

    `min_score` is compared with the passage's score: 0 to 1 in hybrid mode, a cosine in vector mode, BM25 in keyword
    mode; what the reranker said where one was asked. `filters` is described in filters.py. What is null follows the
    profile (`neighbours`, `rerank`) or the knowledge base (`vector_weight`, `fusion`).
    """

    query: str
    mode: SearchMode = SearchMode.HYBRID
    top_k: Annotated[int, msgspec.Meta(ge=1, le=TOP_K_MAX)] = TOP_K_DEFAULT
    filters: dict[str, Any] | None = None
    min_score: float | None = None
    document_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=DOCUMENT_IDS_MAX)] | None = None
    profile: SearchProfile = SearchProfile.FAST
    neighbours: Annotated[int, msgspec.Meta(ge=0, le=NEIGHBOURS_MAX)] | None = None
    rerank: bool | None = None
    vector_weight: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    fusion: Fusion | None = None


class SearchPlan(msgspec.Struct, frozen=True):
    """What a request comes to: hits of each side, neighbours on each side, and how many fused hits are reranked."""

    candidates: int
    neighbours: int
    reranked: int

    @property
    def hits(self) -> int:
        """How many hits of each side are needed."""
        return max(self.candidates, self.reranked)


class SearchScope(msgspec.Struct, frozen=True):
    """One knowledge base to search: which generation is live, and the model that its vectors come from."""

    knowledge_base_id: str
    generation: int
    embedding_model: str
    vector_weight: float
    fusion: Fusion = Fusion.CONVEX
    dimensions: int | None = None
    prefixes: Prefixes = NO_PREFIXES

    @property
    def embedding(self) -> Embedding:
        """What its vectors are made by, and a query for them has to be."""
        return Embedding(self.embedding_model, self.dimensions, self.prefixes)


class Scores(msgspec.Struct, frozen=True):
    """What each part said: BM25, cosine, both fused (0 to 1), reranker; null where it did not find the passage or was
    not asked."""

    keyword: float | None = None
    vector: float | None = None
    fused: float | None = None
    rerank: float | None = None


class Passage(msgspec.Struct, frozen=True):
    """A chunk that answers the query. `span` is its place in the document's text, `highlights` are places in `text`.

    Places are counted in characters (Unicode code points). `context` is the text around it, where that was asked for.
    `parent_text` is the larger passage to read in its place, where the knowledge base cuts so (parents, windows, rows
    under their header); empty elsewhere.
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
    context: Context | None = None
    parent_text: str = ""


class SearchWarning(msgspec.Struct, frozen=True):
    """Something that the search did without; `code` is for programs."""

    code: str
    message: str


class SearchResult(msgspec.Struct, frozen=True):
    """Passages, best first. `reranker` is the model that put them in order; null where none did."""

    passages: tuple[Passage, ...]
    took_ms: float
    mode: SearchMode
    profile: SearchProfile = SearchProfile.FAST
    reranker: str | None = None
    warnings: tuple[SearchWarning, ...] = ()


def plan_of(request: SearchRequest, *, reranks_by_default: bool) -> SearchPlan:
    """`reranks_by_default`: whether there is a reranker that the enhanced profile uses unasked."""
    is_enhanced = request.profile is SearchProfile.ENHANCED
    rerank = is_enhanced and reranks_by_default if request.rerank is None else request.rerank
    neighbours = int(is_enhanced) if request.neighbours is None else request.neighbours
    return SearchPlan(
        candidates=max(CANDIDATES_ENHANCED if is_enhanced else CANDIDATES, request.top_k),
        neighbours=neighbours,
        reranked=max(RERANKED, request.top_k) if rerank else 0,
    )


def checked_query(request: SearchRequest) -> str:
    """The stripped query; raises InvalidSearch where nothing is left or it is too long."""
    query = request.query.strip()
    if not query:
        raise InvalidSearch("the query is empty", "/query")
    if len(query) > QUERY_CHARS_MAX:
        raise InvalidSearch(f"the query has more than {QUERY_CHARS_MAX:,} characters", "/query")
    if not 1 <= request.top_k <= TOP_K_MAX:
        raise InvalidSearch(f"top_k must be 1 to {TOP_K_MAX}", "/top_k")
    if not 0 <= (request.neighbours or 0) <= NEIGHBOURS_MAX:
        raise InvalidSearch(f"neighbours must be 0 to {NEIGHBOURS_MAX}", "/neighbours")
    if not 0 <= (request.vector_weight or 0) <= 1:
        raise InvalidSearch("vector_weight must be 0 to 1", "/vector_weight")
    return query


def checked_filters(request: SearchRequest) -> Filter:
    """`filters` and `document_ids` as one filter; raises InvalidSearch."""
    filters = parse_filters(request.filters)
    if request.document_ids is None:
        return filters
    documents = of_documents(tuple(dict.fromkeys(request.document_ids)))
    return documents if filters == EVERYTHING else Every(parts=(documents, filters))
