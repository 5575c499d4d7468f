"""Memory of Redis under endless traffic: facts appended without end, a real projector with its archiver beside it.

    PYTHONPATH=src:. python bench/archive.py [events] [directory for the plot]

A fixed number of documents fails and is begun again without end, through the deciders and the real append: the views
stay as they are, so that whatever grows is the log's. Nobody works: the timers that appends set are taken out at once.
The traffic keeps to a rate that two cores archive as well as append (they come to about 12,000 events a second; beyond
that the log grows until there is less to do). Each second the memory of Redis and what of it the log takes are noted.
With a directory `archive-memory.csv` and `.svg` are written there. At the end the archive is verified and read through
the reader that a replay uses.
"""

import asyncio
import csv
import os
import platform
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Final

import msgspec

from bench.figures import note, reported
from bench.memory_plot import Curve, draw
from blobs.local import LocalBlobStore
from domain import commands as c
from domain.decider import Folded
from domain.deciders import DOCUMENT
from domain.document import DocumentState
from domain.handle import Context, load, prepare
from events.ids import DocumentId, IdFactory, TaskId
from events.keys import Keys
from events.log import Appended, Write
from events.pointer import INBOX_CODES
from events.redis_archive import RedisArchive
from events.redis_clients import Clients, make_clients
from events.redis_log import RedisLog
from events.redis_setup import open_installation
from events.steps import Step
from projections.archive_reader import Archive
from projections.history import ArchivedLog
from tests.servers.redis_process import RedisProcess, redis_binary
from tests.workshop import Workshop

EVENTS_DEFAULT: Final = 100_000
DOCUMENTS_A_PARTITION: Final = 100
DOCUMENTS_AN_APPEND: Final = 50
ATTEMPTS_A_WRITE: Final = 10
EVENTS_A_SECOND: Final = 8_000
LAG_EVENTS_MAX: Final = 20_000
"""So far the projector may be behind before the traffic waits for it."""

SAMPLE_S: Final = 1.0
MEBIBYTE: Final = 1_048_576

SETTINGS: Final = {
    "MILLSTREAM_ARCHIVE_SEGMENT_EVENTS_MAX": "5000",
    "MILLSTREAM_ARCHIVE_RETENTION_S": "5",
    "MILLSTREAM_LOG_FORMAT": "json",
}


class Sample(msgspec.Struct, frozen=True):
    """One moment. Memory in bytes."""

    seconds: float
    events: int
    used_memory: int
    log_memory: int
    log_events: int
    archived: int


