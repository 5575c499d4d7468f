"""Real files from public collections come out with the words that others found in them, or with the right reason.

The files lie beside the checkout, not in it; where they are absent these tests are skipped.
"""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from knowledge.errors import ParseErrorCode
from tests.parsing import Answer, parsing_children

DOCUMENTS = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "documents"
# Its text layer holds a part number of nine characters, which another extractor did not see.
HAS_SOME_TEXT = frozenset({"pdf/cjk-issue9084.pdf"})
_IGNORED = re.compile("[\u200e\u200f\u202a-\u202e\u0640\u00ad]")


class RealFile(msgspec.Struct, frozen=True):
    """One line of the manifest."""

    path: str
    expect: str
    phrases: tuple[str, ...] = ()


class Manifest(msgspec.Struct, frozen=True):
    """What the files are and what is known of them."""

    files: tuple[RealFile, ...]


def real_files() -> tuple[RealFile, ...]:
    manifest = DOCUMENTS / "manifest.json"
    return msgspec.json.decode(manifest.read_bytes(), type=Manifest).files if manifest.exists() else ()


FILES = real_files()
pytestmark = pytest.mark.skipif(not FILES, reason="the real documents are not beside the checkout")


def of(*expectations: str) -> list[object]:
    return [pytest.param(file, id=file.path) for file in FILES if file.expect in expectations]


@pytest.fixture(scope="module")
def answers() -> Iterator[dict[str, Answer]]:
    paths = [DOCUMENTS / file.path for file in FILES]
    with parsing_children() as parse_all:
        found = parse_all(paths)
        yield {file.path: found[path] for file, path in zip(FILES, paths, strict=True)}


def compared(text: str) -> str:
    return " ".join(_IGNORED.sub("", unicodedata.normalize("NFKC", text).lower()).split())


@pytest.mark.parametrize("file", of("text"))
def test_the_known_phrases_are_found(file: RealFile, answers: dict[str, Answer]) -> None:
    answer = answers[file.path]
    assert answer.text is not None, answer
    text = compared(answer.text.text)
    missing = [phrase for phrase in file.phrases if compared(phrase) not in text]
    assert missing == []


@pytest.mark.parametrize("file", of("text", "garbled-text"))
def test_spans_lie_in_the_text(file: RealFile, answers: dict[str, Answer]) -> None:
    parsed = answers[file.path].text
    assert parsed is not None
    assert all(0 <= page.start <= page.end <= len(parsed.text) for page in parsed.pages)
    assert [page.number for page in parsed.pages] == list(range(1, len(parsed.pages) + 1))
    assert all(heading.start < len(parsed.text) for heading in parsed.headings)
    assert all("|" in parsed.text[table.start : table.end] for table in parsed.tables)
    if file.path.startswith("pdf/"):
        assert parsed.pages


@pytest.mark.parametrize("file", of("no-text"))
def test_a_file_without_text_says_so(file: RealFile, answers: dict[str, Answer]) -> None:
    answer = answers[file.path]
    if answer.error is not None:
        assert answer.error.code is ParseErrorCode.NO_TEXT
    else:
        assert answer.text is not None, answer.crash
        has_warning = any(warning.startswith("no_text") for warning in answer.text.warnings)
        assert has_warning or file.path in HAS_SOME_TEXT


@pytest.mark.parametrize("file", of("password"))
def test_an_encrypted_file_is_named_so(file: RealFile, answers: dict[str, Answer]) -> None:
    error = answers[file.path].error
    assert error is not None
    assert error.code is ParseErrorCode.ENCRYPTED_DOCUMENT


@pytest.mark.parametrize("file", of("unsupported"))
def test_a_file_of_no_use_is_refused(file: RealFile, answers: dict[str, Answer]) -> None:
    error = answers[file.path].error
    assert error is not None
    assert error.code is ParseErrorCode.UNSUPPORTED_TYPE


@pytest.mark.parametrize("file", of("corrupt", "garbled-text"))
def test_a_corrupt_file_ends_in_time_with_text_or_a_reason(file: RealFile, answers: dict[str, Answer]) -> None:
    answer = answers[file.path]
    assert answer.crash is None
    assert (answer.text is None) != (answer.error is None)
