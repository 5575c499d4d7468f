import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.sentences import SENTENCE_CHARS_MAX, split_sentences

PIECES = st.sampled_from(
    ["A stone. ", "磨。", "Dr. ", "e.g. ", "\n\n", "\n- ", "3.14 ", "？！”", "word ", "| a |\n", "."]
)


@given(st.one_of(st.text(), st.lists(PIECES).map("".join)))
def test_sentences_joined_are_the_text(text: str) -> None:
    sentences = split_sentences(text)
    assert "".join(sentences) == text
    assert all(0 < len(sentence) <= SENTENCE_CHARS_MAX for sentence in sentences)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Stop the mill. Lift the stone.", ["Stop the mill. ", "Lift the stone."]),
        ("Ask Dr. Miller. He knows.", ["Ask Dr. Miller. ", "He knows."]),
        ("It is 3.5 mm thick, e.g. here. Yes!  Good?", ["It is 3.5 mm thick, e.g. here. ", "Yes!  ", "Good?"]),
        ("先停机。再抬起磨石！“好了吗？”他问。", ["先停机。", "再抬起磨石！", "“好了吗？”", "他问。"]),
        ("a wrapped\nline goes on. Next", ["a wrapped\nline goes on. ", "Next"]),
        ("Steps:\n1. oil\n2. turn", ["Steps:\n", "1. oil\n", "2. turn"]),
        ("one\n\ntwo", ["one\n\n", "two"]),
        ("| a | b |\n| 1 | 2 |\n", ["| a | b |\n", "| 1 | 2 |\n"]),
        ("步骤：\n一、清理\n二、检查", ["步骤：\n", "一、清理\n", "二、检查"]),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


def test_a_text_without_ends_is_cut_at_blanks_and_else_hard() -> None:
    assert [len(part) for part in split_sentences("x" * 4_100)] == [2_000, 2_000, 100]
    assert all(part.endswith(" ") for part in split_sentences("word " * 1_000)[:-1])
