"""What the arguments of `ingest` mean."""

from pathlib import Path

import pytest

from millstream.sending.sources import NothingToSend, find_sources


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.txt", "deep/b.pdf", "deep/er/c.pdf", ".hidden/d.txt", "deep/.e.txt"):
        path = tmp_path / "papers" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "papers"


def names(*arguments: str) -> list[str]:
    return [file.name for file in find_sources(arguments).files]


def test_a_folder_is_all_its_files_at_any_depth_but_the_hidden_ones(folder: Path) -> None:
    assert names(str(folder)) == ["a.txt", "deep/b.pdf", "deep/er/c.pdf"]


def test_a_pattern_may_cross_folders_and_names_begin_behind_its_fixed_part(folder: Path) -> None:
    assert names(f"{folder}/**/*.pdf") == ["deep/b.pdf", "deep/er/c.pdf"]
    assert names("papers/deep/*.pdf") == ["b.pdf"]


def test_a_file_is_itself_and_is_sent_once_however_often_it_is_named(folder: Path) -> None:
    assert names("papers/a.txt", str(folder / "a.txt"), "papers/*.txt") == ["a.txt"]


def test_a_name_with_brackets_that_exists_is_no_pattern(folder: Path) -> None:
    (folder / "notes [draft].txt").write_text("x")
    assert names("papers/notes [draft].txt") == ["notes [draft].txt"]


def test_urls_are_told_from_files(folder: Path) -> None:
    found = find_sources(["https://example.org/a", "papers/a.txt", "HTTP://example.org/b", "https://example.org/a"])
    assert found.urls == ("https://example.org/a", "HTTP://example.org/b")
    assert [file.name for file in found.files] == ["a.txt"]


@pytest.mark.parametrize("argument", ["papers/nothing.txt", "papers/*.nothing"])
def test_what_means_nothing_is_a_mistake_of_usage(folder: Path, argument: str) -> None:
    with pytest.raises(NothingToSend):
        find_sources([argument])
