"""One run of a benchmark in a process group of its own, with a time bound: its figures, the machine, the versions."""

import datetime as dt
import importlib.metadata
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from bench.figures import OPTION, Figure
from bench.pace import pace_ns
from bench.peers.environment import PYTHON, peer_versions
from bench.promises import Promise
from bench.results import Machine, Run
from tests.servers.redis_process import redis_binary

ROOT: Final = Path(__file__).resolve().parents[1]
TAIL_LINES: Final = 15
STOP_SECONDS_MAX: Final = 20.0
"""So long a command that ran out of time has to end its servers, before it is killed with them."""

LIBRARIES: Final = (
    *("aiobotocore", "aiohttp", "hiredis", "httptools", "lancedb", "llama-index-core", "msgspec", "redis"),
    *("starlette", "uvicorn", "uvloop"),
)


class Failed(Exception):
    """A benchmark gave no figures; the message says why."""


def run(promise: Promise) -> Run:
    """Raises Failed where it ends with an error, takes too long, or gives no figure for one of its goals."""
    if promise.peers and not PYTHON.exists():
        raise Failed("the environment of the peers is not there: call it by `make bench`")
    load, pace_before_ns, began_s = os.getloadavg()[0], pace_ns(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ms-bench-") as folder:
        path = Path(folder) / "figures.json"
        command = [sys.executable, "-m", f"bench.{promise.module}", *promise.arguments, OPTION, str(path)]
        _carry_out(command, promise.seconds_max)
        if not path.exists():
            raise Failed("it wrote no figures")
        figures = msgspec.json.decode(path.read_bytes(), type=list[Figure])
    missing = promise.goals.keys() - {figure.name for figure in figures}
    if missing:
        raise Failed(f"no figure for {', '.join(sorted(missing))}")
    took_s = time.monotonic() - began_s
    return Run(
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        commit=commit(),
        load=round(load, 2),
        took_seconds=round(took_s, 1),
        machine=machine(),
        versions={**versions(), **(peer_versions() if promise.peers else {})},
        figures=[msgspec.structs.replace(one, goal=promise.goals.get(one.name)) for one in figures],
        pace_ns=round(max(pace_before_ns, pace_ns()), 1),
    )


def _carry_out(command: list[str], seconds_max: int) -> None:
    """What it prints goes on to the terminal, and into the message where it fails."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(seconds_max)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(process)
        output.seek(0)
        said = output.read().splitlines()
    for line in said if code == 0 else said[-TAIL_LINES:]:
        print(f"    {line}", flush=True)
    if code is None:
        raise Failed(f"not done after {seconds_max} s")
    if code != 0:
        raise Failed(f"ended with {code}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of the group is left: asked first, then killed."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS_MAX)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def commit() -> str:
    """Short, with `+` where the code differs from it; results and the page that is written from them do not count."""
    of_code = ["--", "src", "bench", "requirements", ":!bench/results"]
    head = _git("rev-parse", "--short", "HEAD")
    return f"{head}+" if _git("status", "--porcelain", *of_code) else head


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def machine() -> Machine:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1024**3
    system = f"{platform.system()} {platform.release().split('-')[0]}"
    return Machine(platform.machine(), os.cpu_count() or 0, round(memory, 1), system)


def versions() -> dict[str, str]:
    """Of Python, Redis and the libraries that a figure depends on."""
    redis = subprocess.run([redis_binary(), "--version"], capture_output=True, text=True, check=True).stdout
    return {
        "python": platform.python_version(),
        "redis-server": redis.partition("v=")[2].partition(" ")[0],
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }
