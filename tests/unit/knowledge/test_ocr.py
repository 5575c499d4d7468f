"""What is made of tesseract's table of words, and how long a document may take; the program itself is not needed."""

import pytest

from knowledge.limits import Ocr, ParseLimits
from knowledge.ocr import OcrBudget, Recognised, is_available, read_table, why_not

HEAD = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n"


def word(block: int, paragraph: int, line: int, number: int, text: str, confidence: float = 90) -> str:
    return f"5\t1\t{block}\t{paragraph}\t{line}\t{number}\t0\t0\t9\t9\t{confidence}\t{text}\n"


def test_words_become_lines_and_lines_paragraphs() -> None:
    table = HEAD + "4\t1\t1\t1\t1\t0\t0\t0\t9\t9\t-1\t\n"
    table += word(1, 1, 1, 1, "The") + word(1, 1, 1, 2, "mill") + word(1, 1, 2, 1, "grinds.") + word(2, 1, 1, 1, "石磨")
    assert read_table(table) == Recognised(text="The mill\ngrinds.\n\n石磨", confidence=90)


def test_long_words_count_for_more() -> None:
    assert read_table(HEAD + word(1, 1, 1, 1, "abcdefghi", 90) + word(1, 1, 1, 2, "x", 10)).confidence == 82


@pytest.mark.parametrize("table", ["", HEAD, HEAD + "5\t1\tcut off\n", HEAD + word(1, 1, 1, 1, "  ")])
def test_a_table_without_words_is_no_text(table: str) -> None:
    assert read_table(table) == Recognised()


def test_pages_share_the_time_of_their_document() -> None:
    now_s = 100.0
    budget = OcrBudget(ParseLimits(ocr_page_s=30, ocr_s=70), clock_s=lambda: now_s)
    assert budget.page_s() == 30
    now_s = 150.0
    assert budget.page_s() == 20
    now_s = 171.0
    assert budget.page_s() < 0


def test_what_is_switched_off_is_not_there() -> None:
    assert not is_available(ParseLimits(ocr=Ocr.OFF))
    assert "setting" in why_not(ParseLimits(ocr=Ocr.OFF))
    assert "tesseract" in why_not(ParseLimits())
    assert ParseLimits(ocr=Ocr.OFF).wall_s_of(may_need_ocr=True) == ParseLimits().wall_s_of(may_need_ocr=False)
