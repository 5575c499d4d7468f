"""One worker: a runner for each step, heartbeats, claims, timers, and a graceful stop."""

import asyncio
import random
from collections.abc import Callable, Collection

import structlog

from blobs.store import BlobStore
from events.ids import IdFactory
from events.inbox import Inbox
from events.log import EventLog
from events.steps import Step
from knowledge.index import Index
from processors.chunk import ChunkerFor, ChunkStep
from processors.documents import DocumentDeliveries
from processors.embed import EmbedderFor, EmbedStep
from processors.erase import DocumentsOf, EraseStep
from processors.errands import ErrandDeliveries
from processors.finish import FinishStep
from processors.index import IndexStep
from processors.knowledge_bases import KnowledgeBases
from processors.liveness import beat_until, claim_until, leave
from processors.parse import ParseStep, TextParser
from processors.patience import PatientLog
from processors.runner import GIVE_BACK_S, CarryOut, Runner
from processors.settings import WorkerSettings
from processors.step import Errand, Processor
from processors.timers import move_due_until
from processors.workbench import Workbench


class Worker:
    """Serves `steps` (all of them where None). `name` is unique to the process; `clock_us` is unix µs.

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
    ) -> None:
        self._name = name
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
        )
        knowledge_bases = KnowledgeBases(patient, clock_us=clock_us)
        documents: list[Processor] = [
            ParseStep(blobs, parser, time_limit_s=settings.parse_time_limit_s),
            ChunkStep(blobs, chunker_for, chunks_max=settings.chunks_max, time_limit_s=settings.chunk_time_limit_s),
            EmbedStep(
                blobs,
                embedder_for,
                batch_chunks=settings.embed_batch_chunks,
                time_limit_s=settings.embed_time_limit_s,
            ),
            IndexStep(blobs, index, knowledge_bases, time_limit_s=settings.index_time_limit_s),
        ]
        errands: list[Errand] = [
            FinishStep(patient, time_limit_s=settings.finish_time_limit_s),
            EraseStep(blobs, index, knowledge_bases, documents_of, bench, time_limit_s=settings.erase_time_limit_s),
        ]
        served = {one.step: DocumentDeliveries(one, bench, knowledge_bases) for one in documents}
        self._runners = [
            *(self._runner(step, carry_out) for step, carry_out in served.items() if _is_served(step, steps, settings)),
            *(
                self._runner(errand.step, ErrandDeliveries(errand, bench))
                for errand in errands
                if _is_served(errand.step, steps, settings)
            ),
        ]

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop`, drains, leaves. Raises an ExceptionGroup where a loop broke: a bug, never an outage."""
        settings, ended = self._settings, asyncio.Event()
        structlog.get_logger().info(
            "worker_started", worker=self._name, steps=[runner.step.value for runner in self._runners]
        )
        try:
            async with asyncio.TaskGroup() as loops:
                loops.create_task(beat_until(ended, self._inbox, self._name, heartbeat_s=settings.heartbeat_ms / 1_000))
                loops.create_task(
                    claim_until(
                        stop,
                        self._inbox,
                        self._runners,
                        self._name,
                        interval_s=settings.claim_interval_ms / 1_000,
                        lease_ms=settings.lease_ms,
                    )
                )
                loops.create_task(
                    move_due_until(
                        stop,
                        self._inbox,
                        partitions=self._partitions,
                        interval_s=settings.timer_interval_ms / 1_000,
                    )
                )
                async with asyncio.TaskGroup() as runners:
                    for runner in self._runners:
                        runners.create_task(runner.run(stop, settings.drain_s))
                ended.set()
        finally:
            await leave(self._inbox, self._name, timeout_s=GIVE_BACK_S)
        structlog.get_logger().info("worker_stopped", worker=self._name)

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
        )


def _is_served(step: Step, steps: Collection[Step] | None, settings: WorkerSettings) -> bool:
    return settings.slots(step) > 0 and (steps is None or step in steps)
