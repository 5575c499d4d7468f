"""Accepting uploads: the API alone at 100 clients, 64 KiB and 1 MiB, on a directory and on S3, beside the bare ways.

    PYTHONPATH=src:. python bench/accept.py [--rounds 5] [--seconds 4] [--only "directory, 64 KiB"]

Every way is loaded once a round, in turn, so that a drifting machine drifts for all; figures are medians over the
rounds. Then the API is loaded at half of its own rate, by the clock: p50 and p99. Goals (`promises.py`, ADR 71): 0.75
of a floor that has the obligations of a 202 and nothing else; 0.6 of the bare server on a directory, and 1.3 times
the usual way (`form()`, then aioboto3) on S3; at half load p50 40 ms, p99 100 ms. Raw PUTs at the same concurrency
have no goal: the floor does not reach what was promised of them. CPU is that of the server's process alone, an
upload.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import boto3
import httpx
import msgspec

from bench.child import child
from bench.figures import Peer, note, reported
from bench.upload_load import Load, Times
from bench.upload_peers import PATH
from tests.servers.ports import free_port
from tests.servers.redis_process import RedisProcess, redis_binary
from tests.servers.s3_gateway import S3Server, start_s3_server, stop_s3_server

CLIENTS: Final = 100
SIZES: Final = {"64 KiB": 64 * 1024, "1 MiB": 1024 * 1024}
BENCH: Final = Path(__file__).parent

FLOOR: Final = "floor (digest, store, log)"

CLOCK_TICKS_HZ: Final = os.sysconf("SC_CLK_TCK")


class Way(msgspec.Struct, frozen=True):
    """`load` is that of so many requests with a seed; `pid` the process that answers, 0 where it is no matter."""

    load: Callable[[int, str], Load]
    pid: int = 0


class Round(msgspec.Struct, frozen=True):
    """What one way did in one round."""

    times: Times
    cpu_s: float

    @property
    def rate_hz(self) -> float:
        return len(self.times.seconds) / self.times.took_s

    @property
    def cpu_ms(self) -> float:
        """An upload."""
        return 1_000 * self.cpu_s / len(self.times.seconds)


class Effort(msgspec.Struct, frozen=True):
    """How often each way is loaded, for how long about, and of which cases (all whose title begins so)."""

    rounds: int = 5
    seconds: float = 4.0
    only: str = ""

    def wants(self, store: str) -> bool:
        return self.only.startswith(store) or store.startswith(self.only)


def main(effort: Effort) -> None:
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}, {CLIENTS} clients")
    for store, ways_of in (("directory", local_ways), ("S3", s3_ways)):
        if effort.wants(store):
            with ExitStack() as stack:
                folder = tempfile.TemporaryDirectory(prefix="ms-bench-", dir=os.environ.get("DIR"))
                ways = ways_of(stack, Path(stack.enter_context(folder)))
                for name, size_bytes in SIZES.items():
                    if f"{store}, {name}".startswith(effort.only):
                        compare(effort, f"{store}, {name}", {way: make(size_bytes) for way, make in ways.items()})


def compare(effort: Effort, title: str, ways: Mapping[str, Way]) -> None:
    """`ways` by name, ours among them."""
    counts = {name: fitting(way, effort) for name, way in ways.items()}
    rounds: dict[str, list[Round]] = {name: [] for name in ways}
    for number in range(effort.rounds):
        for name, way in ways.items():
            rounds[name].append(measured(way, way.load(counts[name], f"r{number}{time.time_ns()}")))
    ours = rounds["millstream"]
    rate_hz = statistics.median(one.rate_hz for one in ours)
    note(f"{title}: CPU of an upload", "ms", [one.cpu_ms for one in ours])
    note(f"{title}: CPU of an upload, {FLOOR}", "ms", [one.cpu_ms for one in rounds[FLOOR]])
    print(f"\n{title}")
    for name, done in rounds.items():
        ratio = statistics.median(a.rate_hz / b.rate_hz for a, b in zip(ours, done, strict=True))
        cpu = f"{statistics.median(one.cpu_ms for one in done):5.2f} ms CPU" if ways[name].pid else ""
        if name != "millstream":
            beside = Peer(name, [one.rate_hz for one in done])
            note(f"{title}, beside {name}", "/s", [one.rate_hz for one in ours], beside=beside)
        if name not in {"millstream", FLOOR}:
            note(f"{title}: the floor, beside {name}", "/s", [one.rate_hz for one in rounds[FLOOR]], beside=beside)
        told = percentiles(done) if name == "millstream" else f"ours is {ratio:.2f} of it"
        print(f"  {name:<22} {statistics.median(one.rate_hz for one in done):8.0f}/s   {cpu:<13} {told}", flush=True)
    way, half = ways["millstream"], rate_hz / 2
    calm = [
        measured(way, msgspec.structs.replace(way.load(asked, f"half{time.time_ns()}"), rate_hz=half))
        for asked in [max(200, int(half * effort.seconds))] * effort.rounds
    ]
    cpu = f"{statistics.median(one.cpu_ms for one in calm):5.2f} ms CPU"
    for name, rank in (("p50", 0.5), ("p99", 0.99)):
        note(f"{title}, at half that load: {name}", "ms", [1_000 * at_rank(one, rank) for one in calm])
    print(f"  {'at half that load':<22} {half:8.0f}/s   {cpu:<13} {percentiles(calm)}", flush=True)


def fitting(way: Way, effort: Effort) -> int:
    """How many requests take about as long as a measurement shall; warms up on the way."""
    return max(300, int(measured(way, way.load(300, f"warm{time.time_ns()}")).rate_hz * effort.seconds))


def percentiles(rounds: list[Round]) -> str:
    """Medians over the rounds."""
    p50, p99 = (statistics.median(at_rank(one, rank) for one in rounds) for rank in (0.5, 0.99))
    return f"p50 {p50 * 1000:6.1f} ms, p99 {p99 * 1000:6.1f} ms"


def at_rank(one: Round, rank: float) -> float:
    """Seconds that such a share of the requests took at most."""
    return one.times.seconds[int(len(one.times.seconds) * rank)]


def measured(way: Way, load: Load) -> Round:
    before_s = cpu_of(way.pid)
    return Round(run(load), cpu_of(way.pid) - before_s)


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used, 0 of none."""
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS_HZ


