"""What other frameworks ask of a search and read of a passage; the adapters to them stand on this."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from knowledge.search import Passage, SearchRequest, SearchResult

Search = Callable[[SearchRequest], SearchResult]
SearchAsync = Callable[[SearchRequest], Awaitable[SearchResult]]

OWN_KEYS_HIDDEN = ("chunk_id", "document_id", "knowledge_base_id", "span", "score", "scores", "warnings")
"""Of `metadata_of`: what is for programs and would only cost a language model tokens."""


def request_of(options: Mapping[str, Any]) -> SearchRequest:
    """A search without its query, from options by name: those of a search's body. Raises ValueError."""
    try:
        return msgspec.convert({"query": "", **options}, SearchRequest)
    except msgspec.ValidationError as error:
        raise ValueError(f"options of a search: {error}") from None


def text_of(passage: Passage) -> str:
    """What is to be read: the larger passage where there is one, with its neighbours where they were asked for."""
    around = passage.text if passage.context is None else passage.context.text
    return passage.parent_text or around


def metadata_of(passage: Passage, result: SearchResult) -> dict[str, Any]:
    """One flat mapping: what was said of the document, and on top of it where the passage comes from.

    `span` is the chunk's place in the document's text, `page` counts from 1; `warnings` are codes of what the search
    did without. What there is none of is left out.
    """
    scores = {name: value for name, value in msgspec.structs.asdict(passage.scores).items() if value is not None}
    own = {
        "filename": passage.filename,
        "page": passage.page,
        "headings": list(passage.headings),
        "chunk_id": passage.chunk_id,
        "document_id": passage.document_id,
        "knowledge_base_id": passage.knowledge_base_id,
        "span": list(passage.span),
        "score": passage.score,
        "scores": scores,
        "warnings": [warning.code for warning in result.warnings],
    }
    return {**passage.metadata, **{name: value for name, value in own.items() if value not in (None, [], {})}}
