"""What a question asks and what is answered: structs and their rules. Pure."""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, assert_never

import msgspec

from knowledge.errors import ProviderError
from knowledge.language_model import Usage
from knowledge.prompt import Source
from knowledge.search import Passage, SearchProfile, SearchRequest, SearchResult, SearchWarning

ANSWER_TOP_K_MAX: Final = 20
ANSWER_TOP_K_DEFAULT: Final = 8

COSINE_MIN: Final = 0.3
"""A passage that holds none of the question's words counts from this cosine on. Below it the local model finds anything
near anything; whether what is left answers the question is for the language model to say."""

_HAN: Final = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")


class AnswerLanguage(StrEnum):
    """Languages that "not found" is said in."""

    ENGLISH = "en"
    CHINESE = "zh"

    @property
    def in_words(self) -> str:
        """As a language model is told."""
        match self:
            case AnswerLanguage.ENGLISH:
                return "the language of the question"
            case AnswerLanguage.CHINESE:
                return "Simplified Chinese (简体中文)"
            case _:
                assert_never(self)


class AnswerRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question as it comes in, with 1 to 2,000 characters; `filters`, `profile` and `min_score` as in a search.

    Without `language` it is that of the question.
    """

    question: str
    stream: bool = False
    top_k: Annotated[int, msgspec.Meta(ge=1, le=ANSWER_TOP_K_MAX)] = ANSWER_TOP_K_DEFAULT
    profile: SearchProfile = SearchProfile.ENHANCED
    filters: dict[str, Any] | None = None
    min_score: float | None = None
    language: AnswerLanguage | None = None


class CitedPassage(msgspec.Struct, frozen=True):
    """A passage that the model was given, under its number; `chunk_ids` with its neighbours, in reading order."""

    number: int
    chunk_id: str
    chunk_ids: tuple[str, ...]
    document_id: str
    knowledge_base_id: str
    filename: str
    page: int | None
    span: tuple[int, int]
    text: str
    score: float


class Citation(msgspec.Struct, frozen=True):
    """What `[number]` in the answer stands for."""

    number: int
    chunk_id: str
    document_id: str
    knowledge_base_id: str
    filename: str
    page: int | None
    span: tuple[int, int]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`found` is false where the documents do not answer; `is_cut` where the model ran into a limit."""

    answer: str
    found: bool
    citations: tuple[Citation, ...]
    passages: tuple[CitedPassage, ...]
    usage: Usage
    model: str
    is_cut: bool
    warnings: tuple[SearchWarning, ...]
    took_ms: float


class PassagesFound(msgspec.Struct, frozen=True):
    """What the model is given, before it says anything."""

    passages: tuple[CitedPassage, ...]


class TextAdded(msgspec.Struct, frozen=True):
    """More of the answer."""

    text: str


class CitationsResolved(msgspec.Struct, frozen=True):
    """What the answer cites, in the order in which it does."""

    citations: tuple[Citation, ...]


class AnswerEnded(msgspec.Struct, frozen=True, kw_only=True):
    """The last event of an answer."""

    found: bool
    usage: Usage = Usage()
    model: str = ""
    is_cut: bool = False
    warnings: tuple[SearchWarning, ...] = ()
    took_ms: float = 0.0


class AnswerFailed(msgspec.Struct, frozen=True):
    """The last event where the model failed."""

    error: ProviderError


class Waiting(msgspec.Struct, frozen=True):
    """Nothing has come for a while."""


AnswerEvent = PassagesFound | TextAdded | CitationsResolved | AnswerEnded | AnswerFailed | Waiting


def searched(request: AnswerRequest) -> SearchRequest:
    """The search behind a question."""
    return SearchRequest(
        query=request.question,
        top_k=request.top_k,
        profile=request.profile,
        filters=request.filters,
        min_score=request.min_score,
    )


def relevant(found: SearchResult) -> list[Passage]:
    """The passages that may have to do with the question: with one of its words, or near enough in meaning."""
    return [
        passage
        for passage in found.passages
        if passage.scores.keyword is not None or (passage.scores.vector or 0.0) >= COSINE_MIN
    ]


def language_of(request: AnswerRequest) -> AnswerLanguage:
    """Chinese where the question has a Chinese character."""
    if request.language is not None:
        return request.language
    return AnswerLanguage.CHINESE if _HAN.search(request.question) else AnswerLanguage.ENGLISH


def not_found_in(language: AnswerLanguage) -> str:
    """The fixed answer where there is none."""
    match language:
        case AnswerLanguage.ENGLISH:
            return "The documents do not answer this question."
        case AnswerLanguage.CHINESE:
            return "文档中没有找到这个问题的答案。"
        case _:
            assert_never(language)


def shown_source(source: Source) -> CitedPassage:
    """A source as the answer lists it."""
    passage = source.passage
    context = passage.context
    return CitedPassage(
        number=source.number,
        chunk_id=passage.chunk_id,
        chunk_ids=(passage.chunk_id,) if context is None else context.chunk_ids,
        document_id=passage.document_id,
        knowledge_base_id=passage.knowledge_base_id,
        filename=passage.filename,
        page=passage.page,
        span=passage.span,
        text=passage.text,
        score=passage.score,
    )


def citations_of(sources: Sequence[Source], numbers: Sequence[int]) -> tuple[Citation, ...]:
    """The sources of these numbers."""
    by_number = {source.number: source.passage for source in sources}
    cited = [(number, by_number[number]) for number in numbers]
    return tuple(
        Citation(number, one.chunk_id, one.document_id, one.knowledge_base_id, one.filename, one.page, one.span)
        for number, one in cited
    )
