"""One world: the stores in memory, the processes that work on them, and how each of them is started."""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Final, TypeVar

from blobs.memory import MemoryBlobStore
from domain.document import Unknown
from events.errors import LogError
from events.ids import IdFactory
from events.memory import MemoryLog
from events.memory_inbox import MemoryInbox
from ingest.memory_uploads import MemoryUploads
from ingest.services import IngestServices
from knowledge.memory_index import MemoryIndex
from processors.retry import RetryPolicy
from processors.settings import WorkerSettings
from processors.worker import Worker
from projections.errors import RebuildRefused
from projections.memory_views import MemoryViews
from projections.projector import run_projectors
from projections.queries import Queries
from projections.replay import rebuild
from tests.simulation.checks import Checks
from tests.simulation.climate import Climate
from tests.simulation.content_stores import SimulatedBlobs, SimulatedIndex
from tests.simulation.event_stores import SimulatedInbox, SimulatedLog
from tests.simulation.loop import Process, SimulatedLoop, seeded
from tests.simulation.mill import SimulatedChunker, SimulatedEmbedder, SimulatedOrigins, SimulatedParser
from tests.simulation.rows import RowChecks
from tests.simulation.view_checks import ViewChecks
from tests.simulation.views import SimulatedViews
from tests.simulation.wire import Weather, Wire

T = TypeVar("T")

PARTITIONS: Final = 2
WORKERS: Final = 3
LEASE_MS: Final = 2_000

LEASE_POLL_MS: Final = 400
"""A projector that waits for its turn asks for it ten times a second in the product; that was a sixth of all steps."""

THROUGH_BYTES_MAX: Final = 60
"""About half of the documents take all steps in one turn."""

SETTINGS: Final = WorkerSettings(
    fetch_slots=2,
    parse_slots=2,
    chunk_slots=1,
    embed_slots=2,
    index_slots=2,
    finish_slots=1,
    erase_slots=1,
    fetch_retry_s=0.1,
    fetch_time_limit_s=6.0,
    parse_time_limit_s=6.0,
    chunk_time_limit_s=8.0,
    embed_time_limit_s=12.0,
    index_time_limit_s=8.0,
    finish_time_limit_s=8.0,
    erase_time_limit_s=12.0,
    embed_batch_chunks=2,
    through_bytes_max=THROUGH_BYTES_MAX,
    lease_ms=LEASE_MS,
    heartbeat_ms=500,
    claim_interval_ms=1_000,
    take_wait_ms=2_000,
    timer_interval_ms=700,
    drain_s=1.0,
    retry=RetryPolicy(base_s=0.05, cap_s=2.0, retry_after_s_max=3.0),
)


