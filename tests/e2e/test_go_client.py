"""The client in Go, compiled, at a real service: it uploads, watches, cancels, works, and is told what is wrong."""

import re
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.api import Api
from tests.servers.go_client import GoClient, built
from tests.servers.service_process import ServiceProcess


class Mill(NamedTuple):
    """A service that leaves parsing to workers elsewhere."""

    api: Api
    go: GoClient
    folder: Path


@pytest.fixture(scope="module")
def mill(request: pytest.FixtureRequest) -> Iterator[Mill]:
    program = built(Path(request.config.cache.mkdir("go-client")))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ms-go-")))
        variables = {
            "MILLSTREAM_WORKERS": "1",
            "MILLSTREAM_GRPC_PORT": "0",
            "MILLSTREAM_STEPS_ELSEWHERE": "parse",
            "MILLSTREAM_EMBEDDING": "hash",
        }
        service = ServiceProcess(folder / "data", variables)
        stack.callback(service.end)
        service.start()
        (port,) = re.findall(r"gRPC on port (\d+)$", service.output, re.MULTILINE)[:1]
        api = stack.enter_context(Api(service.url))
        yield Mill(api, GoClient(program, f"127.0.0.1:{port}", folder), folder)
        service.stop()


def written(mill: Mill, name: str, text: str) -> str:
    path = mill.folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_what_it_uploads_and_parses_is_found(mill: Mill) -> None:
    kb = mill.api.create("in Go")
    files = [written(mill, "rye.txt", "Rye is sown in autumn."), written(mill, "磨.txt", "磨坊主每两周修磨一次磨石。")]
    with mill.go.running("work") as worker:
        worker.said("polling")
        uploaded = mill.go.run("upload", kb, *files)
        assert uploaded.returncode == 0, uploaded.stderr
        lines = uploaded.stdout.splitlines()
        assert re.fullmatch(r"task task_[0-9a-f]+", lines[0])
        assert "TASK_PHASE_COMPLETED 100 %" in lines
        assert "  磨.txt DOCUMENT_PHASE_COMPLETED" in lines
        assert worker.said("parsed rye.txt") == "parsed rye.txt, attempt 1"
        assert worker.said("parsed 磨.txt")
        worker.process.send_signal(signal.SIGTERM)
        assert worker.ended() == 0, worker.lines
    found = mill.api.search(kb, "rye autumn", mode="keyword")
    assert [one.filename for one in found] == ["rye.txt"]


def test_a_task_that_it_cancels_ends_the_watch(mill: Mill) -> None:
    kb = mill.api.create("cancelled in Go")
    with mill.go.running("upload", kb, written(mill, "waits.txt", "Nobody parses this.")) as uploading:
        task = uploading.said("task ").removeprefix("task ")
        uploading.said("  waits.txt")
        cancelled = mill.go.run("cancel", task, "uploaded by mistake")
        assert (cancelled.returncode, cancelled.stdout.startswith("What has ended stays")) == (0, True)
        assert uploading.said("TASK_PHASE_CANCELLED")
        assert uploading.ended() == 0
    assert "TASK_PHASE_CANCELLED" in mill.go.run("watch", task).stdout


def test_what_is_wrong_is_told_with_its_code(mill: Mill) -> None:
    refused = mill.go.run("upload", "kb_none", written(mill, "a.txt", "a"))
    assert refused.returncode == 1
    assert re.match(r"(unknown_knowledge_base|not_found): ", refused.stderr), refused.stderr
    empty = mill.go.run("upload", mill.api.create("empty in Go"), written(mill, "empty.txt", ""))
    assert (empty.returncode, empty.stderr.partition(":")[0]) == (1, "empty_file")
