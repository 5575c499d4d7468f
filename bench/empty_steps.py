"""Empty steps: drain rate of two worker processes and time from enqueue to start, beside seven queues on Redis.

    PYTHONPATH=src:. python bench/empty_steps.py [--only taskiq] [--rounds 5] [--fsync always everysec]

Every queue gets a Redis of its own with the same durability, and two worker processes. To drain: the workers are
stopped (SIGSTOP) while jobs are enqueued, and the clock runs from the moment at which they go on until the last job has
marked its begin. Latency: jobs come some milliseconds apart to idle workers; from the call that enqueues to the mark.
Peers acknowledge as their defaults say (arq, dramatiq, SAQ, streaq and taskiq when a job is done, Celery and RQ when it
is taken) and keep no results, while ours appends the begin and the result of each. Goals: ahead of all, of theirs at
`everysec` too; p50 2 ms, p99 6 ms. Beside the latency stand a floor, the same two durable calls in the fewest lines
(`start_floor.py`), and what the syncs cost at least: as many bare writes, one after the other, that come as far apart.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec
from redis import Redis

from bench.figures import Peer, note, reported
from bench.peers.environment import FOLDER
from bench.peers.environment import PYTHON as PEER_PYTHON
from bench.peers.marks import VARIABLE, count_marks, read_marks
from bench.peers.queues import QUEUES, PeerQueue
from tests.servers.ports import free_port
from tests.servers.redis_process import RedisProcess, redis_binary

ROOT: Final = Path(__file__).resolve().parents[1]
OURS: Final = PeerQueue(name="millstream", module="bench.own_queue", command=("-m", "bench.own_queue"), times=2)
FLOOR: Final = PeerQueue(name="floor", module="bench.start_floor", command=("-m", "bench.start_floor"), times=2)
WARM_JOBS: Final = 200
PACED_JOBS: Final = 200
PACE_SECONDS: Final = 0.01
SECONDS_MAX: Final = 60.0
POLL_SECONDS: Final = 0.002
SYNCS: Final = 2
"""Between the call that enqueues and the begin of a step: the upload with its delivery, and the begin."""


class Measured(msgspec.Struct, frozen=True):
    """Of one queue: jobs a second of each round; milliseconds from enqueue to start, and of bare syncs, sorted."""

    rates: list[float]
    latencies_ms: list[float]
    syncs_ms: list[float]

    def at(self, rank: float) -> float:
        return self.latencies_ms[int(len(self.latencies_ms) * rank)]


class Running:
    """A queue at work: its worker processes, and the process that enqueues."""

    def __init__(
        self, workers: Sequence[subprocess.Popen[bytes]], sending: subprocess.Popen[str], marks: Path, url: str
    ) -> None:
        self._url = url
        self._workers = workers
        self._sending = sending
        self._marks = marks
        self._sent = 0

    def send(self, count: int, seconds: float = 0.0) -> list[float]:
        """The times at which the jobs were begun to be sent, `seconds` apart, when all are enqueued."""
        assert self._sending.stdin is not None
        self._sending.stdin.write(f"{self._sent} {count} {seconds}\n")
        self._sending.stdin.flush()
        self._sent += count
        return msgspec.json.decode(_line(self._sending), type=list[float])

    def until_started(self) -> None:
        """Returns when every job that was sent has marked its begin."""
        deadline = time.monotonic() + SECONDS_MAX
        while count_marks(self._marks) < self._sent:
            assert all(one.poll() is None for one in self._workers), "a worker ended"
            assert time.monotonic() < deadline, f"{count_marks(self._marks)} of {self._sent} jobs began"
            time.sleep(POLL_SECONDS)

    def drain(self, count: int) -> float:
        """Jobs a second."""
        self._signal(signal.SIGSTOP)
        self.send(count)
        before = count_marks(self._marks)
        begun = time.perf_counter()
        self._signal(signal.SIGCONT)
        self.until_started()
        times = [at for _, at in read_marks(self._marks, skip=before)]
        return len(times) / (max(times) - begun)

    def latencies_ms(self, count: int, seconds: float) -> list[float]:
        first, before = self._sent, count_marks(self._marks)
        sent = self.send(count, seconds)
        self.until_started()
        # A queue may run one of an earlier round again, whose worker had been stopped: that is none of these.
        begun = ((number, at) for number, at in read_marks(self._marks, skip=before) if number >= first)
        return sorted((at - sent[number - first]) * 1_000 for number, at in begun)

    def syncs_ms(self, count: int, seconds: float) -> list[float]:
        """How long SYNCS bare writes in a row take a client that does nothing else, while the workers wait; sorted."""
        found: list[float] = []
        with Redis.from_url(self._url) as client:
            for _ in range(count):
                time.sleep(seconds)
                begun = time.perf_counter()
                for _ in range(SYNCS):
                    client.xadd("bench:syncs", {"e": b"e" * 200})
                found.append((time.perf_counter() - begun) * 1_000)
        return sorted(found)

    def _signal(self, number: int) -> None:
        for worker in self._workers:
            os.killpg(worker.pid, number)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the process that enqueues ended"
    return line


@contextmanager
def running(queue: PeerQueue, fsync: str) -> Iterator[Running]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ms-bench-")))
        port = free_port()
        server = RedisProcess(redis_binary(), folder, "--port", str(port), "--appendfsync", fsync)
        server.start()
        stack.callback(server.stop)
        url, marks = f"redis://127.0.0.1:{port}", folder / "marks"
        environment = {**os.environ, "BENCH_REDIS_URL": url, "RQ_REDIS_URL": url, VARIABLE: str(marks)}
        is_ours = queue in (OURS, FLOOR)
        environment["PYTHONPATH"] = f"{ROOT / 'src'}:{ROOT}" if is_ours else str(ROOT)
        python = sys.executable if is_ours else str(PEER_PYTHON)
        sending = subprocess.Popen(
            [python, "-m", "bench.peers.sending", queue.module],
            cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        stack.callback(end, sending)
        assert _line(sending) == "ready\n"
        program = sys.executable if is_ours else str(FOLDER / "bin" / queue.command[0])
        command = [program, *(queue.command if is_ours else queue.command[1:])]
        log = stack.enter_context((folder / "workers.log").open("w+"))
        workers = [worker(stack, command, environment, log.fileno()) for _ in range(queue.times)]
        found = Running(workers, sending, marks, url)
        try:
            found.send(WARM_JOBS)
            found.until_started()
            yield found
        except AssertionError as error:
            log.seek(0)
            raise AssertionError(f"{queue.name}: {error}\n{log.read()[-2_000:]}") from error


def worker(
    stack: ExitStack, command: Sequence[str], environment: Mapping[str, str], log: int
) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )
    stack.callback(kill_group, process)
    return process


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """What it holds is not wanted any more; the processes that it started are in its group."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def measure(queue: PeerQueue, fsync: str, rounds: int) -> Measured:
    with running(queue, fsync) as found:
        rates = [found.drain(queue.jobs) for _ in range(rounds)]
        latencies_ms = found.latencies_ms(PACED_JOBS, PACE_SECONDS)
        return Measured(rates, latencies_ms, found.syncs_ms(PACED_JOBS, PACE_SECONDS))


