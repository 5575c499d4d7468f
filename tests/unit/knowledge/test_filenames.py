"""What becomes of the file names of strangers."""

import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from knowledge.filenames import (
    NAME_BYTES_MAX,
    PATH_CHARACTERS_MAX,
    UNNAMED,
    clean_filename,
    clean_path,
    extended_filename,
    suffix_of,
)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("C:\\x\\y.docx", "y.docx"),
        ("\\\\host\\share\\a.txt", "a.txt"),
        ("..", UNNAMED),
        (".", UNNAMED),
        ("", UNNAMED),
        ("   ", UNNAMED),
        ("a/..", UNNAMED),
        ("folder/", "folder"),
        (".htaccess", ".htaccess"),
        ("-rf", "-rf"),
        ("CON", "CON"),
        ("a\r\nSet-Cookie: b", "a__Set-Cookie: b"),
        ("a\0b.txt", "a_b.txt"),
        ("\x1b[31mred\x7f", "_[31mred_"),
        ("磨坊手册.docx", "磨坊手册.docx"),
        ("cafe\u0301.txt", "café.txt"),
        ("\u202etxt.exe", "_txt.exe"),
        ("a\ud800b", "a_b"),
        ("👩\u200d🌾.md", "👩\u200d🌾.md"),
        (" spaced .txt ", "spaced .txt"),
    ],
)
def test_a_name_is_cleaned(sent: str, kept: str) -> None:
    assert clean_filename(sent) == kept


def test_a_long_name_keeps_its_extension_and_whole_characters() -> None:
    cleaned = clean_filename("磨" * 30_000 + ".docx")
    assert cleaned.endswith("磨.docx")
    assert NAME_BYTES_MAX - 2 <= len(cleaned.encode()) <= NAME_BYTES_MAX


def test_a_name_of_the_longest_length_is_kept_and_one_byte_more_is_cut() -> None:
    fits = "a" * (NAME_BYTES_MAX - 4) + ".txt"
    assert clean_filename(fits) == fits
    assert clean_filename("a" + fits) == fits


@given(st.text(alphabet=st.characters(), max_size=600))
@example("e" * 254 + "\u0301")
@example("a" * 300 + ". ")
def test_a_cleaned_name_is_safe_and_stays_as_it_is(name: str) -> None:
    cleaned = clean_filename(name)
    assert 0 < len(cleaned.encode()) <= NAME_BYTES_MAX
    assert cleaned not in {".", ".."}
    assert not set(cleaned) & set("/\\\0\r\n")
    assert all(unicodedata.category(character) not in {"Cc", "Cs"} for character in cleaned)
    assert unicodedata.is_normalized("NFC", cleaned)
    assert clean_filename(cleaned) == cleaned


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("form-data; name=\"file\"; filename*=utf-8''%E7%A3%A8%E5%9D%8A.txt", "磨坊.txt"),
        ('form-data; name="file"; filename="x"; filename*=UTF-8\'en\'a%20b.txt', "a b.txt"),
        ("form-data; name=\"file\"; filename*=utf-8''%ff", "\ufffd"),
        ("form-data; name=\"file\"; filename*=martian''%41", "A"),
        ('form-data; name="file"; filename="x"', None),
    ],
)
def test_an_extended_name_is_read(disposition: str, name: str | None) -> None:
    assert extended_filename(disposition) == name


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("reports/2026/may.pdf", "reports/2026/may.pdf"),
        ("报告\\五月.pdf", "报告/五月.pdf"),
        ("./reports//may.pdf", "reports/may.pdf"),
        ("re\x00ports/ma\u202ey.pdf", "re_ports/ma_y.pdf"),
        ("may.pdf", None),
        ("./may.pdf", None),
        ("/etc/passwd", None),
        ("C:\\fakepath\\may.pdf", None),
        ("../secret/may.pdf", None),
        ("reports/../../may.pdf", None),
        ("a/" * PATH_CHARACTERS_MAX + "may.pdf", None),
    ],
)
def test_a_path_within_a_folder_is_kept_and_no_other(sent: str, kept: str | None) -> None:
    assert clean_path(sent) == kept


@given(st.text(max_size=300))
def test_a_kept_path_is_clean_already(name: str) -> None:
    path = clean_path(name)
    if path is not None:
        assert clean_path(path) == path
        assert path.rsplit("/", 1)[-1] == clean_filename(path)


@given(st.text(alphabet="a.b/ \\é", max_size=8) | st.text(max_size=8))
def test_a_suffix_is_what_pathlib_takes_for_one(name: str) -> None:
    assert suffix_of(name) == PurePosixPath(name).suffix
