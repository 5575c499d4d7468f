"""One worker: every step with what it needs, served under the worker's name."""

import asyncio
import random
from collections.abc import Callable, Collection
from typing import Final

from blobs.store import BlobStore
from events.ids import IdFactory
from events.inbox import Inbox
from events.log import EventLog
from events.steps import Step
from knowledge.index import Index
from processors.chunk import ChunkerFor
from processors.document_steps import DocumentSteps
from processors.documents import DocumentDeliveries
from processors.embedder_for import EmbedderFor
from processors.erase import DocumentsOf, EraseStep
from processors.errands import ErrandDeliveries
from processors.fetch import FetchStep
from processors.finish import FinishStep
from processors.group_commit import GroupCommit
from processors.knowledge_bases import KnowledgeBases
from processors.memory_provider import MemoryProviderGate
from processors.observing import AttemptObserver, NobodyWatches
from processors.origins import Origins
from processors.parse import TextParser
from processors.patience import PatientLog
from processors.provider import ProviderGate, Quota
from processors.revise import Reviser, ReviseStep
from processors.runner import CarryOut
from processors.serving import Serving
from processors.settings import WorkerSettings
from processors.step import Errand, Processor
from processors.through import STEPS_BEHIND, Through, behind_a_turn
from processors.under_way import CountedDeliveries, UnderWay
from processors.workbench import Workbench

LOOK_GATHER_S: Final = 0.1
"""How long documents that look for vectors in the index wait for others of their worker that will: a query opens each
file since the last compaction, 10 ms, and takes a call of a provider as long."""


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
        self._drain_s = settings.drain_s
        patient = PatientLog(log, random=rng.random)
        known = KnowledgeBases(patient, clock_us=clock_us)
        watching = observer or NobodyWatches()
        under_way = UnderWay(watching)
        bench = Workbench(
            log=patient,
            inbox=inbox,
            worker=name,
            clock_us=clock_us,
            new_event_id=ids.event,
            random=rng.random,
            policy=settings.retry,
            observer=under_way,
        )
        steps_of = DocumentSteps(
            parser=parser,
            chunker_for=chunker_for,
            embedder_for=embedder_for,
            gate=gate or MemoryProviderGate(Quota(), clock_us=clock_us),
            index=index,
            known=known,
            group=group_commit(under_way, settings),
            looks=GroupCommit(under_way, places=settings.index_group, wait_s=LOOK_GATHER_S),
            settings=settings,
        )

        documents = _of_documents(steps_of, blobs, origins, steps, settings, clock_us, watching)
        errands = _errands(patient, blobs, index, known, steps_of, documents_of, bench, settings)

        served: dict[Step, CarryOut] = {
            step: CountedDeliveries(step, DocumentDeliveries(one, bench, known), under_way)
            for step, one in documents.items()
        }
        served |= {one.step: ErrandDeliveries(one, bench) for one in errands}
        self._serving = Serving(
            {step: one for step, one in served.items() if steps is None or step in steps}, bench, log, settings
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop`, drains, leaves. Raises an ExceptionGroup where a loop broke: a bug, never an outage."""
        await self._serving.run(stop, drain_s=self._drain_s)


def group_commit(under_way: UnderWay, settings: WorkerSettings) -> GroupCommit:
    """No more wait for others than the step has slots: those beyond can never come."""
    places = min(settings.index_group, settings.index_slots)
    return GroupCommit(under_way, places=places, wait_s=settings.index_gather_ms / 1_000)


def _of_documents(
    steps_of: DocumentSteps,
    blobs: BlobStore,
    origins: Origins | None,
    steps: Collection[Step] | None,
    settings: WorkerSettings,
    clock_us: Callable[[], int],
    observer: AttemptObserver,
) -> dict[Step, Processor]:
    """By step. Small documents go through all of them in one turn where all are served here."""
    made = behind_a_turn(steps_of.on(blobs))
    serves_all = steps is None or set(steps) >= STEPS_BEHIND
    bytes_max = settings.through_bytes_max if serves_all else 0
    made[Step.PARSE] = Through(
        blobs, steps_of.on, settings, clock_us, observer, bytes_max=bytes_max, looks=steps_of.looks
    )
    if origins is not None:
        made[Step.FETCH] = _fetch_step(blobs, origins, settings)
    return made


def _errands(
    log: EventLog,
    blobs: BlobStore,
    index: Index,
    known: KnowledgeBases,
    steps_of: DocumentSteps,
    documents_of: DocumentsOf,
    bench: Workbench,
    settings: WorkerSettings,
) -> list[Errand]:
    """What is done for a task, a document or a knowledge base without a step of a document's state."""
    reviser = Reviser(log, index, known, steps_of.rows_on(blobs))
    return [
        FinishStep(log, time_limit_s=settings.finish_time_limit_s),
        ReviseStep(reviser, time_limit_s=settings.revise_time_limit_s, grace_s=settings.revise_grace_s),
        EraseStep(blobs, index, known, documents_of, bench, time_limit_s=settings.erase_time_limit_s),
    ]


def _fetch_step(blobs: BlobStore, origins: Origins, settings: WorkerSettings) -> FetchStep:
    return FetchStep(
        blobs,
        origins,
        bytes_max=settings.fetch_bytes_max,
        retry_s=settings.fetch_retry_s,
        time_limit_s=settings.fetch_time_limit_s,
    )
