"""What each tool takes: structs whose schemas are told to clients, with a bound on everything."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from domain.document_phase import DocumentPhase
from ingest.imports import FILENAME_CHARS_MAX
from ingest.options import GivenMetadata
from knowledge.answers import ANSWER_TOP_K_DEFAULT, ANSWER_TOP_K_MAX, AnswerLanguage
from knowledge.ranking import Fusion
from knowledge.retriever import SCOPES_MAX
from knowledge.search import DOCUMENT_IDS_MAX, NEIGHBOURS_MAX, QUERY_CHARS_MAX, TOP_K_MAX, SearchMode, SearchProfile
from millstream.reading.routes import NEIGHBOURS_MAX as NEIGHBOURS_READ_MAX
from millstream.reading.routes import PAGE_NUMBER_MAX, TEXT_CHARACTERS_MAX
from outbound.urls import URL_CHARACTERS_MAX
from projections.cursors import CURSOR_CHARACTERS_MAX
from projections.lists import LIMIT_MAX
from projections.parameters import NAME_CHARACTERS_MAX

PASSAGE_CHARACTERS_DEFAULT: Final = 2_000
READ_CHARACTERS_DEFAULT: Final = 10_000
READ_CHARACTERS_MAX: Final = 50_000
"""About 12,000 tokens of English; what is longer is read a part at a time."""

TEXT_CHARACTERS_GIVEN_MAX: Final = 1_048_576
"""As many as the API takes of a text in a request, in bytes."""

URLS_MAX: Final = 20
ID: Final = "^[A-Za-z0-9_-]{1,64}$"
WAIT_S_DEFAULT: Final = 30
WAIT_S_MAX: Final = 300
ROWS_DEFAULT: Final = 20

Named = Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]
KnowledgeBase = Annotated[Named, Meta(description="Id or name of the knowledge base.")]
KnowledgeBases = Annotated[
    list[Named],
    Meta(max_length=SCOPES_MAX, description="Ids or names; empty: all that you may see, where they are few enough."),
]
DocumentId = Annotated[str, Meta(pattern=ID, description="Id of the document (doc_…).")]
Filters = Annotated[
    dict[str, Any] | None,
    Meta(
        description="Only what passes: members are document_id, filename, page or metadata.KEY, with a value or "
        'comparisons (eq, ne, in, nin, gt, gte, lt, lte, exists); and, or, not join: {"metadata.year": {"gte": 2020}}.'
    ),
]
Rows = Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="Rows of a page.")]
Cursor = Annotated[
    Annotated[str, Meta(max_length=CURSOR_CHARACTERS_MAX)] | None, Meta(description="next_cursor of the page before.")
]
MinScore = Annotated[float | None, Meta(description="Leave out what scores less.")]
Said = Annotated[GivenMetadata, Meta(description="What is said of the document; searches can filter by it.")]
Duplicates = Annotated[
    Literal["skip", "keep"],
    Meta(description="Where a document of the same bytes is there: leave this one out, or keep both."),
]
"""Nothing that a tool does takes anything away."""

IdempotencyKey = Annotated[
    Annotated[str, Meta(pattern="^[!-~]{1,255}$")] | None,
    Meta(description="Any text of your own: the same one with the same arguments again gives the same task."),
]


class Arguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of a tool."""


class Search(Arguments, frozen=True, kw_only=True):
    """What to look for, and how."""

    query: Annotated[str, Meta(min_length=1, max_length=QUERY_CHARS_MAX, description="Words or a question.")]
    knowledge_bases: KnowledgeBases = []
    mode: Annotated[SearchMode, Meta(description="By words, by meaning, or both.")] = SearchMode.HYBRID
    profile: Annotated[
        SearchProfile, Meta(description="enhanced looks at more, reranks, and adds the text around: better and slower.")
    ] = SearchProfile.FAST
    top_k: Annotated[int, Meta(ge=1, le=TOP_K_MAX, description="Passages to find.")] = 5
    filters: Filters = None
    document_ids: Annotated[
        Annotated[list[str], Meta(min_length=1, max_length=DOCUMENT_IDS_MAX)] | None,
        Meta(description="Only in these documents."),
    ] = None
    min_score: MinScore = None
    rerank: Annotated[bool | None, Meta(description="Put in order by the reranker; null: as the profile says.")] = None
    neighbours: Annotated[
        Annotated[int, Meta(ge=0, le=NEIGHBOURS_MAX)] | None,
        Meta(description="Chunks to read on each side; null: as the profile says."),
    ] = None
    vector_weight: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None,
        Meta(description="Share of the meaning in hybrid scores; null: as the knowledge base says."),
    ] = None
    fusion: Annotated[
        Fusion | None, Meta(description="How both scores become one; null: as the knowledge base says.")
    ] = None
    passage_characters: Annotated[
        int, Meta(ge=100, le=READ_CHARACTERS_MAX, description="Where the text of a passage is cut off.")
    ] = PASSAGE_CHARACTERS_DEFAULT


