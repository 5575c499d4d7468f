"""The client of examples/go-client, built with the packages of Debian, and what it says."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.waiting import poll

ROOT: Final = Path(__file__).parents[2]
EXAMPLE: Final = ROOT / "examples" / "go-client"
MODULE: Final = "example.org/millstream"
PACKAGES: Final = Path("/usr/share/gocode")
"""Where Debian keeps sources of Go: golang-google-grpc-dev and what it needs."""

TOOLS: Final = ("go", "protoc", "protoc-gen-go", "protoc-gen-go-grpc")
SOURCES: Final = (
    "google.golang.org/grpc",
    "google.golang.org/genproto/googleapis/rpc/errdetails",
    "github.com/golang/protobuf/proto/registry.go",
)
"""The last is of 1.4 and later: the code that protoc-gen-go writes does not go with an older one."""

DEBIAN: Final = (
    "golang-go golang-google-grpc-dev golang-google-genproto-dev golang-github-golang-protobuf-1-5-dev "
    "protobuf-compiler protoc-gen-go-1-5 protoc-gen-go-grpc"
)
BUILD_S_MAX: Final = 600
SAYS_S_MAX: Final = 60
ENDS_S_MAX: Final = 20


def built(folder: Path) -> Path:
    """The program, made in `folder`. Skips where what it is made with is not installed, in CI too: Go is for this test
    alone."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    missing += [one for one in SOURCES if not (PACKAGES / "src" / one).exists()]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed, which CI need not have: apt-get install {DEBIAN}")
    source = folder / "src" / MODULE
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    for file in EXAMPLE.glob("*.go"):
        shutil.copy(file, source)
    kinds = ("go", "go-grpc")
    options = [f"--{kind}_opt={option}" for kind in kinds for option in (f"module={MODULE}", _named())]
    outputs = [f"--{kind}_out={source}" for kind in kinds]
    _run(["protoc", f"-I{ROOT / 'proto'}", *outputs, *options, "millstream/v1/tasks.proto"], folder)
    program = folder / "go-client"
    _run(["go", "vet", MODULE], folder)
    _run(["go", "build", "-o", str(program), MODULE], folder)
    return program


def _named() -> str:
    return f"Mmillstream/v1/tasks.proto={MODULE}/v1"


def _run(command: list[str], folder: Path) -> None:
    made = {"GO111MODULE": "off", "GOPATH": f"{folder}:{PACKAGES}", "GOCACHE": str(folder / "cache"), "GOFLAGS": ""}
    done = subprocess.run(
        command,
        env={**os.environ, **made},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=BUILD_S_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr


class GoClient:
    """The program at one service."""

    def __init__(self, program: Path, address: str, folder: Path) -> None:
        self._program = program
        self._environment = {**os.environ, "MILLSTREAM_GRPC": address}
        self._folder = folder

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """To its end."""
        return subprocess.run(
            [self._program, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=SAYS_S_MAX,
            check=False,
        )

    @contextmanager
    def running(self, *arguments: str) -> Iterator["Running"]:
        """Beside the body; killed at its end."""
        output = self._folder / f"{arguments[0]}.out"
        with output.open("wb") as out:
            process = subprocess.Popen(
                [self._program, *arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            yield Running(process, output)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            print(output.read_text(encoding="utf-8"), file=sys.stderr)


class Running:
    """One process of it."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process = process
        self._output = output

    @property
    def lines(self) -> list[str]:
        return self._output.read_text(encoding="utf-8").splitlines()

    def said(self, beginning: str) -> str:
        """The first line that begins so, as soon as there is one."""
        poll(lambda: any(line.startswith(beginning) for line in self.lines), f"it says {beginning}", SAYS_S_MAX)
        return next(line for line in self.lines if line.startswith(beginning))

    def ended(self) -> int:
        """Its exit code."""
        return self.process.wait(ENDS_S_MAX)