class Traffic:
    """One partition's documents and their states."""

    def __init__(self, log: RedisLog, task: TaskId, documents: list[DocumentId]) -> None:
        self._log = log
        self._documents = documents
        self._states: dict[DocumentId, Folded[DocumentState]] = {}
        self._turn = count()
        ids = IdFactory(lambda: time.time_ns() // 1_000_000, os.urandom)
        self._context = Context(
            clock_us=lambda: time.time_ns() // 1_000, new_event_id=ids.event, correlation_id=task, actor="bench"
        )

    async def append(self) -> int:
        """The next documents' attempts in one call; answers the events."""
        writes: list[Write] = []
        for _ in range(DOCUMENTS_AN_APPEND):
            document = self._documents[next(self._turn) % len(self._documents)]
            if document not in self._states:
                self._states[document] = await load(self._log, DOCUMENT, document)
            writes.append(self._attempts(document))
        assert isinstance(await self._log.append(writes), Appended)
        return sum(len(write.envelopes) for write in writes)

    def _attempts(self, document: DocumentId) -> Write:
        """Each begins and fails, to be made again."""
        before = self._states[document]
        first = before.version // 2 + 1
        commands: list[c.DocumentCommand] = []
        for attempt in range(first, first + ATTEMPTS_A_WRITE):
            commands.append(c.StartStep(step=Step.PARSE, attempt=attempt, worker="worker@host-1"))
            commands.append(
                c.FailStep(
                    step=Step.PARSE,
                    attempt=attempt,
                    code="provider_unavailable",
                    message="the endpoint did not answer within 30 s",
                    retry_at_us=time.time_ns() // 1_000 + 60_000_000,
                )
            )
        prepared = prepare(DOCUMENT, document, before, commands, self._context)
        assert prepared.write is not None
        assert len(prepared.write.envelopes) == len(commands)
        self._states[document] = prepared.after
        return prepared.write


class Bench:
    """Redis, the projector role, the traffic."""

    def __init__(self, clients: Clients, keys: Keys) -> None:
        self.clients = clients
        self.keys = keys
        self.log = RedisLog(clients.commands, clients.blocking, keys)
        self.samples: list[Sample] = []
        self.events = 0
        self._begun = time.perf_counter()

    async def run(self, events_max: int) -> None:
        traffics = [await self._traffic(partition) for partition in range(self.keys.partitions)]
        sampling = asyncio.create_task(self._sample())
        begun_s = time.perf_counter()
        while self.events < events_max:
            for partition, traffic in enumerate(traffics):
                self.events += await traffic.append()
                await self._drain(partition)
            while await self._lag() > LAG_EVENTS_MAX:  # noqa: ASYNC110  another process moves it
                await asyncio.sleep(0.02)
            await asyncio.sleep(self.events / EVENTS_A_SECOND - (time.perf_counter() - begun_s))
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
        self.samples.append(await self._now())

    async def _traffic(self, partition: int) -> Traffic:
        workshop = Workshop(self.log, salt=partition + 1)
        knowledge_base = await workshop.create(partition=partition)
        task, documents = await workshop.submit(knowledge_base, DOCUMENTS_A_PARTITION)
        return Traffic(self.log, task, documents)

    async def _drain(self, partition: int) -> None:
        """As if time passed and workers took what came."""
        async with self.clients.commands.pipeline(transaction=False) as pipeline:
            pipeline.delete(self.keys.due(partition))
            for step, lane in INBOX_CODES:
                pipeline.xtrim(self.keys.inbox(partition, step, lane), maxlen=0, approximate=False)
            await pipeline.execute()

    async def _fields(self, *names: str) -> list[list[int]]:
        async with self.clients.commands.pipeline(transaction=False) as pipeline:
            for partition in range(self.keys.partitions):
                pipeline.hmget(self.keys.meta(partition), list(names))
            return [[int(value or 0) for value in found] for found in await pipeline.execute()]

    async def _lag(self) -> int:
        numbers = sum(number for (number,) in await self._fields("number"))
        async with self.clients.commands.pipeline(transaction=False) as pipeline:
            for partition in range(self.keys.partitions):
                pipeline.hget(self.keys.checkpoint(partition, 1), "number")
            return numbers - sum(int(found or 0) for found in await pipeline.execute())

    async def _sample(self) -> None:
        while True:
            self.samples.append(await self._now())
            await asyncio.sleep(SAMPLE_S)

    async def _now(self) -> Sample:
        marks = await self._fields("number", "archived", "trimmed")
        async with self.clients.commands.pipeline(transaction=False) as pipeline:
            for partition in range(self.keys.partitions):
                pipeline.memory_usage(self.keys.log(partition))
            log_memory = sum(int(found or 0) for found in await pipeline.execute())
        memory = await self.clients.commands.info("memory")
        return Sample(
            seconds=round(time.perf_counter() - self._begun, 1),
            events=sum(number for number, _, _ in marks),
            used_memory=int(memory["used_memory"]),
            log_memory=log_memory,
            log_events=sum(number - trimmed for number, _, trimmed in marks),
            archived=sum(archived for _, archived, _ in marks),
        )


async def check(bench: Bench, blobs_directory: Path) -> None:
    """The archive is sound, and read at what rate."""
    blobs = LocalBlobStore(blobs_directory)
    log = ArchivedLog(bench.log, Archive(RedisArchive(bench.clients.commands, bench.keys), blobs))
    begun, events = time.perf_counter(), 0
    for partition in range(bench.keys.partitions):
        assert await log.verify(partition) == []
    verified_s, begun = time.perf_counter() - begun, time.perf_counter()
    for partition in range(bench.keys.partitions):
        after = None
        while page := await log.read(partition, after=after):
            after, events = page[-1].position, events + len(page)
            assert page[-1].number is not None
    read_s = time.perf_counter() - begun
    segments = [one for partition in range(bench.keys.partitions) for one in await log.segments(partition)]
    archived, size_bytes = sum(one.count for one in segments), sum(one.size_bytes for one in segments)
    print(f"archive: {len(segments)} segments, {archived:,} events, {size_bytes / max(archived, 1):.1f} bytes an event")
    note("verified", "events/s", archived / verified_s)
    note("read with the log", "events/s", events / read_s)
    note("archive: size of an event", "bytes", size_bytes / max(archived, 1))
    print(f"verified at {archived / verified_s:,.0f} events/s; read with the log at {events / read_s:,.0f} events/s")
    assert events == bench.samples[-1].events
    await blobs.close()


def report(samples: list[Sample], directory: Path | None) -> None:
    half = len(samples) // 2
    peaks = [max(one.used_memory for one in part) for part in (samples[: half + 1], samples[half:])]
    last = samples[-1]
    print(
        f"{last.events:,} events in {last.seconds:.0f} s ({last.events / last.seconds:,.0f}/s); peak of memory "
        f"{peaks[0] / MEBIBYTE:.0f} MiB in the first half, {peaks[1] / MEBIBYTE:.0f} MiB in the second: "
        f"{peaks[1] / peaks[0]:.2f} x"
    )
    growth = (last.used_memory - samples[half].used_memory) / max(1, last.events - samples[half].events)
    note("peak of memory, second half to first", "x", peaks[1] / peaks[0])
    note("growth over the second half: an event", "bytes", growth)
    print(f"growth over the second half: {growth:.1f} bytes an event; a log that keeps all takes about 230")
    if directory is not None:
        with (directory / "archive-memory.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(Sample.__struct_fields__)
            rows.writerows(msgspec.structs.astuple(one) for one in samples)
        curves = [
            Curve("Redis, all of it", [(one.events, one.used_memory) for one in samples]),
            Curve("of that the log", [(one.events, one.log_memory) for one in samples]),
        ]
        title = f"Memory of Redis over {last.events:,} events, archived and trimmed as they come"
        (directory / "archive-memory.svg").write_text(draw(title, curves), encoding="utf-8")


async def main(events_max: int, plot_directory: Path | None) -> None:
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(prefix="ms-bench-") as name:
        directory = Path(name)
        server = RedisProcess(redis_binary(), directory)
        server.start()
        role: subprocess.Popen[bytes] | None = None
        try:
            async with make_clients(server.url) as clients:
                keys = await open_installation(clients.commands, partitions=None)
                environment = {**os.environ, **SETTINGS, "MILLSTREAM_REDIS_URL": server.url}
                environment["MILLSTREAM_DATA_DIR"] = name
                with (directory / "projector.log").open("wb") as log:
                    command = [sys.executable, "-m", "millstream", "projector"]
                    role = subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: ASYNC220
                bench = Bench(clients, keys)
                await bench.run(events_max)
                assert role.poll() is None, (directory / "projector.log").read_text()
                report(bench.samples, plot_directory)
                await check(bench, directory / "blobs")
        finally:
            if role is not None:
                role.terminate()
                role.wait()
            server.stop()


if __name__ == "__main__":
    with reported():
        asyncio.run(
            main(
                int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS_DEFAULT,
                Path(sys.argv[2]) if len(sys.argv) > 2 else None,
            )
        )
