"""One to four workers on hosts of their own, and what a document asks of Redis and S3: what scales, what is shared.

    PYTHONPATH=src:. python bench/scaling.py [--documents 80] [--rounds 2] [--embeddings hash local] [--workers 4]

API, projector and each worker run in a network namespace of their own against one Redis (`appendfsync always`) and one
S3 server in another (`tests.servers.machines`; Linux and root). The clock runs from the first upload (ten texts of 3 kB
a request, into four knowledge bases) until every document can be searched. More workers than cores share the cores: the
ratio to one worker does not say what more machines bring; tables grow from row to row too. Counts of Redis are
its own INFO; those of S3 are taken by a proxy before it in a run of their own, since a proxy costs time.
docs/scaling.md carries them on.
"""

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

from redis import Redis

from bench.figures import Peer, note, reported
from bench.pipeline_loop import name_of, text_of
from domain.status import TaskPhase
from tests.e2e.api import Api
from tests.faults.mill import API, PROJECTOR, Mill, Role
from tests.servers.machines import Machine, Machines
from tests.servers.s3_gateway import start_s3_server, stop_s3_server
from tests.servers.s3_proxy import ProxyThread

FILES_A_REQUEST: Final = 10
KNOWLEDGE_BASES: Final = 4
IN_FLIGHT: Final = 8
WARM: Final = 10
WAIT_S: Final = 10
IDLE_S: Final = 5.0
SETTINGS: Final = {
    "MILLSTREAM_LEASE_S": "15",
    "MILLSTREAM_RETRY_BASE_MS": "1000",
    "MILLSTREAM_PARTITIONS": "8",
    "MILLSTREAM_WRITES_PER_MINUTE_MAX": "0",
    "MILLSTREAM_READS_PER_MINUTE_MAX": "0",
}
"""The defaults, which the mill of the tests changes, and no limit of rates."""


class Load:
    """Documents through an API, never the same twice."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._next = 0
        self._bases = [api.create(f"scaling {number}") for number in range(KNOWLEDGE_BASES)]

    def documents_a_second(self, count: int) -> float:
        numbers = range(self._next, self._next + count)
        self._next += count
        parts = [numbers[start : start + FILES_A_REQUEST] for start in range(0, count, FILES_A_REQUEST)]
        begun_s = time.perf_counter()
        with ThreadPoolExecutor(IN_FLIGHT) as threads:
            list(threads.map(self._through, range(len(parts)), parts))
        return count / (time.perf_counter() - begun_s)

    def _through(self, place: int, numbers: Sequence[int]) -> None:
        files = [(name_of(number), text_of(number).encode()) for number in numbers]
        task = self._api.upload(self._bases[place % KNOWLEDGE_BASES], files)
        while self._api.http.get(f"/tasks/{task}", params={"wait": WAIT_S}).json()["finished_at"] is None:
            pass
        ended = self._api.task(task)
        assert ended.status is TaskPhase.COMPLETED, ended


class Asked(NamedTuple):
    """What a Redis has done since it started."""

    commands: int
    bytes_in: int
    bytes_out: int
    processor_s: float
    events: int

    def since(self, earlier: "Asked") -> "Asked":
        return Asked(
            self.commands - earlier.commands,
            self.bytes_in - earlier.bytes_in,
            self.bytes_out - earlier.bytes_out,
            self.processor_s - earlier.processor_s,
            self.events - earlier.events,
        )


def asked_of(redis: Redis) -> Asked:
    info: dict[str, Any] = redis.info("all")
    return Asked(
        commands=info["total_commands_processed"],
        bytes_in=info["total_net_input_bytes"],
        bytes_out=info["total_net_output_bytes"],
        processor_s=info["used_cpu_user"] + info["used_cpu_sys"],
        events=sum(redis.xinfo_stream(key)["entries-added"] for key in redis.scan_iter("ms:*:log")),
    )


def scale(embedding: str, documents: int, rounds: int, workers_max: int) -> None:
    """One worker, then one more after the other, on one installation."""
    with ExitStack() as stack:
        machines = stack.enter_context(Machines({**SETTINGS, "MILLSTREAM_EMBEDDING": embedding}))
        api = machines.start(Role.API, API)
        ready: list[Machine] = [api, machines.start(Role.PROJECTOR, PROJECTOR)]
        for machine in ready:
            machine.wait_ready()
        load = Load(stack.enter_context(Api(api.mill.url, machines.key)))
        redis = stack.enter_context(Redis(unix_socket_path=machines.redis.url.removeprefix("unix://")))
        idle = tell_idle("no worker", redis)
        alone: list[float] = []
        for workers in range(1, workers_max + 1):
            machines.start(Role.WORKER, f"worker-{workers}").wait_ready()
            load.documents_a_second(WARM)
            before = asked_of(redis)
            rates = [load.documents_a_second(documents) for _ in range(rounds)]
            tell_redis(f"{embedding}, {workers} workers", asked_of(redis).since(before), documents * rounds)
            alone = alone or rates
            figure = note(f"{embedding}: {workers} workers", "documents/s", rates, beside=Peer("one worker", alone))
            print(
                f"{embedding}, {workers} workers: {figure.value:.1f} documents/s, {figure.ratio:.2f} of one", flush=True
            )

        tell_idle(f"{workers_max} workers", redis, beside=idle)


def tell_idle(title: str, redis: Redis, beside: float | None = None) -> float:
    """Commands a second that processes with nothing to do ask; `beside` are those of fewer processes."""
    before, begun_s = asked_of(redis), time.perf_counter()
    time.sleep(IDLE_S)
    asked, took_s = asked_of(redis).since(before), time.perf_counter() - begun_s
    commands = asked.commands / took_s
    peer = None if beside is None else Peer("no worker", [beside])
    note(f"idle, {title}: commands of Redis", "/s", commands, beside=peer)
    note(f"idle, {title}: processor time of Redis", "ms/s", asked.processor_s / took_s * 1e3)
    print(f"idle, {title}: {commands:.0f} commands/s, {asked.processor_s / took_s * 1e3:.1f} ms/s of Redis", flush=True)
    return commands


def tell_redis(title: str, asked: Asked, documents: int) -> None:
    """A document's share; what idle processes ask meanwhile is within."""
    for name, unit, value in (
        ("commands of Redis", "a document", float(asked.commands)),
        ("events", "a document", float(asked.events)),
        ("bytes to Redis", "bytes a document", float(asked.bytes_in)),
        ("bytes from Redis", "bytes a document", float(asked.bytes_out)),
        ("processor time of Redis", "µs a document", asked.processor_s * 1e6),
    ):
        note(f"{title}: {name}", unit, value / documents)
        print(f"  {name}: {value / documents:,.1f} {unit}", flush=True)


