"""Accepting uploads: the API alone at 100 clients, 64 KiB and 1 MiB, on a directory and on S3, beside the bare ways.

    PYTHONPATH=src:. python bench/accept.py [rounds] [seconds a measurement, about]

Every way is loaded once a round, in turn, so that a drifting machine drifts for all; figures are medians over the
rounds. Then the API is loaded at half of its own rate, by the clock: p50 and p99. Goals: 0.6 of the bare server on a
directory; on S3 0.75 (64 KiB) and 0.65 (1 MiB) of raw PUTs at the same concurrency, and 1.3 times the usual way
(`form()`, then aioboto3); at half load p50 40 ms, p99 100 ms.
"""

import os
import platform
import socket
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

from bench.upload_load import Load, Times
from bench.upload_peers import PATH
from tests.servers.redis_process import RedisProcess, redis_binary
from tests.servers.s3_gateway import S3Server, start_s3_server, stop_s3_server

CLIENTS: Final = 100
SIZES: Final = {"64 KiB": 64 * 1024, "1 MiB": 1024 * 1024}
BENCH: Final = Path(__file__).parent

Way = Callable[[int, str], Load]
"""The load of so many requests with a seed."""


class Effort(msgspec.Struct, frozen=True):
    """How often each way is loaded, and for how long about."""

    rounds: int = 5
    seconds: float = 4.0


def main(effort: Effort) -> None:
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}, {CLIENTS} clients")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ms-bench-", dir=os.environ.get("DIR"))))
        local = local_ways(stack, folder)
        for name, size_bytes in SIZES.items():
            compare(effort, f"directory, {name}", {way: make(size_bytes) for way, make in local.items()})
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ms-bench-", dir=os.environ.get("DIR"))))
        s3 = s3_ways(stack, folder)
        for name, size_bytes in SIZES.items():
            compare(effort, f"S3, {name}", {way: make(size_bytes) for way, make in s3.items()})


def compare(effort: Effort, title: str, ways: Mapping[str, Way]) -> None:
    """`ways` by name, ours first."""
    counts = {name: fitting(way, effort) for name, way in ways.items()}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    times: list[Times] = []
    for round_number in range(effort.rounds):
        for name, way in ways.items():
            measured = run(way(counts[name], f"r{round_number}{time.time_ns()}"))
            rates[name].append(len(measured.seconds) / measured.took_s)
            if name == "millstream":
                times.append(measured)
    ours = statistics.median(rates["millstream"])
    print(f"\n{title}")
    print(f"  {'millstream':<22} {ours:8.0f}/s   {percentiles(times)}")
    for name in ways:
        if name != "millstream":
            ratios = [a / b for a, b in zip(rates["millstream"], rates[name], strict=True)]
            print(
                f"  {name:<22} {statistics.median(rates[name]):8.0f}/s   ours is {statistics.median(ratios):.2f} of it"
            )
    way, half = ways["millstream"], ours / 2
    calm = [
        run(msgspec.structs.replace(way(max(200, int(half * effort.seconds)), f"half{time.time_ns()}"), rate_hz=half))
        for _ in range(effort.rounds)
    ]
    print(f"  {'at half that load':<22} {half:8.0f}/s   {percentiles(calm)}")


def fitting(way: Way, effort: Effort) -> int:
    """How many requests take about as long as a measurement shall; warms up on the way."""
    probe = run(way(300, f"warm{time.time_ns()}"))
    return max(300, int(len(probe.seconds) / probe.took_s * effort.seconds))


def percentiles(times: list[Times]) -> str:
    """Medians over the rounds."""
    p50 = statistics.median(statistics.median(one.seconds) for one in times)
    p99 = statistics.median(one.seconds[int(len(one.seconds) * 0.99)] for one in times)
    return f"p50 {p50 * 1000:6.1f} ms, p99 {p99 * 1000:6.1f} ms"


def run(load: Load) -> Times:
    command = [sys.executable, str(BENCH / "upload_load.py")]
    done = subprocess.run(command, input=msgspec.json.encode(load), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    times = msgspec.json.decode(done.stdout, type=Times)
    assert not times.refused, times.refused
    return times


def local_ways(stack: ExitStack, folder: Path) -> dict[str, Callable[[int], Way]]:
    (bare := folder / "bare").mkdir()
    return {
        "millstream": ours(stack, folder, {}),
        "bare disk + fsync": posting(stack.enter_context(peer("disk", str(bare), {})), PATH),
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
        "form() + aioboto3": posting(stack.enter_context(peer("form", server.bucket, usual)), PATH),
    }


def ours(stack: ExitStack, folder: Path, variables: Mapping[str, str]) -> Callable[[int], Way]:
    """The API alone: no worker takes the processor."""
    (redis_folder := folder / "redis").mkdir()
    redis = RedisProcess(redis_binary(), redis_folder)
    redis.start()
    stack.callback(redis.stop)
    url, _ = stack.enter_context(api(folder / "data", {"MILLSTREAM_REDIS_URL": redis.url, **variables}))
    created = httpx.post(f"{url}/api/v1/knowledge-bases", json={"name": "bench"}, trust_env=False)
    return posting(url, f"/api/v1/knowledge-bases/{created.json()['knowledge_base_id']}/documents")


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
        **variables,
    }
    with child([sys.executable, "-m", "millstream", "api"], environment, f"http://127.0.0.1:{port}/healthz") as process:
        yield f"http://127.0.0.1:{port}", process


@contextmanager
def peer(kind: str, where: str, variables: Mapping[str, str]) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, str(BENCH / "upload_peers.py"), kind, where, str(port)]
    with child(command, {**os.environ, **variables}, f"http://127.0.0.1:{port}/"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def child(command: list[str], environment: Mapping[str, str], probe_url: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
    try:
        until_answers(process, probe_url)
        yield process
    finally:
        process.terminate()
        process.wait(20)


def until_answers(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended at its start"
        try:
            httpx.get(url, trust_env=False, timeout=1)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the server does not answer")


def posting(url: str, path: str) -> Callable[[int], Way]:
    def of_size(size_bytes: int) -> Way:
        return lambda requests, seed: Load(
            url=url, requests=requests, clients=CLIENTS, body_bytes=size_bytes, seed=seed, targets=(path,)
        )

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
        return lambda requests, seed: Load(
            url=server.endpoint_url,
            requests=requests,
            clients=CLIENTS,
            body_bytes=size_bytes,
            seed=seed,
            targets=tuple(target(f"raw/{seed}/{number}") for number in range(requests)),
            expect=200,
        )

    return of_size


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main(Effort(*(convert(given) for convert, given in zip((int, float), sys.argv[1:], strict=False))))
