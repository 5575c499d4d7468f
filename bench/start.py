"""How long starting takes: the command line's help, imports, a worker until its first claim, a whole service.

    PYTHONPATH=src:. python bench/start.py [rounds]

Each round starts a process of its own on empty directories. CPU is that of the process and its children, so it holds on
a busy machine. Goals: help within 0.3 s, a whole service ready within 5 s.
"""

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from bench.figures import note, reported
from events.redis_clients import make_clients
from events.redis_log import RedisLog
from events.redis_setup import open_installation
from tests.servers.redis_process import RedisProcess, redis_binary
from tests.servers.service_process import ServiceProcess
from tests.workshop import Workshop

ROUNDS: Final = 5
FIRST_CLAIM_S_MAX: Final = 120.0
POLL_S: Final = 0.01
_IMPORT: Final = "import time; begun = time.perf_counter(); import {}; print(time.perf_counter() - begun)"


def help_shown() -> float:
    begun_s = time.perf_counter()
    subprocess.run([sys.executable, "-m", "millstream", "--help"], check=True, capture_output=True)
    return time.perf_counter() - begun_s


def imported(module: str) -> float:
    """Seconds within a Python that runs already."""
    done = subprocess.run([sys.executable, "-c", _IMPORT.format(module)], check=True, capture_output=True)
    return float(done.stdout)


def first_claim() -> float:
    """From the start of a worker's process until StepStarted of a waiting document is in the log."""
    with tempfile.TemporaryDirectory(prefix="ms-bench-") as directory:
        server = RedisProcess(redis_binary(), Path(directory))
        server.start()
        try:
            return asyncio.run(_first_claim(server.url, directory))
        finally:
            server.stop()


async def _first_claim(url: str, directory: str) -> float:
    async with make_clients(url) as clients:
        keys = await open_installation(clients.commands, partitions=None)
        log = RedisLog(clients.commands, clients.blocking, keys)
        workshop = Workshop(log)
        _, (document,) = await workshop.submit(await workshop.create())
        environment = {**os.environ, "MILLSTREAM_REDIS_URL": url, "MILLSTREAM_DATA_DIR": directory}
        begun_s = time.perf_counter()
        worker = subprocess.Popen(  # noqa: ASYNC220  nothing else runs here
            [sys.executable, "-m", "millstream", "worker"], env=environment, stderr=subprocess.DEVNULL
        )
        try:
            while (await log.versions([document]))[0] < 2:
                assert worker.poll() is None, "the worker ended"
                assert time.perf_counter() - begun_s < FIRST_CLAIM_S_MAX, "the worker claims nothing"
                await asyncio.sleep(POLL_S)
            return time.perf_counter() - begun_s
        finally:
            worker.terminate()
            worker.wait()


def ready() -> float:
    """`millstream up` with its defaults on an empty directory, until it says that it is ready."""
    with tempfile.TemporaryDirectory(prefix="ms-bench-") as directory:
        service = ServiceProcess(Path(directory) / "data")
        begun_s = time.perf_counter()
        try:
            service.start()
            took_s = time.perf_counter() - begun_s
            service.stop()
            return took_s
        finally:
            service.end()


def measure(name: str, rounds: int, once: Callable[[], float]) -> None:
    once()  # compiles what was not compiled yet
    taken, cpu = list[float](), list[float]()
    for _ in range(rounds):
        before_s = children_cpu_s()
        taken.append(once())
        cpu.append(children_cpu_s() - before_s)
    figure = note(name, "s", taken)
    note(f"{name}: CPU, its stop included", "s", cpu)
    print(f"{name:<34} {figure.value:6.2f} s ({figure.low:.2f} to {figure.high:.2f})", flush=True)


def children_cpu_s() -> float:
    """Of children that have ended, with theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(rounds: int) -> None:
    measure("millstream --help", rounds, help_shown)
    for module in ("millstream.cli", "millstream.client", "millstream.bootstrap"):
        measure(f"import {module}", rounds, partial(imported, module))
    measure("worker, to its first claim", rounds, first_claim)
    measure("millstream up, to ready", rounds, ready)


if __name__ == "__main__":
    with reported():
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