def count_s3(documents: int) -> None:
    """Requests of one worker's documents, on loopback."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="ms-bench-")))
        process, server = start_s3_server(folder)
        stack.callback(stop_s3_server, process)
        proxy = stack.enter_context(ProxyThread(server.endpoint_url)).proxy
        variables = {
            **SETTINGS,
            "MILLSTREAM_BLOBS_URL": f"s3://{server.bucket}/blobs",
            "MILLSTREAM_INDEX_URL": f"s3://{server.bucket}/index",
            "MILLSTREAM_S3_ENDPOINT_URL": proxy.endpoint_url,
            "MILLSTREAM_S3_ACCESS_KEY": server.access_key,
            "MILLSTREAM_S3_SECRET_KEY": server.secret_key,
        }
        mill = stack.enter_context(Mill(variables)).start_all(["worker-1"])
        load = Load(stack.enter_context(Api(mill.url)))
        load.documents_a_second(WARM)
        before = len(proxy.requests)
        load.documents_a_second(documents)
        requests = proxy.requests[before:]
    note_s3(Counter(kind_of(server.bucket, one) for one in requests), documents)
    commits = sum(one.startswith("PUT") and "/_transactions/" in one for one in requests)
    note("index: commits", "a document", commits / documents)
    print(f"index: {commits / documents:.2f} commits a document", flush=True)


def note_s3(counts: Counter[str], documents: int) -> None:
    for kind, count in sorted(counts.items()):
        note(f"S3: {kind}", "requests a document", count / documents)
        print(f"S3: {kind}: {count / documents:.2f} requests a document", flush=True)


def kind_of(bucket: str, request: str) -> str:
    """`PUT of index`, `GET of blobs`, …"""
    method, path = request.split(" ", 1)
    place = next((name for name in ("blobs", "index") if f"{name}/" in path.removeprefix(f"/{bucket}/")), "bucket")
    if "list-type=" in path:
        method = "LIST"
        place = "index" if "prefix=index" in path else "blobs"
    return f"{method} of {place}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--embeddings", nargs="*", choices=("hash", "local"), default=("hash", "local"))
    chosen = parser.parse_args()
    count_s3(chosen.documents)
    for embedding in chosen.embeddings:
        scale(embedding, chosen.documents, chosen.rounds, chosen.workers)


if __name__ == "__main__":
    with reported():
        main()
