"""The promises, as data: what each benchmark measures, how `make bench` calls it, and the goals of its figures.

A goal belongs to a figure by name: a run that gives no such figure has failed.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from bench.figures import Bound, Goal, Of
from bench.peers.queues import QUEUES


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """`module` is run as `python -m bench.<module> <arguments>`, and ended after `seconds_max`; `plot` is how the names
    of those figures begin that are drawn as bars; `peers` need their own environment."""

    name: str
    text: str
    module: str
    arguments: tuple[str, ...] = ()
    goals: Mapping[str, Goal] = {}
    seconds_max: int = 300
    plot: str = ""
    peers: bool = False


def ratio_at_least(number: float) -> Goal:
    return Goal(Bound.AT_LEAST, Of.RATIO, number)


def ratio_at_most(number: float) -> Goal:
    return Goal(Bound.AT_MOST, Of.RATIO, number)


def at_least(number: float) -> Goal:
    return Goal(Bound.AT_LEAST, Of.VALUE, number)


def at_most(number: float) -> Goal:
    return Goal(Bound.AT_MOST, Of.VALUE, number)


PROMISES: Final[tuple[Promise, ...]] = (
    Promise(
        name="accept",
        text="Accepting uploads at 100 clients, on a directory and on S3",
        module="accept",
        arguments=("--rounds", "5", "--seconds", "1.5"),
        goals={
            "directory, 64 KiB, beside floor (digest, store, log)": ratio_at_least(0.75),
            "directory, 64 KiB, beside bare disk + fsync": ratio_at_least(0.6),
            "directory, 64 KiB, at half that load: p50": at_most(40),
            "directory, 64 KiB, at half that load: p99": at_most(100),
            # Not of raw PUTs, nor of the usual way at 1 MiB: the floor is below what was promised of them (ADR 71).
            "S3, 64 KiB, beside floor (digest, store, log)": ratio_at_least(0.75),
            "S3, 64 KiB, beside form() + aioboto3": ratio_at_least(1.3),
            "S3, 1 MiB, beside floor (digest, store, log)": ratio_at_least(0.75),
        },
        seconds_max=600,
    ),
    Promise(
        name="large_upload",
        text="One file of 5 GiB: rate, and what the API's memory rises by",
        module="large_upload",
        goals={
            "directory: rate": at_least(50),
            "directory: memory above idle": at_most(64),
            "S3: rate": at_least(50),
            "S3: memory above idle": at_most(64),
        },
    ),
    Promise(
        name="append",
        text="Appends of one process, beside the bare script awaited",
        module="append",
        goals={
            "1 in flight": ratio_at_least(0.85),
            "50 in flight": ratio_at_least(0.85),
            "200 in flight": ratio_at_least(2.5),
            "server time of an append": at_most(15),
        },
    ),
    Promise(
        name="connection",
        text="What strict framing costs, beside uvicorn alone",
        module="connection",
        goals={"scan of a head, browser": at_most(10)},
    ),
    Promise(
        name="consume",
        text="Taking from an inbox and acknowledging, beside raw XREADGROUP and XACK",
        module="consume",
        goals={"taken and acknowledged": ratio_at_least(0.5)},
    ),
    Promise(
        name="empty_steps",
        text="Empty steps of two worker processes, beside seven queues",
        module="empty_steps",
        goals={
            **{f"drained beside {queue.name}": ratio_at_least(1) for queue in QUEUES},
            **{f"drained beside {queue.name}, everysec": ratio_at_least(1) for queue in QUEUES},
            "enqueue to start: p50": at_most(2),
            "enqueue to start: p99": at_most(6),
        },
        seconds_max=900,
        plot="drained beside",
        peers=True,
    ),
    Promise(
        name="projector",
        text="Fold, and the live projector",
        module="projector",
        arguments=("3000",),
        goals={
            "fold of states": ratio_at_least(0.6),
            "live projector": at_least(30_000),
            "lag p99 at 2,000 events/s": at_most(20),
        },
    ),
    Promise(
        name="rebuild",
        text="Rebuild of all views, from the log and from the archive",
        module="rebuild",
        arguments=("1000000",),
        goals={
            "rebuild from the log, beside a fold by hand": ratio_at_least(0.5),
            "rebuild from the archive, beside a fold by hand": ratio_at_least(0.5),
            "rebuild from the log: peak memory": at_most(500),
            "rebuild from the archive: peak memory": at_most(500),
        },
        seconds_max=600,
    ),
    Promise(
        name="archive",
        text="Memory of Redis under traffic that is archived as it comes",
        module="archive",
    ),
    Promise(
        name="sse",
        text="From a fact to the clients of event streams",
        module="sse",
        goals={
            "broadcast: a delivery less a bare one": at_most(25),
            "fact to client, 1,000 open: p50": at_most(3),
            "fact to client, 1,000 open: p99": at_most(15),
            "memory of an open stream, 5,000 open": at_most(40),
        },
    ),
    Promise(
        name="pipeline",
        text="Small documents from accepted to searchable, beside a floor that promises as much and loops without log",
        module="pipeline",
        arguments=("--documents", "1000", "--beside", "300", "--rounds", "5"),
        goals={
            "local: documents, beside plain loop": ratio_at_least(0.85),
            "wordllama: documents, beside floor": ratio_at_least(0.5),  # why not beside LlamaIndex: ADR 70
        },
        seconds_max=900,
        peers=True,
    ),
    Promise(
        name="scaling",
        text="One to four workers on hosts of their own, and what a document asks of Redis and S3",
        module="scaling",
        seconds_max=900,
    ),
    Promise(
        name="growth",
        text="What growth to 1,000,000 tasks costs",
        module="growth",
        arguments=("1000000",),
        goals={
            "append p99, 1,000,000 tasks": ratio_at_most(1.5),
            "list p99, 1,000,000 tasks": ratio_at_most(1.5),
            "fold of an event, 1,000,000 tasks": ratio_at_most(1.2),
            "server's time of an event, 1,000,000 tasks": ratio_at_most(1.2),
        },
        seconds_max=2_700,
    ),
    Promise(
        name="search",
        text="Searches over HTTP on 50,000 chunks, beside the bare engine",
        module="search",
        goals={
            "hybrid, beside engine and embedding": ratio_at_least(0.7),
            "hybrid: p99": at_most(60),
            "hybrid: p99 while ingesting, times that alone": at_most(2),
        },
        seconds_max=600,
    ),
    Promise(
        name="retrieval",
        text="What searches find on public collections: nDCG@10",
        module="retrieval",
        arguments=("--queries", "100"),
        goals={
            "cranfield: keyword": ratio_at_least(0.97),
            "cmrc2018: keyword": ratio_at_least(0.97),
        },
        seconds_max=900,
    ),
    Promise(
        name="formats",
        text="Real documents that come out as expected",
        module="formats",
        seconds_max=600,
    ),
    Promise(
        name="task_memory",
        text="What a finished one-file task takes in Redis",
        module="task_memory",
        goals={"before archiving": at_most(3_000), "after archiving": at_most(1_000)},
    ),
    Promise(
        name="start",
        text="How long starting takes",
        module="start",
        goals={"millstream --help": at_most(0.3), "millstream up, to ready": at_most(5)},
    ),
)