class ListKnowledgeBases(Arguments, frozen=True, kw_only=True):
    """Which page of them."""

    limit: Rows = ROWS_DEFAULT
    cursor: Cursor = None


class ListDocuments(Arguments, frozen=True, kw_only=True):
    """Which documents."""

    knowledge_base: KnowledgeBase
    status: Annotated[DocumentPhase | None, Meta(description="Only in this status.")] = None
    filename: Annotated[Named | None, Meta(description="Only with this in the filename, whatever its case.")] = None
    limit: Rows = ROWS_DEFAULT
    cursor: Cursor = None


class ReadDocument(Arguments, frozen=True, kw_only=True):
    """Which part of the text."""

    knowledge_base: KnowledgeBase
    document_id: DocumentId
    start: Annotated[
        int, Meta(ge=0, le=TEXT_CHARACTERS_MAX, description="First character: next_start of the part before.")
    ] = 0
    characters: Annotated[int, Meta(ge=1, le=READ_CHARACTERS_MAX, description="Length of the part in characters.")] = (
        READ_CHARACTERS_DEFAULT
    )
    page: Annotated[
        Annotated[int, Meta(ge=1, le=PAGE_NUMBER_MAX)] | None, Meta(description="Only this page, from 1.")
    ] = None


class ReadChunk(Arguments, frozen=True, kw_only=True):
    """Which chunk, and how much around it."""

    knowledge_base: KnowledgeBase
    document_id: DocumentId
    chunk_id: Annotated[str, Meta(pattern=ID, description="As a search tells it.")]
    neighbours: Annotated[int, Meta(ge=0, le=NEIGHBOURS_READ_MAX, description="Chunks to read on each side.")] = 1


class IngestUrl(Arguments, frozen=True, kw_only=True):
    """What to fetch."""

    knowledge_base: KnowledgeBase
    urls: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=URL_CHARACTERS_MAX)]],
        Meta(min_length=1, max_length=URLS_MAX, description="Public http and https addresses, a document each."),
    ]
    metadata: Said = {}
    on_duplicate: Duplicates = "skip"
    idempotency_key: IdempotencyKey = None


class IngestText(Arguments, frozen=True, kw_only=True):
    """What to store."""

    knowledge_base: KnowledgeBase
    text: Annotated[str, Meta(min_length=1, max_length=TEXT_CHARACTERS_GIVEN_MAX, description="The whole document.")]
    filename: Annotated[
        str, Meta(min_length=1, max_length=FILENAME_CHARS_MAX, description="Its ending says how to read it: notes.md.")
    ]
    metadata: Said = {}
    on_duplicate: Duplicates = "skip"
    idempotency_key: IdempotencyKey = None


class WatchTask(Arguments, frozen=True, kw_only=True):
    """Which task, and for how long."""

    task_id: Annotated[str, Meta(pattern=ID, description="As ingesting told it (task_…).")]
    wait_s: Annotated[
        int, Meta(ge=0, le=WAIT_S_MAX, description="Seconds to wait for its end; ask again where that is too short.")
    ] = WAIT_S_DEFAULT


class Ask(Arguments, frozen=True, kw_only=True):
    """A question to a language model that reads passages first."""

    question: Annotated[str, Meta(min_length=1, max_length=QUERY_CHARS_MAX, description="One question.")]
    knowledge_bases: KnowledgeBases = []
    profile: Annotated[SearchProfile, Meta(description="Of the search behind the answer.")] = SearchProfile.ENHANCED
    top_k: Annotated[int, Meta(ge=1, le=ANSWER_TOP_K_MAX, description="Passages to read.")] = ANSWER_TOP_K_DEFAULT
    filters: Filters = None
    min_score: MinScore = None
    language: Annotated[AnswerLanguage | None, Meta(description="Of the answer; null: that of the question.")] = None
