"""What one document costs in requests, counted: a guard that needs no clock and no quiet machine.

The standard upload (one text file of 64 KiB) from its acceptance until it can be searched, on one mill with a Redis and
an S3 server of its own. A number that rises is more load for everybody; one that falls is moved down here.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from redis import Redis

from tests.e2e.api import Api
from tests.servers.ports import free_port
from tests.servers.redis_commands import Command, Commands, ports_of
from tests.servers.redis_process import RedisProcess, redis_binary
from tests.servers.s3_gateway import S3Server
from tests.servers.s3_proxy import ProxyThread
from tests.servers.service_process import ServiceProcess
from tests.waiting import poll

pytest_plugins = ("tests.servers.s3",)

UPLOAD_BYTES: Final = 65_536
BATCHES: Final = 2
"""Of its chunks, at most 64 of them each: a fact each, and a blob of vectors each."""

S3_REQUESTS: Final = {
    "PUT source": 1,  # the bytes as they came, streamed, with the sidecar: all that the acceptance says
    "GET source": 1,  # by parse
    "PUT bundle": 1,  # text and chunks, which parse makes in one turn
    "GET bundle": 2,  # by embed and by index
    "PUT vectors": BATCHES,  # by embed
    "GET vectors": BATCHES,  # by index
}
"""Exact: nothing is copied, headed, listed or deleted."""

EVENTS: Final = 11 + BATCHES
"""Exact: submitted, accepted, the begin and the end of four steps, the batches, the task's end."""

CALLS: Final = {
    # One call each: the upload; begin and end of parse (with chunk), embed (with its last batch) and index; the batch
    # before the last; the end of the task.
    "append.lua": 9,
    "RPUSH": 10,  # within them: one for each stream that is written to, and the upload writes to two
    # With the result that they led to: parse, embed, index, finish.
    "XACK": 4,
}
"""Exact: what a document writes into the log, and the deliveries that it is made of."""

SMALL_BYTES: Final = 3_000
SMALL_S3_REQUESTS: Final = {"PUT source": 1, "GET source": 1, "PUT bundle": 1}
SMALL_EVENTS: Final = 12
SMALL_CALLS: Final = {
    "append.lua": 4,  # the upload; the begin of parse; all that follows from it; the end of the task
    "RPUSH": 5,
    "XACK": 2,  # parse, finish
}
"""Of a document of one batch, which takes all steps in one turn. Exact."""

CALLS_MAX: Final = {
    "history.lua": 9,  # one a delivery, and what a view was asked for that lags behind
    "commit.lua": 14,  # by the projector: one a page, at most one an append and some that time cuts in two
}
"""Bounds, since who is quicker decides."""

IDLE_SECONDS: Final = 3.0
IDLE_COMMANDS_MAX: Final = {
    "worker-1": 46.0,  # 23 seen: 8 steps that wait a second at a time, timers 4 times a second, the dead every 2 s
    "api": 12.0,  # 4 seen: all inboxes once a second, for back-pressure, and who is to be told of changes
    "projector": 64.0,  # 31 seen: lease and log of 8 partitions every 1.5 s, their archive every 2 s
}
"""A second, of a process that has nothing to do, with eight partitions. Bounds of twice what was seen: time decides."""


class Mill(NamedTuple):
    service: ServiceProcess
    commands: Commands
    s3: ProxyThread
    redis: Redis

    def events(self) -> int:
        """In all logs."""
        return sum(int(self.redis.xlen(key)) for key in self.redis.keys("ms:*:log"))