def run(load: Load) -> Times:
    command = [sys.executable, str(BENCH / "upload_load.py")]
    done = subprocess.run(command, input=msgspec.json.encode(load), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    times = msgspec.json.decode(done.stdout, type=Times)
    assert not times.refused, times.refused
    return times


def local_ways(stack: ExitStack, folder: Path) -> dict[str, Callable[[int], Way]]:
    for name in ("bare", "floor"):
        (folder / name).mkdir()
    return {
        "millstream": ours(stack, folder, {}),
        "bare disk + fsync": peer(stack, "disk", str(folder / "bare"), {}),
        FLOOR: peer(stack, "floor", str(folder / "floor"), {"REDIS_URL": own_redis(stack, folder / "floor-redis")}),
    }


def s3_ways(stack: ExitStack, folder: Path) -> dict[str, Callable[[int], Way]]:
    process, server = start_s3_server(folder)
    stack.callback(stop_s3_server, process)
    ours_on_s3 = {
        "MILLSTREAM_BLOBS_URL": f"s3://{server.bucket}/mill",
        "MILLSTREAM_S3_ENDPOINT_URL": server.endpoint_url,
        "MILLSTREAM_S3_ACCESS_KEY": server.access_key,
        "MILLSTREAM_S3_SECRET_KEY": server.secret_key,
    }
    usual = {
        "S3_ENDPOINT_URL": server.endpoint_url,
        "S3_ACCESS_KEY": server.access_key,
        "S3_SECRET_KEY": server.secret_key,
    }
    return {
        "millstream": ours(stack, folder, ours_on_s3),
        "raw PUT": putting(server),
        "form() + aioboto3": peer(stack, "form", server.bucket, usual),
        FLOOR: peer(stack, "floor-s3", server.bucket, {**usual, "REDIS_URL": own_redis(stack, folder / "floor-redis")}),
    }


def ours(stack: ExitStack, folder: Path, variables: Mapping[str, str]) -> Callable[[int], Way]:
    """The API alone: no worker takes the processor."""
    redis_url = own_redis(stack, folder / "redis")
    url, process = stack.enter_context(api(folder / "data", {"MILLSTREAM_REDIS_URL": redis_url, **variables}))
    created = httpx.post(f"{url}/api/v1/knowledge-bases", json={"name": "bench"}, trust_env=False)
    return posting(url, f"/api/v1/knowledge-bases/{created.json()['knowledge_base_id']}/documents", process.pid)


def own_redis(stack: ExitStack, folder: Path) -> str:
    folder.mkdir()
    redis = RedisProcess(redis_binary(), folder)
    redis.start()
    stack.callback(redis.stop)
    return redis.url


@contextmanager
def api(data_dir: Path, variables: Mapping[str, str]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Its address, and its process."""
    port = free_port()
    environment = {
        **os.environ,
        "MILLSTREAM_PORT": str(port),
        "MILLSTREAM_DATA_DIR": str(data_dir),
        "MILLSTREAM_LOG_LEVEL": "warning",
        "MILLSTREAM_EMBEDDING": "hash",
        "MILLSTREAM_UPLOAD_BYTES_MAX": str(16 * 1024**3),
        "MILLSTREAM_REQUEST_BYTES_MAX": str(16 * 1024**3),
        "MILLSTREAM_WRITES_PER_MINUTE_MAX": "0",
        **variables,
    }
    with child([sys.executable, "-m", "millstream", "api"], environment, f"http://127.0.0.1:{port}/healthz") as process:
        yield f"http://127.0.0.1:{port}", process


def peer(stack: ExitStack, kind: str, where: str, variables: Mapping[str, str]) -> Callable[[int], Way]:
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, str(BENCH / "upload_peers.py"), kind, where, str(port)]
    return posting(url, PATH, stack.enter_context(child(command, {**os.environ, **variables}, url)).pid)


def posting(url: str, path: str, pid: int) -> Callable[[int], Way]:
    def of_size(size_bytes: int) -> Way:
        def load(requests: int, seed: str) -> Load:
            return Load(url=url, requests=requests, clients=CLIENTS, body_bytes=size_bytes, seed=seed, targets=(path,))

        return Way(load, pid)

    return of_size


def putting(server: S3Server) -> Callable[[int], Way]:
    """Addresses are signed before the clock runs: the server's own share alone."""
    s3: Any = boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    )

    def target(name: str) -> str:
        signed: str = s3.generate_presigned_url("put_object", {"Bucket": server.bucket, "Key": name}, ExpiresIn=3_600)
        return signed.removeprefix(server.endpoint_url)

    def of_size(size_bytes: int) -> Way:
        def load(requests: int, seed: str) -> Load:
            return Load(
                url=server.endpoint_url,
                requests=requests,
                clients=CLIENTS,
                body_bytes=size_bytes,
                seed=seed,
                targets=tuple(target(f"raw/{seed}/{number}") for number in range(requests)),
                expect=200,
            )

        return Way(load)

    return of_size


def effort_asked() -> Effort:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="a measurement takes about so long")
    parser.add_argument("--only", default="", help="cases whose title begins so, as in: directory, 64 KiB")
    chosen = parser.parse_args()
    return Effort(chosen.rounds, chosen.seconds, chosen.only)


if __name__ == "__main__":
    with reported():
        main(effort_asked())
