"""Cleaned text can be stored, encoded and searched."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.cleaning import clean, join_wrapped_cjk, one_line


@given(st.text(st.characters()))
def test_cleaned_text_is_normal_encodable_and_stays_as_it_is(text: str) -> None:
    cleaned = clean(text)
    assert unicodedata.is_normalized("NFC", cleaned)
    cleaned.encode()
    assert not any(char < " " and char not in "\n\t" for char in cleaned)
    assert clean(cleaned) == cleaned


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("a\r\nb\rc\u2028d\x0ce", "a\nb\nc\nd\ne"),
        ("a\x00b\x1b\x7f\x9fc\td", "abc\td"),
        ("Mu\u0308hle", "Mühle"),
        ("mill\u00adstone", "millstone"),
        ("\ufeff面粉\ud800", "面粉"),
    ],
)
def test_unwanted_characters_are_taken_out(raw: str, cleaned: str) -> None:
    assert clean(raw) == cleaned


@pytest.mark.parametrize("marks", ["\u0301\u0316", "\U0001d165\U0001d16d"])
def test_a_tower_of_combining_marks_is_cut_and_takes_no_time(marks: str) -> None:
    started = time.process_time()
    assert len(clean("e" + marks * 200_000)) <= 32
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("wrapped", "joined"),
    [
        ("磨面由磨膛和磨 齿组成", "磨面由磨膛和磨齿组成"),
        ("面粉\n发热，\n面筋", "面粉发热，面筋"),
        ("小麦 wheat 粉", "小麦 wheat 粉"),
        ("맷돌은 밀을 간다", "맷돌은 밀을 간다"),
        ("the mill stone", "the mill stone"),
    ],
)
def test_only_blanks_between_cjk_characters_are_joined(wrapped: str, joined: str) -> None:
    assert join_wrapped_cjk(wrapped) == joined


def test_one_line_has_single_blanks() -> None:
    assert one_line(" a \n\t b\r\nc ") == "a b c"
