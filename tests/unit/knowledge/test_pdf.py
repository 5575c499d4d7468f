"""When a PDF's text is looked at a second time."""

import pytest

from knowledge.pdf import is_garbled, is_right_to_left


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        ("ibibah يبيبَحﺒﻴﺒﻲ يبيبَحَ", True),
        ("שלום עולם", True),
        ("The word حبيبي stands alone in a long English sentence", False),
        ("石磨每天磨三十八吨小麦", False),
        ("", False),
        ("123 456", False),
    ],
)
def test_right_to_left_text_is_told_by_its_letters(text: str, is_so: bool) -> None:
    assert is_right_to_left(text) is is_so


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        ("石磨每天磨三十八吨小麦，备用的磨凿放在工具柜的第三层。".encode("gb18030").decode("latin-1"), True),
        ("Die Mühle mahlt den Weizen der Höfe, die am Fluss liegen, und sie ist die älteste.", False),
        ("ÄÖÜß", False),
        ("石磨每天磨三十八吨小麦" * 9, False),
    ],
)
def test_bytes_that_were_taken_for_letters_are_noise(text: str, is_so: bool) -> None:
    assert is_garbled(text) is is_so
