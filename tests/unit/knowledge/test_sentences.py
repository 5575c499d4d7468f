import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.sentences import _END, SENTENCE_CHARS_MAX, split_sentences

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


FROM_EACH_MARK = re.compile(
    _END.pattern.replace("(?<![.!?…])", "").replace("]++", "]+").replace("]*+", "]*"), re.VERBOSE
)
"""The same, looked for at each mark of a run, and with fewer of them where that fails."""


@given(st.one_of(st.text(), st.text(".!?…\"'”）。！ \n-1)a", max_size=60)))
def test_a_run_of_marks_that_is_looked_at_once_ends_sentences_where_it_does_looked_at_from_each(text: str) -> None:
    assert FROM_EACH_MARK.pattern != _END.pattern
    assert [one.span() for one in _END.finditer(text)] == [one.span() for one in FROM_EACH_MARK.finditer(text)]


@pytest.mark.parametrize("marks", [".", "!?", "…", '."'])
def test_a_long_run_of_marks_is_looked_at_once(marks: str) -> None:
    """Looked at from each mark this takes minutes to hours, and holds up all threads of the process."""
    text = marks * 100_000
    assert len(split_sentences(text)) == len(text) // SENTENCE_CHARS_MAX
    assert split_sentences(f"{text[:1_000]} A stone.") == [f"{text[:1_000]} ", "A stone."]
