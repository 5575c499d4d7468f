"""Rebuild of all views from the log and from the archive, and what verifying finds, by the real commands.

    PYTHONPATH=src:. python bench/rebuild.py [events]

A real Redis is filled with whole lives of tasks and documents in eight partitions, as the product appends them; the
projector role folds them, and then, one child process after the other: replay from the log, verify, verify with one row
overwritten, repair, archive, replay from the archive, verify of the archive with one bit flipped. Both rebuilds are
held against one process in the same run that reads the same events, decodes them and folds them by hand, as
`bench/plain_fold.py` does, without rows, lists and commits: pages through redis-py, or the blocks of segments. Goal:
0.5 of each, 500 MB; medians of five rebuilds, each with the loop beside it. Reading and decoding alone, with nothing
folded, is told beside it.
"""

import asyncio
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.figures import Peer, note, reported
from bench.plain_fold import Record, plain_fold
from blobs.local import LocalBlobStore
from domain.decider import fold
from domain.deciders import DOCUMENT
from events.compression import decompress
from events.ids import KnowledgeBaseId, TaskId
from events.keys import Keys
from events.log import Appended, EventLog, Write
from events.pointer import INBOX_CODES
from events.redis_archive import RedisArchive
from events.redis_border import execute
from events.redis_clients import Clients, make_clients
from events.redis_log import RedisLog
from events.redis_setup import open_installation
from events.segment import decode_head
from events.task import TaskFinished, TaskSubmitted
from projections.archive_reader import Archive
from projections.history import ArchivedLog
from projections.projector import PAGE_EVENTS
from projections.redis_views import RedisViews
from tests.event_samples import accepted, new_document, new_knowledge_base, new_task, write
from tests.facts import UNTIL_INDEXED
from tests.servers.redis_process import RedisProcess, redis_binary

EVENTS_DEFAULT: Final = 1_000_000
TASK_DOCUMENTS: Final = 10
TASKS_AN_APPEND: Final = 10
BY_HAND: Final = "a fold by hand"
ALONE: Final = "reading alone"
ROUNDS: Final = 5
PAYLOAD_AT: Final = 4
"""In an entry of a block (`events.segment.Entry`)."""

MEBIBYTE: Final = 1_048_576
MICROSECONDS: Final = 1_000_000

_plain: Final = msgspec.msgpack.Decoder(list[list[Any]])
"""Of the entries of a block, as plain lists."""


class Bare(msgspec.Struct, frozen=True):
    """Events a second, and processor time of one (µs)."""

    per_s: float
    cpu_us: float


class Rebuilds(msgspec.Struct, frozen=True):
    """What the command said of each round, and what its peers took in it."""

    reports: list[Any]
    peers: Mapping[str, list[Bare]]