@pytest.fixture(scope="module")
def mill(s3_server: S3Server) -> Iterator[Mill]:
    with tempfile.TemporaryDirectory(prefix="ms-cost-") as name, ProxyThread(s3_server.endpoint_url) as proxy:
        folder, port = Path(name), free_port()
        redis = RedisProcess(redis_binary(), folder, "--port", str(port))
        redis.start()
        variables = {
            "MILLSTREAM_WORKERS": "1",
            "MILLSTREAM_EMBEDDING": "hash",
            "MILLSTREAM_REDIS_URL": f"redis://127.0.0.1:{port}",
            "MILLSTREAM_BLOBS_URL": f"s3://{s3_server.bucket}/cost",
            "MILLSTREAM_S3_ENDPOINT_URL": proxy.proxy.endpoint_url,
            "MILLSTREAM_S3_ACCESS_KEY": s3_server.access_key,
            "MILLSTREAM_S3_SECRET_KEY": s3_server.secret_key,
        }
        service = ServiceProcess(folder / "data", variables)
        try:
            service.start()
            with Commands(port) as commands, Redis(port=port) as client:
                yield Mill(service, commands, proxy, client)
        finally:
            service.end()
            redis.stop()


class Cost(NamedTuple):
    events: int
    calls: Counter[str]
    s3: Counter[str]


@pytest.fixture(scope="module")
def cost(mill: Mill) -> Cost:
    return cost_of(mill, UPLOAD_BYTES)


@pytest.fixture(scope="module")
def small(mill: Mill) -> Cost:
    return cost_of(mill, SMALL_BYTES)


def cost_of(mill: Mill, size_bytes: int) -> Cost:
    """Of the second upload: the first one makes the table of the knowledge base and loads scripts."""
    with Api(mill.service.url) as api:
        kb = api.create(f"cost of {size_bytes}")
        api.completed(kb, [("first.txt", content(1, size_bytes))])
        calls, requests, events = mill.commands.until_now(), len(mill.s3.proxy.requests), mill.events()
        api.completed(kb, [("second.txt", content(2, size_bytes))])
        return Cost(
            mill.events() - events,
            Counter(one.name for one in mill.commands.since(calls)),
            Counter(kind_of(one) for one in mill.s3.proxy.requests[requests:]),
        )


def content(number: int, size_bytes: int) -> bytes:
    return (f"Sack {number}: the runner stone was lifted and set back. " * size_bytes).encode()[:size_bytes]


def kind_of(request: str) -> str:
    """`PUT text` for a PUT of a document's blob of that kind."""
    method, path = request.split(" ", 1)
    found = re.search(r"/documents/[^/]+/([a-z]+)[^/]*?(\.json)?(?:/[^/]*)?$", path)
    return f"{method} {found[1]}{found[2] or ''}" if found else request


def test_a_document_costs_so_many_requests_to_the_blob_store(cost: Cost) -> None:
    assert cost.s3 == S3_REQUESTS


def test_a_document_costs_so_many_writes_to_the_log(cost: Cost) -> None:
    assert cost.events == EVENTS
    assert {name: cost.calls[name] for name in CALLS} == CALLS


def test_a_small_document_costs_one_blob_and_one_append_behind_its_acceptance(small: Cost) -> None:
    assert small.s3 == SMALL_S3_REQUESTS
    assert small.events == SMALL_EVENTS
    assert {name: small.calls[name] for name in SMALL_CALLS} == SMALL_CALLS


def test_a_document_costs_no_more_reads_and_commits_than_that(cost: Cost) -> None:
    assert {name: cost.calls[name] for name, most in CALLS_MAX.items() if cost.calls[name] > most} == {}


def test_an_idle_process_asks_redis_no_more_often_than_that(mill: Mill) -> None:
    pids = mill.service.pids
    ports = {role: ports_of(pids[role]) for role in IDLE_COMMANDS_MAX}
    before = mill.commands.until_now()
    poll(lambda: seconds_of(mill.commands.since(before)) >= IDLE_SECONDS, "Redis was watched for a while")

    idle = mill.commands.since(before)

    a_second = {role: sum(one.port in ports[role] for one in idle) / seconds_of(idle) for role in IDLE_COMMANDS_MAX}
    assert all(a_second.values()), "every role asks something"
    assert {role: rate for role, rate in a_second.items() if rate > IDLE_COMMANDS_MAX[role]} == {}


def seconds_of(commands: Sequence[Command]) -> float:
    return commands[-1].at_s - commands[0].at_s if commands else 0.0
