"""Scenes that several fault tests play: one worker alone at work, a victim that stands ready, a look at the state."""

import asyncio
import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import msgspec

from millstream.stores import Stores
from tests.faults.checker import looking_into
from tests.faults.evidence import Evidence
from tests.faults.mill import Mill, Role
from tests.faults.stored import all_rows_of, all_views_of

SURVIVOR: Final = "survivor"
VICTIM: Final = "victim"
SMALL_CHUNKS: Final = {"chunk_tokens": 16, "chunk_overlap_tokens": 0}

SLOW_FILE: Final = (
    "slow.html",
    b"<html><p>The miller is late.</p><table>" + b"<tr><td></td></tr>" * 440_000 + b"</table><p>He comes.</p></html>",
)
"""Two lines of text around a table with nothing in it: 3 s of parsing on an idle machine, longer than a lease."""


def many_chunks(batches: int, batch_chunks: int, about: str) -> bytes:
    """A text that SMALL_CHUNKS cuts into so many batches, the last one of them not full; no two chunks are alike."""
    lines = batches * batch_chunks - batch_chunks // 2
    return "\n\n".join(
        f"{about} line {line:05} of the mill, told once and never again." for line in range(lines)
    ).encode()


@contextmanager
def frozen(mill: Mill, *names: str) -> Iterator[None]:
    """These processes stand still meanwhile: what is taken, others take."""
    for name in names:
        mill.stop(name)
    try:
        yield
    finally:
        for name in names:
            mill.cont(name)


class Wings:
    """Prepares the next victim while the present scene goes on: a worker with armed failpoints, ready and frozen."""

    def __init__(self, mill: Mill) -> None:
        self._mill = mill
        self._threads = ThreadPoolExecutor(1)
        self._coming: Future[None] | None = None

    def call(self, failpoints: str) -> None:
        """Returns at once."""
        self._coming = self._threads.submit(self._prepare, failpoints)

    def wait(self) -> None:
        """Returns when the victim that was called for stands ready, frozen."""
        assert self._coming is not None
        self._coming.result()

    def close(self) -> None:
        self._threads.shutdown()

    def _prepare(self, failpoints: str) -> None:
        self._mill.start(Role.WORKER, VICTIM, failpoints=failpoints)
        self._mill.stop(VICTIM)


def state_hash(mill: Mill, kb: str) -> str:
    """Of every live view and every row of a knowledge base's index."""

    async def look() -> str:
        async with looking_into(mill) as stores:
            return await _hash(stores, kb)

    return asyncio.run(look())


def started_at(evidence: Evidence, document: str, worker: str) -> list[float]:
    """When a worker began attempts at a document, unix seconds."""
    return [
        envelope.recorded_at_us / 1_000_000
        for envelope in evidence.of_document(document)
        if getattr(envelope.event, "worker", "").startswith(f"{worker}@")
    ]


def log_times(mill: Mill, name: str, event: str) -> list[float]:
    """When a process logged an event, unix seconds."""
    lines = [line for line in mill.log(name).splitlines() if f'"event": "{event}"' in line]
    return [datetime.fromisoformat(msgspec.json.decode(line)["timestamp"]).timestamp() for line in lines]


async def _hash(stores: Stores, kb: str) -> str:
    digest = hashlib.sha256()
    for row in sorted(map(repr, await all_rows_of(stores, kb))):
        digest.update(row.encode())
    for partition in range(stores.log.partitions):
        for name, value in sorted((await all_views_of(stores, partition)).items()):
            digest.update(f"{name} {value!r}".encode())
    return digest.hexdigest()
