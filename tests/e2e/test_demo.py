"""`make demo`: one command shows the whole way, ends well, and leaves nothing running and nothing lying about."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.servers.service_process import environment_with, processes_in_sessions
from tests.waiting import is_alive

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def shown() -> str:
    with tempfile.TemporaryDirectory(prefix="ms-demo-") as scratch:
        process = subprocess.Popen(
            [sys.executable, "-m", "millstream", "demo", "--samples", str(ROOT / "samples")],
            env=environment_with({"TMPDIR": scratch}),
            cwd=scratch,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        output, errors = process.communicate(timeout=110)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors
        pids = {int(line.split()[2]) for line in output.splitlines() if line.split()[1:2] == ["pid"]}
        assert len(pids) >= 4
        assert {pid for pid in pids | processes_in_sessions(pids) if is_alive(pid)} == set()
        assert list(Path(scratch).iterdir()) == [], "nothing is left lying about"
    return output


def test_it_says_what_it_does_and_that_every_document_was_read(shown: str) -> None:
    samples = [path.name for path in (ROOT / "samples").iterdir() if path.name != "README.md"]
    assert f"uploaded {len(samples)} documents: 202" in shown
    assert "completed in " in shown
    assert all(name in shown for name in samples)


def test_three_searches_print_passages_with_file_page_and_score(shown: str) -> None:
    for title in ("English", "Chinese", "by keyword"):
        answer = shown.split(f"\n{title}", 1)[1].split("\n\n")[0]
        assert "1. " in answer, title
        assert "nothing found" not in answer, title
    assert ", page " in shown
    assert "石磨" in shown.split("\nChinese", 1)[1]
    keyword = shown.split("\nby keyword: ", 1)[1].splitlines()[0]
    assert keyword in "".join(shown.split("\nby keyword: ", 1)[1].splitlines()[1:]), "the word itself was found"
