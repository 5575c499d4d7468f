"""Pure: where the meaning of a text turns, by the vectors of its sentences.

After Greg Kamradt's "5 Levels of Text Splitting" (2023), which LlamaIndex's SemanticSplitterNodeParser follows, too:
the text is cut where neighbours are farther apart than a percentile of all distances. What is compared here are two
sentences before a place and two behind it, so that one short sentence does not make a turn.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from knowledge.chunk import Chunk, count_tokens
from knowledge.cuts import Span, bounded
from knowledge.sentences import split_sentences
from knowledge.text import ParsedText
from knowledge.vectors import Vectors

PIECES_MAX: Final = 2_000
"""Vectors made for one document: half a minute of the local model. Longer texts are compared in larger pieces."""
PIECE_TOKENS_MAX: Final = 256
_BESIDE: Final = 2


def pieces(text: ParsedText) -> list[Chunk]:
    """Sentences, or as many together as it takes to have at most 2,000 pieces, as chunks to embed."""
    sentences = [one for one in bounded(split_sentences(text.text), PIECE_TOKENS_MAX) if one]
    together = -(-len(sentences) // PIECES_MAX) or 1
    spans: list[Span] = []
    place = 0
    for first in range(0, len(sentences), together):
        length = sum(len(one) for one in sentences[first : first + together])
        spans.append((place, place + length))
        place += length
    return [_piece(text.text, ordinal, span) for ordinal, span in enumerate(spans) if text.text[slice(*span)].strip()]


def turns(compared: Sequence[Chunk], vectors: Vectors, percentile: int) -> list[int]:
    """Places in the text, in order, where a piece begins that is farther from the ones before than `percentile` % are.

    `vectors` are (len(compared), dimensions), of length 1.
    """
    if len(compared) <= _BESIDE:
        return []
    distances = np.array([_distance(vectors, place) for place in range(1, len(compared))])
    threshold = float(np.percentile(distances, percentile))
    return [
        compared[place].start
        for place, distance in enumerate(distances, start=1)
        if distance > threshold and _is_peak(distances, place - 1)
    ]


def _distance(vectors: Vectors, place: int) -> float:
    before = vectors[max(0, place - _BESIDE) : place].mean(axis=0)
    behind = vectors[place : place + _BESIDE].mean(axis=0)
    lengths = float(np.linalg.norm(before) * np.linalg.norm(behind))
    return 1.0 - float(before @ behind) / lengths if lengths else 1.0


def _is_peak(distances: Vectors, index: int) -> bool:
    """A turn shows in the distances of its neighbours as well; the text is cut at the sharpest alone."""
    return bool(distances[index] >= distances[max(0, index - 1) : index + 2].max())


def _piece(text: str, ordinal: int, span: Span) -> Chunk:
    passage = text[span[0] : span[1]]
    return Chunk(str(ordinal), ordinal, passage, span[0], span[1], None, (), count_tokens(passage))