class Bench:
    """One installation in a directory of its own."""

    def __init__(self, clients: Clients, keys: Keys, url: str, directory: Path) -> None:
        self.keys = keys
        self.clients = clients
        self.log = RedisLog(clients.commands, clients.blocking, keys)
        self._blobs_directory = directory / "blobs"
        self._archive = RedisArchive(clients.commands, keys)
        self._environment = {
            **os.environ,
            "MILLSTREAM_REDIS_URL": url,
            "MILLSTREAM_DATA_DIR": str(directory),
            "MILLSTREAM_ARCHIVE_SEGMENT_EVENTS_MAX": "50000",
        }

    async def fill(self, events_max: int) -> int:
        events, number = 0, 0
        bases = [new_knowledge_base(partition) for partition in range(self.keys.partitions)]
        while events < events_max:
            partition = number % self.keys.partitions
            tasks = [_task(partition, bases[partition]) for _ in range(TASKS_AN_APPEND)]
            writes, ends = [one for begins, _ in tasks for one in begins], [end for _, end in tasks]
            for part in (writes, ends):
                assert isinstance(await self.log.append(part), Appended)
            events += sum(len(one.envelopes) for one in (*writes, *ends))
            number += 1
        await self._drain()
        return events

    async def _drain(self) -> None:
        """As if workers had taken what is in the inboxes: all of it is done."""
        for partition, (step, lane) in product(range(self.keys.partitions), INBOX_CODES):
            await execute(self.clients.commands, "XTRIM", self.keys.inbox(partition, step, lane), "MAXLEN", 0)

    async def project(self, events: int) -> float:
        """The projector role alone, until it has folded everything: events a second."""
        views, begun_s = RedisViews(self.clients.commands, self.keys), time.perf_counter()
        role = self.start("projector", MILLSTREAM_ARCHIVE="false")
        try:
            while await self._folded(views) < events:  # noqa: ASYNC110  another process folds
                await asyncio.sleep(0.1)
        finally:
            role.terminate()
            role.wait()
        return events / (time.perf_counter() - begun_s)

    async def _folded(self, views: RedisViews) -> int:
        found = [await views.checkpoint(partition) for partition in range(self.keys.partitions)]
        return sum(one.number for one in found)

    def start(self, *command: str, **variables: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "millstream", *command],
            env={**self._environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def run(self, *command: str) -> tuple[int, Any]:
        """Exit code, and what it printed, with the processor time that all of its processes took (`cpu_s`)."""
        before_s = _cpu_of_children_s()
        role = self.start(*command, "--json")
        out, _ = role.communicate()
        report = msgspec.json.decode(out) if out else None
        if isinstance(report, dict):
            report["cpu_s"] = _cpu_of_children_s() - before_s
        return role.returncode, report

    async def no_rewrite(self) -> None:
        """Waits for the end of one that is under way."""
        while (await self.clients.commands.info("persistence"))["aof_rewrite_in_progress"]:  # noqa: ASYNC110  the server's
            await asyncio.sleep(0.1)

    async def rebuilds(self, source: str, peers: Mapping[str, Callable[[], Awaitable[Bare]]]) -> "Rebuilds":
        """Each with its peers beside it, none of which writes anything."""
        found = Rebuilds(reports=[], peers={name: [] for name in peers})
        for _ in range(ROUNDS):
            for name, measure_peer in peers.items():
                found.peers[name].append(await measure_peer())
            code, report = self.run("replay", "--from", source)
            assert (code, report["differences"]) == (0, [])
            found.reports.append(report)
        return found

    async def bare(self, log: EventLog) -> Bare:
        """Reading and decoding alone."""
        begun_s, begun_cpu_s, events = time.perf_counter(), time.process_time(), 0
        for partition in range(self.keys.partitions):
            after = None
            while page := await log.read(partition, after=after):
                after, events = page[-1].position, events + len(page)
        return _bare(events, begun_s, begun_cpu_s)

    async def by_hand(self) -> Bare:
        """XRANGE through redis-py, decoding and folding."""
        begun_s, begun_cpu_s, events = time.perf_counter(), time.process_time(), 0
        for partition in range(self.keys.partitions):
            records, first = dict[bytes, Record](), b"-"
            while page := await execute(
                self.clients.commands, "XRANGE", self.keys.log(partition), first, "+", "COUNT", PAGE_EVENTS
            ):
                plain_fold((fields[b"e"] for _, fields in page), records)
                first, events = b"(" + page[-1][0], events + len(page)
        return _bare(events, begun_s, begun_cpu_s)

    async def archive_by_hand(self) -> Bare:
        """Segments read whole, their blocks unpacked, decoded and folded; no digest is looked at."""
        manifests = [await self._archive.segments(partition) for partition in range(self.keys.partitions)]
        begun_s, begun_cpu_s, events = time.perf_counter(), time.process_time(), 0
        for manifest in manifests:
            records = dict[bytes, Record]()
            for segment in manifest:
                content = (self._blobs_directory / segment.key).read_bytes()
                head = decode_head(segment.key, content)
                for block in head.header.blocks:
                    at = head.blocks_at + block.offset
                    entries = _plain.decode(decompress(content[at : at + block.size_bytes], block.raw_bytes))
                    plain_fold((entry[PAYLOAD_AT] for entry in entries), records)
                    events += len(entries)
        return _bare(events, begun_s, begun_cpu_s)

    def archived(self) -> ArchivedLog:
        return ArchivedLog(self.log, Archive(self._archive, LocalBlobStore(self._blobs_directory)))

    async def corrupt_row(self) -> None:
        rows = self.keys.view(3, 1 + ROUNDS, "rows:documents")
        document = (await self.clients.commands.hkeys(rows))[0]
        await self.clients.commands.hset(rows, document, b"\x93\x01\x02\x03")

    def flip_bit(self) -> str:
        segment = sorted((self._blobs_directory / "archive").rglob("*.seg"))[3]
        content = bytearray(segment.read_bytes())
        content[len(content) // 2] ^= 4
        segment.write_bytes(content)
        return segment.name


def _bare(events: int, begun_s: float, begun_cpu_s: float) -> Bare:
    cpu_us = (time.process_time() - begun_cpu_s) / events * MICROSECONDS
    return Bare(events / (time.perf_counter() - begun_s), cpu_us)


def _task(partition: int, knowledge_base: KnowledgeBaseId) -> tuple[list[Write], Write]:
    """A task with whole lives of its documents, and its end."""
    task = new_task(partition)
    submitted = TaskSubmitted(knowledge_base_id=knowledge_base, documents=TASK_DOCUMENTS)
    finished = TaskFinished(succeeded=TASK_DOCUMENTS, failed=0, cancelled=0, skipped=0)
    begins = [
        write(task, 0, submitted, knowledge_base=knowledge_base, task=task),
        *(_document(partition, task, knowledge_base) for _ in range(TASK_DOCUMENTS)),
    ]
    return begins, write(task, 1, finished, knowledge_base=knowledge_base, task=task)


def _document(partition: int, task: TaskId, knowledge_base: KnowledgeBaseId) -> Write:
    """With what an append of the product carries beside the facts: what changes in the task's tally and in claims."""
    # Bytes that no other has: who claims a digest is a list, which grows with each double.
    born = msgspec.structs.replace(accepted(task, knowledge_base), sha256=os.urandom(32).hex())
    document = new_document(partition)
    life = write(document, 0, born, *UNTIL_INDEXED[1:], knowledge_base=knowledge_base, task=task)
    before, after = DOCUMENT.initial, fold(DOCUMENT, life.envelopes).state
    return msgspec.structs.replace(life, tally=DOCUMENT.tally(before, after), digests=DOCUMENT.digests(before, after))


def _cpu_of_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _told(what: str, *reports: Any) -> None:
    rate = note(what, "events/s", [one["events_per_s"] for one in reports])
    cpu = note(f"{what}: CPU", "µs", [_cpu_us(one) for one in reports])
    memory = note(f"{what}: peak memory", "MiB", [one["peak_memory_bytes"] / MEBIBYTE for one in reports])
    last = reports[-1]
    print(
        f"{what}: {last['events']:,} events, {rate.value:,.0f}/s by {last['processes']} processes, "
        f"{cpu.value:.1f} µs CPU an event, peak memory {memory.value:.0f} MiB, {len(last['differences'])} differences",
        flush=True,
    )


def _told_beside(what: str, found: Rebuilds) -> None:
    """Rates, and the processor time of all processes, beside those of loops of one process."""
    _told(what, *found.reports)
    rates, cpus_us = [one["events_per_s"] for one in found.reports], [_cpu_us(one) for one in found.reports]
    for name, rounds in found.peers.items():
        rate = note(f"{what}, beside {name}", "events/s", rates, beside=Peer(name, [one.per_s for one in rounds]))
        cpu = note(f"{what}: CPU, beside {name}", "µs", cpus_us, beside=Peer(name, [one.cpu_us for one in rounds]))
        print(
            f"  {name}, by one process: {rate.peer_value:,.0f} events/s, {cpu.peer_value:.1f} µs CPU an event: "
            f"{rate.ratio:.2f} of its rate, {cpu.ratio:.1f} times its CPU",
            flush=True,
        )


def _cpu_us(report: Any) -> float:
    """Of an event, all processes."""
    cpu_us: float = report["cpu_s"] / report["events"] * MICROSECONDS
    return cpu_us


async def main(events_max: int) -> None:
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(prefix="ms-bench-") as name:
        server = RedisProcess(redis_binary(), Path(name))
        server.start()
        try:
            async with make_clients(server.url) as clients:
                bench = Bench(clients, await open_installation(clients.commands, partitions=8), server.url, Path(name))
                await measure(bench, events_max)
        finally:
            server.stop()


async def measure(bench: Bench, events_max: int) -> None:
    events = await bench.fill(events_max)
    print(f"live projector, {events:,} events behind: {await bench.project(events):,.0f} events/s")
    # The server writes its append-only file anew once it is twice as long, on the cores that a rebuild needs: whether
    # that met a rebuild was chance, and made 132,000 events/s 92,000.
    await execute(bench.clients.commands, "CONFIG", "SET", "auto-aof-rewrite-percentage", 0)
    await bench.no_rewrite()
    peers = {BY_HAND: bench.by_hand, ALONE: lambda: bench.bare(bench.log)}
    _told_beside("rebuild from the log", await bench.rebuilds("log", peers))
    code, report = bench.run("replay", "--verify")
    assert (code, report["differences"]) == (0, [])
    _told("verify", report)
    await bench.corrupt_row()
    code, report = bench.run("replay", "--verify", "--projection", "documents")
    assert (code, len(report["differences"])) == (1, 1), report
    _told("verify, one row overwritten", report)
    assert bench.run("replay", "--verify", "--repair")[0] == 0
    code, report = bench.run("archive", "now", "--trim")
    assert code == 0
    peers = {ALONE: lambda: bench.bare(bench.archived()), BY_HAND: bench.archive_by_hand}
    _told_beside("rebuild from the archive", await bench.rebuilds("archive", peers))
    segment = bench.flip_bit()
    code, report = bench.run("archive", "verify")
    said = msgspec.json.encode(report).decode()
    print(f"one bit of {segment} flipped: archive verify ends with {code} and says {said}")
    assert code == 4
    assert bench.run("replay", "--from", "archive")[0] == 4


if __name__ == "__main__":
    with reported():
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS_DEFAULT))