def main(names: Sequence[str], fsyncs: Sequence[str], rounds: int) -> None:
    """Ours always syncs; peers are held against it with either."""
    ours = measure(OURS, "always", rounds)
    tell(OURS.name, "always", ours)
    note("enqueue to start: p50", "ms", ours.at(0.5))
    note("enqueue to start: p99", "ms", ours.at(0.99))
    note(f"{SYNCS} bare syncs in a row: p50", "ms", statistics.median(ours.syncs_ms))
    floor = measure(FLOOR, "always", rounds=1)
    tell(FLOOR.name, "always", floor)
    for name, rank in (("p50", 0.5), ("p99", 0.99)):
        started = Peer("floor (two durable calls)", [floor.at(rank)])
        note(f"enqueue to start, {name}, beside the floor", "ms", ours.at(rank), beside=started)
    peers = [(queue, fsync) for fsync in fsyncs for queue in QUEUES if queue.name in names]
    for queue, fsync in peers:
        peer = measure(queue, fsync, rounds)
        tell(queue.name, fsync, peer)
        beside = Peer(queue.name if fsync == "always" else f"{queue.name}, {fsync}", peer.rates)
        note(f"drained beside {beside.name}", "steps/s", ours.rates, beside=beside)
        if fsync == "always":
            for name, rank in (("p50", 0.5), ("p99", 0.99)):
                started = Peer(queue.name, [peer.at(rank)])
                note(f"enqueue to start, {name}, beside {queue.name}", "ms", ours.at(rank), beside=started)


def tell(name: str, fsync: str, one: Measured) -> None:
    print(
        f"{name:<12} {fsync:<9} {statistics.median(one.rates):8,.0f} steps/s ({min(one.rates):,.0f} to "
        f"{max(one.rates):,.0f})   enqueue to start p50 {one.at(0.5):6.2f} ms, p99 {one.at(0.99):6.2f} ms, "
        f"{SYNCS} bare syncs {statistics.median(one.syncs_ms):.2f} ms",
        flush=True,
    )


if __name__ == "__main__":
    with reported():
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        all_names = [queue.name for queue in QUEUES]
        parser.add_argument("--only", nargs="*", choices=all_names, default=all_names)
        parser.add_argument("--rounds", type=int, default=5)
        parser.add_argument("--fsync", nargs="+", choices=["always", "everysec"], default=["always", "everysec"])
        chosen = parser.parse_args()
        main(chosen.only, chosen.fsync, chosen.rounds)
