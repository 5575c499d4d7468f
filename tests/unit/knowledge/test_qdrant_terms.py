"""Terms as sparse vectors."""

import pytest

from knowledge.chunk import Chunk

LENGTH_MEAN_TOKENS = 200
"""Of `qdrant_terms.py`: rows are written with it, so another one needs a new generation of every knowledge base."""


def chunk_of(text: str, tokens: int = LENGTH_MEAN_TOKENS) -> Chunk:
    return Chunk("0" * 32, 0, text, 0, len(text), None, (), tokens)


def weight_of(text: str, term: str, tokens: int = LENGTH_MEAN_TOKENS) -> float:
    from knowledge.qdrant_terms import place_of, row_terms

    terms = row_terms(chunk_of(text, tokens))
    return dict(zip(terms.indices, terms.values, strict=True)).get(place_of(term), 0.0)


@pytest.mark.parametrize(("text", "term"), [("grain grain water", "grain"), ("石磨磨石磨", "石磨")])
def test_a_term_that_comes_twice_in_a_row_of_mean_length_weighs_what_bm25_says(text: str, term: str) -> None:
    assert weight_of(text, term) == pytest.approx(2 * 2.2 / (2 + 1.2))
    assert weight_of(text, term, tokens=2 * LENGTH_MEAN_TOKENS) < weight_of(text, term)
    assert weight_of(text, "absent") == 0


@pytest.mark.parametrize("query", ["Grains and the water wheels", "石磨的水车", "石磨 grains"])
def test_a_query_asks_for_the_terms_that_a_row_of_its_words_holds(query: str) -> None:
    from knowledge.qdrant_terms import asked_terms, row_terms

    asked = asked_terms(query)
    assert asked is not None
    assert set(asked.indices) <= set(row_terms(chunk_of(query)).indices)
    assert len(set(asked.indices)) == len(asked.indices)


def test_a_query_of_stop_words_asks_for_nothing() -> None:
    from knowledge.qdrant_terms import asked_terms

    assert asked_terms("what is the") is None


def test_places_are_32_bits_and_stay_what_they_are() -> None:
    from knowledge.qdrant_terms import place_of

    assert (place_of("grain"), place_of("石磨")) == (3_991_705_836, 2_353_543_972)
    assert all(0 <= place_of(f"term {number}") < 2**32 for number in range(1_000))
