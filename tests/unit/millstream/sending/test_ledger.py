"""What a command notes while it sends, so that the same command goes on after a break."""

from pathlib import Path

import pytest

from millstream.errors import Stop
from millstream.sending.ledger import Begun, Ledger, Sent, ledger_path, mark_of
from millstream.sending.sources import LocalFile


def test_what_was_noted_is_known_to_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.note(Begun("large", "https://mill/uploads/1"))
        ledger.note(Sent("small", "task_1"))
    with Ledger(path) as ledger:
        assert ledger.task_of("small") == "task_1"
        assert ledger.upload_of("large") == "https://mill/uploads/1"
        ledger.note(Sent("large", "task_2"))
        assert ledger.upload_of("large") is None
    with Ledger(path) as ledger:
        assert ledger.task_of("large") == "task_2"


def test_a_line_that_a_break_cut_off_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.note(Sent("one", "task_1"))
        ledger.note(Sent("two", "task_2"))
    path.write_bytes(path.read_bytes()[:-8])
    with Ledger(path) as ledger:
        assert ledger.task_of("one") == "task_1"
        assert ledger.task_of("two") is None


def test_a_line_after_one_that_was_cut_off_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'{"type":"sent","source":"o')
    with Ledger(path) as ledger:
        ledger.note(Sent("two", "task_2"))
    with Ledger(path) as ledger:
        assert ledger.task_of("two") == "task_2"


def test_once_everything_was_sent_nothing_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.note(Sent("one", "task_1"))
        ledger.forget()
    assert not path.exists()


def test_without_a_path_nothing_is_written() -> None:
    with Ledger(None) as ledger:
        ledger.note(Sent("one", "task_1"))
        assert ledger.task_of("one") == "task_1"
        ledger.forget()


def test_a_place_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Stop, match="cannot be written"), Ledger(tmp_path / "file" / "ledger.jsonl"):
        pass


def test_a_changed_file_is_another_one(tmp_path: Path) -> None:
    file = LocalFile("a", tmp_path / "a", 3, 1)
    assert mark_of(file) == mark_of(LocalFile("b", tmp_path / "a", 3, 1))
    assert len({mark_of(file), mark_of(LocalFile("a", file.path, 4, 1)), mark_of(LocalFile("a", file.path, 3, 2))}) == 3


def test_each_server_and_knowledge_base_has_a_ledger_of_its_own(tmp_path: Path) -> None:
    environment = {"XDG_STATE_HOME": str(tmp_path)}
    paths = {ledger_path(url, kb, environment) for url in ("http://a", "http://b") for kb in ("kb_1", "kb_2")}
    assert len(paths) == 4
    assert all(path.is_relative_to(tmp_path) for path in paths)
