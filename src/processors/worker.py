"""One worker: a runner for each step, heartbeats, claims, timers, and a graceful stop."""

import asyncio
import random
from collections.abc import Callable, Collection, Coroutine

import structlog

from blobs.store import BlobStore
from events.ids import IdFactory
from events.inbox import Inbox
from events.knowledge_base import KnowledgeBaseSettings
from events.log import EventLog
from events.seldom import Seldom
from events.steps import Step
from knowledge.index import Index
from processors.chunk import ChunkerFor, ChunkStep
from processors.documents import DocumentDeliveries
from processors.embed import EmbedStep
from processors.embedder_for import EmbedderFor, embedding_of
from processors.erase import DocumentsOf, EraseStep
from processors.errands import ErrandDeliveries
from processors.fetch import FetchStep
from processors.finish import FinishStep
from processors.index import IndexStep
from processors.knowledge_bases import KnowledgeBases
from processors.liveness import beat_until, claim_until, leave
from processors.memory_provider import MemoryProviderGate
from processors.observing import AttemptObserver, NobodyWatches
from processors.origins import Origins
from processors.parse import ParseStep, TextParser
from processors.patience import PatientLog
from processors.provider import ProviderGate, Quota
from processors.provider_calls import ProviderCalls
from processors.revise import Reviser, ReviseStep
from processors.rows import RowMaker, embed_through
from processors.runner import GIVE_BACK_S, CarryOut, Runner
from processors.settings import WorkerSettings
from processors.step import Errand, Processor
from processors.timers import move_due_until
from processors.watch import look_until
from processors.workbench import Workbench


class Worker:
    """Serves `steps` (all of them where None). `name` is unique to the process; `clock_us` is unix µs.

    Without `origins` it fetches nothing and leaves that step to others. Without a `gate` shared with others this worker
    alone spares an embedding provider that is down or wants a pause.

    The collaborators belong to the caller, who closes them after `run` has returned.
    """

    def __init__(
        self,
        *,
        name: str,
        log: EventLog,
        inbox: Inbox,
        blobs: BlobStore,
        index: Index,
        embedder_for: EmbedderFor,
        chunker_for: ChunkerFor,
        parser: TextParser,
        documents_of: DocumentsOf,
        clock_us: Callable[[], int],
        ids: IdFactory,
        rng: random.Random,
        settings: WorkerSettings,
        steps: Collection[Step] | None = None,
        gate: ProviderGate | None = None,
        origins: Origins | None = None,
        observer: AttemptObserver | None = None,
    ) -> None:
        self._name = name
        self._log = log
        self._inbox = inbox
        self._partitions = log.partitions
        self._settings = settings
        self._random = rng.random
        patient = PatientLog(log, random=rng.random)
        bench = Workbench(
            log=patient,
            inbox=inbox,
            worker=name,
            clock_us=clock_us,
            new_event_id=ids.event,
            random=rng.random,
            policy=settings.retry,
            observer=observer or NobodyWatches(),
        )
        self._watch = bench.watch
        self._told = Seldom()
        known = KnowledgeBases(patient, clock_us=clock_us)
        parse_s, chunk_s = settings.parse_time_limit_s, settings.chunk_time_limit_s
        embed_s, index_s = settings.embed_time_limit_s, settings.index_time_limit_s
        batch, chunks_max = settings.embed_batch_chunks, settings.chunks_max
        gate = gate or MemoryProviderGate(Quota(), clock_us=clock_us)

        def calls_for(asked: KnowledgeBaseSettings) -> ProviderCalls:
            return ProviderCalls(embedder_for(embedding_of(asked)), gate, sleep=asyncio.sleep, texts_max=batch)

        rows = RowMaker(blobs, index, embed_through(embedder_for, gate))
        documents: list[Processor] = [
            *([] if origins is None else [_fetch_step(blobs, origins, settings)]),
            ParseStep(blobs, parser, time_limit_s=parse_s),
            ChunkStep(blobs, chunker_for, calls_for, chunks_max=chunks_max, time_limit_s=chunk_s),
            EmbedStep(blobs, embedder_for, gate, index, batch_chunks=batch, time_limit_s=embed_s),
            IndexStep(blobs, index, known, rows, time_limit_s=index_s),
        ]
        errands: list[Errand] = [
            FinishStep(patient, time_limit_s=settings.finish_time_limit_s),
            ReviseStep(
                Reviser(patient, index, known, rows),
                time_limit_s=settings.revise_time_limit_s,
                grace_s=settings.revise_grace_s,
            ),
            EraseStep(blobs, index, known, documents_of, bench, time_limit_s=settings.erase_time_limit_s),
        ]
        served: dict[Step, CarryOut] = {one.step: DocumentDeliveries(one, bench, known) for one in documents}
        served |= {one.step: ErrandDeliveries(one, bench) for one in errands}
        self._runners = [
            self._runner(step, carry_out)
            for step, carry_out in served.items()
            if settings.slots(step) > 0 and (steps is None or step in steps)
        ]

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop`, drains, leaves. Raises an ExceptionGroup where a loop broke: a bug, never an outage."""
        ended = asyncio.Event()
        steps = [runner.step.value for runner in self._runners]
        structlog.get_logger().info("worker_started", worker=self._name, steps=steps)
        try:
            async with asyncio.TaskGroup() as loops:
                for loop in self._loops(stop, ended):
                    loops.create_task(loop)
                async with asyncio.TaskGroup() as runners:
                    for runner in self._runners:
                        runners.create_task(runner.run(stop, self._settings.drain_s))
                ended.set()
        finally:
            await leave(self._inbox, self._name, timeout_s=GIVE_BACK_S)
        structlog.get_logger().info("worker_stopped", worker=self._name)

    def _loops(self, stop: asyncio.Event, ended: asyncio.Event) -> list[Coroutine[None, None, None]]:
        settings, inbox = self._settings, self._inbox
        heartbeat_s, interval_s = settings.heartbeat_ms / 1_000, settings.claim_interval_ms / 1_000
        return [
            beat_until(ended, inbox, self._name, heartbeat_s=heartbeat_s),
            claim_until(stop, inbox, self._runners, self._name, interval_s=interval_s, lease_ms=settings.lease_ms),
            move_due_until(stop, inbox, partitions=self._partitions, interval_s=settings.timer_interval_ms / 1_000),
            look_until(ended, self._watch, self._log, interval_s=settings.watch_interval_ms / 1_000),
        ]

    def _runner(self, step: Step, carry_out: CarryOut) -> Runner:
        return Runner(
            step,
            carry_out,
            self._inbox,
            consumer=self._name,
            partitions=self._partitions,
            slots=self._settings.slots(step),
            take_wait_ms=self._settings.take_wait_ms,
            random=self._random,
            told=self._told,
        )


def _fetch_step(blobs: BlobStore, origins: Origins, settings: WorkerSettings) -> FetchStep:
    return FetchStep(
        blobs,
        origins,
        bytes_max=settings.fetch_bytes_max,
        retry_s=settings.fetch_retry_s,
        time_limit_s=settings.fetch_time_limit_s,
    )
