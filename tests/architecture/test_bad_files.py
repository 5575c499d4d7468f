"""What may come in as a file and mean harm: each row of the list has its documents, or a test of its own, or both."""

import re
from typing import Final, NamedTuple

import pytest

from tests.integration.hostile_documents import DOCUMENTS
from tests.named_tests import is_test

HOSTILE: Final = "tests/integration/test_hostile_documents.py"
UNIT: Final = "tests/unit/knowledge"


class Row(NamedTuple):
    """One kind of bad file; `documents` is how many of DOCUMENTS are of it, `tests` are those beside them."""

    meaning: str
    documents: int
    tests: tuple[str, ...] = ()


ROWS: Final = {
    "B-060": Row("a PDF stream that unpacks to a gigabyte", 2),
    "B-061": Row("a PDF of millions of texts", 1),
    "B-063": Row("a form in a PDF that draws itself", 1),
    "B-065": Row("a PDF whose pages lead back, lies deep in itself, or ends too early", 4),
    "B-066": Row(
        "a PDF with a password, actions, a form of a program, or files",
        4,
        (f"{HOSTILE}::test_a_password_is_asked_for",),
    ),
    "B-067": Row("a PDF that names a file as its map of characters", 1),
    "B-068": Row(
        "a scan without text",
        0,
        (
            "tests/integration/test_ocr.py::test_a_picture_of_nothing_holds_no_text",
            "tests/integration/test_ocr.py::test_each_page_of_a_scan_is_read",
            "tests/e2e/test_bad_input.py::test_a_bad_document_fails_with_its_reason",
        ),
    ),
    "B-069": Row("a DOCX that unpacks to more than it holds", 3),
    "B-070": Row("XML that asks for files and addresses", 4),
    "B-071": Row("a workbook with one far cell", 1),
    "B-072": Row("a workbook of 300 MB of shared text", 1),
    "B-073": Row(
        "an archive that is a bomb, lies, or reaches outside",
        16,
        (f"{UNIT}/test_archive_scan.py::test_a_hostile_container_is_refused_with_its_reason",),
    ),
    "B-074": Row("a tar", 1),
    "B-075": Row("a page of 200,000 nested elements", 1, (f"{UNIT}/test_html.py::test_no_text_is_lost_in_the_depth",)),
    "B-076": Row("an element of 200,000 attributes", 1),
    "B-077": Row("comments and elements that never end", 2),
    "B-078": Row(
        "a page of scripts",
        1,
        ("tests/unit/millstream/test_reading.py::test_the_original_is_an_attachment_that_no_browser_runs",),
    ),
    "B-080": Row(
        "a CSV that never closes a quote", 2, (f"{UNIT}/test_delimited.py::test_an_unclosed_quote_names_its_row",)
    ),
    "B-081": Row("cells that are formulas", 0, (f"{HOSTILE}::test_formulas_are_kept_as_they_are",)),
    "B-082": Row(
        "text in odd encodings and of odd shapes",
        9,
        (
            f"{UNIT}/test_decode.py::test_text_of_a_mainframe_is_told_by_its_blanks",
            f"{UNIT}/test_decode.py::test_four_bytes_a_character_are_told_with_and_without_a_mark",
        ),
    ),
    "B-083": Row("JSON beyond what readers take", 4),
    "B-084": Row("an EPUB with the tricks of XML and of archives", 4),
    "B-085": Row(
        "a mail of too many parts, too deep, or with a path for a name",
        4,
        (f"{UNIT}/test_members.py::test_what_is_attached_to_a_mail_stands_under_its_name",),
    ),
    "B-087": Row(
        "text for models that readers do not see",
        1,
        (
            f"{HOSTILE}::test_what_is_said_to_models_and_hidden_from_readers_is_data",
            f"{UNIT}/test_hidden_text.py::test_the_document_says_so",
            f"{UNIT}/test_answering.py::test_a_document_that_gives_orders_changes_the_words_of_the_answer_and_nothing_else",
        ),
    ),
    "B-089": Row("the string that virus scanners look for", 1),
    "B-090": Row(
        "too many chunks, none, or all alike",
        0,
        (
            f"{UNIT}/test_chunkers.py::test_too_many_chunks_are_refused",
            f"{UNIT}/test_chunkers.py::test_a_hundred_thousand_chunks_are_the_most",
            f"{UNIT}/test_chunkers.py::test_nothing_visible_makes_no_chunk",
            f"{UNIT}/test_chunk.py::test_repeated_text_and_other_documents_get_other_ids",
        ),
    ),
}


@pytest.mark.parametrize("number", ROWS)
def test_each_row_has_its_documents_and_tests(number: str) -> None:
    row = ROWS[number]
    assert sum(document.case.startswith(f"{number} ") for document in DOCUMENTS) == row.documents
    assert row.documents or row.tests
    assert [name for name in row.tests if not is_test(name)] == []


def test_every_document_is_of_a_row_and_named_once() -> None:
    cases = [document.case for document in DOCUMENTS]
    assert sorted(set(cases)) == sorted(cases)
    assert [case for case in cases if not re.fullmatch(r"B-\d{3} .+", case) or case.split()[0] not in ROWS] == []
