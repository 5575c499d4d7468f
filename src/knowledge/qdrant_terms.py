"""Terms as Qdrant's sparse vectors: BM25 as a product of what a row holds and what a query asks for. Pure.

A row holds for each of its terms what BM25 makes of the count and the length; the server multiplies with the idf of
its `idf` modifier, ln(1 + (N - n + 0.5) / (n + 0.5)), which is the one of the other indices, over the rows of the
searched table. BM25 divides by the mean length of all rows, which changes with each row and cannot be put into the
vectors; so a row's length is counted in tokens, as chunks are cut, and the mean is a constant. nDCG@10 with it and with
the true mean of terms: .369 and .369 on cranfield (207 tokens a document), .969 and .970 on cmrc2018 (472).
"""

import hashlib
from collections import Counter
from typing import Final

from qdrant_client import models

from knowledge.chunk import Chunk, indexed_text
from knowledge.terms import index_terms, query_terms

K1: Final = 1.2
B: Final = 0.75
LENGTH_MEAN_TOKENS: Final = 200


def row_terms(chunk: Chunk) -> models.SparseVector:
    """What the keyword search knows of a chunk."""
    damping = K1 * (1 - B + B * chunk.tokens / LENGTH_MEAN_TOKENS)
    weights: dict[int, float] = {}
    for term, count in Counter(index_terms(indexed_text(chunk)).split()).items():
        place = place_of(term)
        # Two terms of one place are one to the server: it takes each place once.
        weights[place] = max(weights.get(place, 0.0), count * (K1 + 1) / (count + damping))
    return models.SparseVector(indices=list(weights), values=list(weights.values()))


def asked_terms(query: str) -> models.SparseVector | None:
    """What a query asks for; None where it holds no word."""
    places = list(dict.fromkeys(map(place_of, query_terms(query))))
    return models.SparseVector(indices=places, values=[1.0] * len(places)) if places else None


def place_of(term: str) -> int:
    """The dimension of a term, 32 bits: of a million terms some hundred share theirs with another."""
    return int.from_bytes(hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=4).digest())