class World:
    """Everything there is. `running` are the processes that somebody may do something to, by their names."""

    def __init__(self, loop: SimulatedLoop, seed: str, climate: Climate) -> None:
        self.loop = loop
        self.rng = seeded(f"{seed}/world")
        self._seed = seed
        self._skew_s = climate.skew_s
        self.weather = Weather(seeded(f"{seed}/weather"), climate)
        self.log = MemoryLog(partitions=PARTITIONS, clock_us=loop.now_us)
        self.inbox = MemoryInbox(self.log)
        self.blobs = MemoryBlobStore()
        self.index = MemoryIndex()
        self.views = MemoryViews(partitions=PARTITIONS, clock_ms=lambda: loop.now_us() // 1_000)
        self.rows = RowChecks(self.blobs, self.index, lambda stream: self.checks.documents.get(stream, Unknown()))
        self.checks = Checks(loop, self.log, self.rows)
        self.view_checks = ViewChecks(self.log, self.views)
        self.workers: dict[Process, asyncio.Event] = {}
        self.projectors: dict[Process, asyncio.Event] = {}
        self.apis: list[Process] = []
        self.rebuilds: dict[Process, None] = {}
        self._services: dict[Process, IngestServices] = {}
        self._born = 0

    # Processes

    def start_worker(self) -> None:
        process, wire = self._process("worker")
        stop = asyncio.Event()
        self.workers[process] = stop
        clock_us, ids, rng = self._of(process)
        log = SimulatedLog(wire, self.log, self.checks)
        views = SimulatedViews(wire, self.views, self.view_checks)
        embedder, chunker = SimulatedEmbedder(self.weather), SimulatedChunker()
        worker = Worker(
            name=process.name,
            log=log,
            inbox=SimulatedInbox(wire, self.log, self.inbox, self.checks),
            blobs=SimulatedBlobs(wire, self.blobs, self.checks),
            index=SimulatedIndex(wire, self.index, self.checks),
            embedder_for=lambda _: embedder,
            chunker_for=lambda _: chunker,
            parser=SimulatedParser(self.weather),
            documents_of=Queries(log, views).documents_of,
            clock_us=clock_us,
            ids=ids,
            rng=rng,
            settings=SETTINGS,
            origins=SimulatedOrigins(self.weather),
        )
        self.spawn(process, worker.run(stop))

    def start_projector(self) -> None:
        process, wire = self._process("projector")
        stop = asyncio.Event()
        self.projectors[process] = stop
        log = SimulatedLog(wire, self.log, self.checks)
        views = SimulatedViews(wire, self.views, self.view_checks)
        self.spawn(process, run_projectors(log, views, holder=process.name, stop=stop, lease_poll_ms=LEASE_POLL_MS))

    def start_api(self) -> None:
        process, wire = self._process("api")
        self.apis.append(process)
        clock_us, ids, _ = self._of(process)
        self._services[process] = IngestServices(
            log=SimulatedLog(wire, self.log, self.checks),
            blobs=SimulatedBlobs(wire, self.blobs, self.checks),
            uploads=MemoryUploads(),
            ids=ids,
            clock_us=clock_us,
            actor_of=lambda _: "client",
            known_embedding=lambda _: None,
            status_of=_no_status,
        )

    def start_rebuild(self) -> None:
        """Somebody rebuilds the views of a partition while everything goes on."""
        process, wire = self._process("rebuild")
        self.rebuilds[process] = None
        log = SimulatedLog(wire, self.log, self.checks)
        views = SimulatedViews(wire, self.views, self.view_checks)
        partition = self.rng.randrange(PARTITIONS)

        async def run() -> None:
            try:
                await rebuild(log, views, partition, holder=process.name)
            except (LogError, RebuildRefused):
                return  # its operator says it again
            finally:
                self.rebuilds.pop(process, None)

        self.spawn(process, run())

    def ask(self, request: Callable[[IngestServices], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """A request to some API process, which may be frozen."""
        process = self.rng.choice(self.apis)
        return self.loop.spawn(process, request(self._services[process]))

    def spawn(self, process: Process, main: Coroutine[Any, Any, object]) -> None:
        """The main task of a process: it never ends by an error."""

        def ended(task: asyncio.Task[object]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                self.loop.fail(AssertionError(f"{process} ended: {error!r}"))

        self.loop.spawn(process, main).add_done_callback(ended)

    def _process(self, role: str) -> tuple[Process, Wire]:
        self._born += 1
        process = Process(f"{role}-{self._born}")
        return process, Wire(self.loop, self.weather, process)

    def _of(self, process: Process) -> tuple[Callable[[], int], IdFactory, Random]:
        """Clock, ids and chance of a process."""
        rng = seeded(f"{self._seed}/{process.name}")
        skew_us = round(rng.uniform(-self._skew_s, self._skew_s) * 1_000_000)

        def clock_us() -> int:
            return self.loop.now_us() + skew_us

        return clock_us, IdFactory(lambda: clock_us() // 1_000, rng.randbytes), rng


async def _no_status(_knowledge_base: object) -> Any:
    raise AssertionError("no request of the simulation asks for a status")
