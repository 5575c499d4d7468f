"""The worker of examples/node-worker as a process, and what it says."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.waiting import poll

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "node-worker"
SAYS_S_MAX = 30
ENDS_S_MAX = 20


class NodeWorker:
    """One process; `lines` are the events that it has logged so far."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self._process = process
        self._output = output

    @property
    def lines(self) -> list[dict[str, Any]]:
        written = self._output.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in written if line.startswith("{") and line.endswith("}")]

    def said(self, event: str) -> dict[str, Any]:
        """The first line of this event, as soon as there is one."""
        poll(lambda: any(line["event"] == event for line in self.lines), f"the worker says {event}", SAYS_S_MAX)
        return next(line for line in self.lines if line["event"] == event)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self) -> int:
        """Its exit code."""
        return self._process.wait(ENDS_S_MAX)


@contextmanager
def node_worker(folder: Path, output: Path, variables: Mapping[str, str]) -> Iterator[NodeWorker]:
    """From `folder`, where it is installed; killed at its end. What it said is shown beside a test that
    failed."""
    with output.open("wb") as out:
        process = subprocess.Popen(
            ["node", "worker.mjs"],
            cwd=folder,
            env={**os.environ, "PROTOS": str(ROOT / "proto"), **variables},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield NodeWorker(process, output)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        print(output.read_text(encoding="utf-8"), file=sys.stderr)
