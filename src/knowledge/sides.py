"""What the two sides of a search find: words and meaning, for the knowledge bases of each model and weight."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from knowledge.embedders import Embedding
from knowledge.errors import EmbeddingError
from knowledge.filters import Filter
from knowledge.index import Match, TableReader
from knowledge.ranking import Sides
from knowledge.search import SearchMode, SearchScope, SearchWarning
from knowledge.together import together
from knowledge.vectors import Vectors

_NO_VECTOR = "The embedding provider gave no vector for the query ({code}); these passages are found by words alone."

Embed = Callable[[Embedding, str], Awaitable[Vectors]]


class OpenScope(NamedTuple):
    """A knowledge base whose table is being read; `number` tells those of one search apart."""

    number: int
    scope: SearchScope
    reader: TableReader


class Placed(NamedTuple):
    """A match and whose it is."""

    opened: OpenScope
    match: Match

    @property
    def key(self) -> str:
        """Of this match among all of a search; says nothing of the row."""
        return f"{self.opened.number}/{self.match.row}"


class Asked(msgspec.Struct, frozen=True):
    """What is looked for: `limit` matches a side."""

    query: str
    filters: Filter
    mode: SearchMode
    limit: int


class Found(msgspec.Struct, frozen=True):
    """What the knowledge bases of one model and weight have, by the keys of `placed`."""

    sides: Sides
    placed: Mapping[str, Placed]
    warnings: tuple[SearchWarning, ...] = ()


async def find(scopes: Sequence[OpenScope], vector_weight: float | None, asked: Asked, embed: Embed) -> list[Found]:
    """By model and weight, which is that of the search or of each knowledge base. Raises EmbeddingError and
    IndexUnavailable."""
    groups: dict[tuple[Embedding, float], list[OpenScope]] = {}
    for one in scopes:
        weight = one.scope.vector_weight if vector_weight is None else vector_weight
        groups.setdefault((one.scope.embedding, weight), []).append(one)
    return await together(_found(group, weight, asked, embed) for (_, weight), group in groups.items())


async def _found(scopes: Sequence[OpenScope], vector_weight: float, asked: Asked, embed: Embed) -> Found:
    """Words are looked for while the model makes the vector. Where its provider gives none now, a hybrid search goes by
    the words alone, and says so."""
    if asked.mode is SearchMode.KEYWORD:
        return _of_sides(await _by_words(scopes, asked, None), [], vector_weight)
    warnings: list[SearchWarning] = []
    embedding = asyncio.create_task(_embedded(scopes[0].scope.embedding, asked, embed, warnings))
    words = [_by_words(scopes, asked, embedding)] if asked.mode is SearchMode.HYBRID else []
    try:
        *by_words, by_vector = await together([*words, _by_vector(scopes, asked, embedding)])
    finally:
        embedding.cancel()
    weight = 0.0 if warnings else vector_weight
    return _of_sides([one for some in by_words for one in some], by_vector, weight, tuple(warnings))


async def _embedded(embedding: Embedding, asked: Asked, embed: Embed, warnings: list[SearchWarning]) -> Vectors | None:
    try:
        return await embed(embedding, asked.query)
    except EmbeddingError as error:
        if asked.mode is SearchMode.VECTOR or not error.is_outage:
            raise
        warnings.append(SearchWarning("no_vector", _NO_VECTOR.format(code=error.code)))
        return None


async def _by_words(
    scopes: Sequence[OpenScope], asked: Asked, similar_to: asyncio.Future[Vectors | None] | None
) -> list[Placed]:
    searches = (
        one.reader.by_words(asked.query, limit=asked.limit, filters=asked.filters, similar_to=similar_to)
        for one in scopes
    )
    return await _best(scopes, searches, asked.limit)


async def _by_vector(
    scopes: Sequence[OpenScope], asked: Asked, embedding: asyncio.Future[Vectors | None]
) -> list[Placed]:
    vector = await embedding
    if vector is None:
        return []
    searches = (one.reader.by_vector(vector, limit=asked.limit, filters=asked.filters) for one in scopes)
    return await _best(scopes, searches, asked.limit)


async def _best(
    scopes: Sequence[OpenScope], searches: Iterable[Coroutine[Any, Any, list[Match]]], limit: int
) -> list[Placed]:
    """Of several tables; the first of them goes first where scores are equal."""
    found = [
        Placed(one, match) for one, matches in zip(scopes, await together(searches), strict=True) for match in matches
    ]
    return sorted(found, key=lambda placed: -placed.match.score)[:limit]


def _of_sides(
    by_words: Sequence[Placed],
    by_vector: Sequence[Placed],
    vector_weight: float,
    warnings: tuple[SearchWarning, ...] = (),
) -> Found:
    words = {placed.key: placed for placed in by_words}
    meanings = {placed.key: placed for placed in by_vector}
    near = {key: one.match.similarity for key, one in words.items() if one.match.similarity is not None}
    near |= {key: one.match.score for key, one in meanings.items()}
    sides = Sides({key: one.match.score for key, one in words.items()}, near, vector_weight)
    return Found(sides, {**words, **meanings}, warnings)
