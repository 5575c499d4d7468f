import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.citations import AnswerText

PARTS = st.lists(
    st.sampled_from([*"[]【】 ,1234x^\n", "NOT_FOUND", "<think>", "</think>", "[1]", " [2]", "[9]", "[1, 3]", "磨"]),
    max_size=12,
)


def shown(pieces: list[str], numbers: tuple[int, ...] = (1, 2, 3)) -> tuple[str, list[int], bool]:
    text = AnswerText(numbers)
    words = "".join([*(text.feed(piece) for piece in pieces), text.end()])
    return words, text.cited, text.is_not_found


@pytest.mark.parametrize(
    ("words", "text", "cited"),
    [
        ("Rye [2], then wheat [1].", "Rye [2], then wheat [1].", [2, 1]),
        ("Rye [1, 3] and [2;2].", "Rye [1][3] and [2].", [1, 3, 2]),
        ("Rye [7]. Wheat [1, 8].", "Rye. Wheat [1].", [1]),
        ("石磨【1】开槽【12】。", "石磨[1]开槽。", [1]),
        ("Note [^2] and [ 3 ]", "Note [2] and [3]", [2, 3]),
        ("[0][-1][999999999]", "[-1]", []),
        ("a list [x] stays, [1", "a list [x] stays, [1", []),
        ("<think>[1] says so</think>\n Rye [2].", "Rye [2].", [2]),
        ("<think>never ends [1]", "", []),
        ("<thinking> aloud", "<thinking> aloud", []),
        ("x [[9]1] y [[1]9]", "x […1] y [[1]9]", [1]),
        ("", "", []),
    ],
)
def test_citations_name_a_source_or_vanish(words: str, text: str, cited: list[int]) -> None:
    assert shown([words]) == (text, cited, False)
    assert shown(list(words)) == (text, cited, False)


@pytest.mark.parametrize("words", ["NOT_FOUND", " NOT_FOUND.", "NOT_FOUND [1]\nbut", "<think>hm</think> NOT_FOUND"])
def test_not_found_is_no_text(words: str) -> None:
    assert shown([words]) == shown(list(words)) == ("", [], True)


@given(PARTS, st.data())
def test_where_pieces_are_cut_changes_nothing(parts: list[str], data: st.DataObject) -> None:
    whole = "".join(parts)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert shown(pieces) == shown([whole])


@given(PARTS)
def test_what_is_shown_cites_nothing_unknown(parts: list[str]) -> None:
    words, cited, _ = shown(parts, (1, 2))
    again, cited_again, _ = shown([f".{words}"], (1, 2))
    assert set(cited) <= {1, 2}
    assert again == f".{words}"
    assert cited_again == cited
