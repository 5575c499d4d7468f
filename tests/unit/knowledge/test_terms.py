import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.stemmer import stem
from knowledge.terms import QUERY_TERMS_MAX, TERM_CHARS_MAX, cut, index_terms, places_of, query_terms


@given(st.text() | st.text("石磨ｶﾞ가a1-é ǅ㎏"))
def test_terms_are_single_words_with_spans_in_the_text(text: str) -> None:
    for term in cut(text):
        assert 0 <= term.start < term.end <= len(text)
        assert term.term
        assert len(term.term.split()) == 1
        assert len(term.term) <= TERM_CHARS_MAX
    assert index_terms(text) == " ".join(term.term for term in cut(text))


def test_runs_that_are_long_take_no_memory_once_their_terms_are_cut() -> None:
    runs = [".".join(f"furrow{number}x{part}" for part in range(300)) for number in range(100)]
    tracemalloc.start()
    try:
        for run in runs:
            assert index_terms(run).startswith("furrow")
            assert sum(1 for _ in cut(run)) == 301
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 1_000_000, "their terms alone are 3 MB"


@given(st.text())
def test_every_text_finds_itself(text: str) -> None:
    assert not index_terms(text) or set(query_terms(text)) & set(index_terms(text).split())


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Millstones turning", "millston turn"),
        ("ＭＩＬＬ ﬁne café CAFÉ", "mill fine cafe cafe"),
        ("石磨", "石 石磨 磨"),
        ("part MS-204/B", "part ms 204 b ms-204/b"),
        ("flow-field", "flow field"),
        ("v1.2.3", "v1 2 3 v1.2.3"),
        ("磨盘T85粉", "磨 磨盘 盘 t85 粉"),
        ("?! — …", ""),
        ("the sum x of vitamin C", "sum vitamin c"),
    ],
)
def test_text_becomes_terms(text: str, terms: str) -> None:
    assert index_terms(text) == terms


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("What is the millstone?", ["millston"]),
        ("what is this", []),
        ("vitamin c", ["vitamin", "c"]),
        ("石磨多重", ["石磨", "磨多", "多重"]),
        ("磨", ["磨"]),
        ("T85 粉", ["t85", "粉"]),
        ("stone stones", ["stone"]),
    ],
)
def test_queries_keep_what_tells_documents_apart(query: str, terms: list[str]) -> None:
    assert query_terms(query) == terms


def test_a_query_has_a_bounded_number_of_terms() -> None:
    assert len(query_terms(" ".join(f"word{number}" for number in range(1_000)))) == QUERY_TERMS_MAX


# Examples from Porter's paper, one for each kind of rule.
@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("caresses", "caress"), ("ponies", "poni"), ("cats", "cat"), ("feed", "feed"), ("agreed", "agre"),
        ("plastered", "plaster"), ("motoring", "motor"), ("sing", "sing"), ("conflated", "conflat"),
        ("hopping", "hop"), ("falling", "fall"), ("hissing", "hiss"), ("filing", "file"), ("happy", "happi"),
        ("sky", "sky"), ("relational", "relat"), ("conditional", "condit"), ("digitizer", "digit"),
        ("vietnamization", "vietnam"), ("hopefulness", "hope"), ("sensibiliti", "sensibl"), ("triplicate", "triplic"),
        ("electrical", "electr"), ("goodness", "good"), ("allowance", "allow"), ("replacement", "replac"),
        ("adoption", "adopt"), ("probate", "probat"), ("cease", "ceas"), ("controll", "control"), ("roll", "roll"),
    ],
)  # fmt: skip
def test_words_are_stemmed_as_porter_says(word: str, expected: str) -> None:
    assert stem(word) == expected


@given(st.text(st.sampled_from("面粉石磨aBé9-_. ß第１カ\u0301"), max_size=30), st.data())
def test_the_places_of_terms_are_those_that_cutting_gives_them(text: str, data: st.DataObject) -> None:
    terms = list(cut(text))
    wanted = frozenset(data.draw(st.sets(st.sampled_from([term.term for term in terms]))) if terms else ())
    expected = sorted((term.start, term.end) for term in terms if term.term in wanted)
    assert sorted(places_of(wanted, text)) == expected
