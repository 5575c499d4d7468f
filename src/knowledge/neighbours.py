"""The text around a passage: its neighbours in the document, put together in reading order. Pure."""

from collections.abc import Iterable, Sequence

import msgspec

from knowledge.chunk import Chunk

Place = tuple[str, int]
"""Document and ordinal."""


class Context(msgspec.Struct, frozen=True):
    """A passage with its neighbours. `span` is its place in the document's text, `chunk_ids` are in reading order."""

    text: str
    span: tuple[int, int]
    page: int | None
    chunk_ids: tuple[str, ...]


def places_around(document_id: str, ordinal: int, neighbours: int) -> list[Place]:
    """So many places on each side, without the middle."""
    around = range(max(0, ordinal - neighbours), ordinal + neighbours + 1)
    return [(document_id, place) for place in around if place != ordinal]


def run_around(middle: Chunk, others: Iterable[Chunk]) -> list[Chunk]:
    """The chunks that lie next to one another around the middle: what is missing ends the run on its side."""
    by_ordinal = {chunk.ordinal: chunk for chunk in others} | {middle.ordinal: middle}
    first = last = middle.ordinal
    while first - 1 in by_ordinal:
        first -= 1
    while last + 1 in by_ordinal:
        last += 1
    return [by_ordinal[ordinal] for ordinal in range(first, last + 1)]


def context_of(chunks: Sequence[Chunk]) -> Context:
    """One text of chunks in reading order (at least one): what two of them share comes once.

    A chunk that was edited no longer has the length of its place, so nothing is cut from it.
    """
    text, end = chunks[0].text, chunks[0].end
    for chunk in chunks[1:]:
        shared = end - chunk.start if len(chunk.text) == chunk.end - chunk.start else 0
        text = text + chunk.text[shared:] if shared > 0 else _on_lines(text, chunk.text, is_gap=chunk.start != end)
        end = max(end, chunk.end)
    start = min(chunk.start for chunk in chunks)
    return Context(text, (start, end), chunks[0].page, tuple(chunk.chunk_id for chunk in chunks))


def _on_lines(before: str, after: str, *, is_gap: bool) -> str:
    """White space between chunks belongs to none of them."""
    return f"{before}\n{after}" if is_gap and not before.endswith("\n") else f"{before}{after}"
