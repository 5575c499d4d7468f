"""A mill in memory for tests of processors: log, inbox, a clock that is set by hand, and processors that obey."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from domain.commands import (
    AcceptDocument,
    CreateKnowledgeBase,
    DocumentCommand,
    RecordChunked,
    RecordEmbedded,
    RecordIndexed,
    RecordParsed,
    SubmitTask,
)
from domain.deciders import DOCUMENT, TASK, knowledge_base_decider
from domain.document import DocumentState
from domain.handle import Context, Request, handle, handle_together, load
from domain.task import TaskState
from events.envelope import Envelope, Event
from events.ids import DocumentId, IdFactory, KnowledgeBaseId, TaskId, document_id, partition_of
from events.inbox import Delivery, InboxDepth, InboxKey
from events.knowledge_base import KnowledgeBaseSettings
from events.memory import MemoryLog
from events.memory_inbox import MemoryInbox
from events.steps import Lane, Step
from events.trace_context import trace_parent
from processors.documents import DocumentDeliveries
from processors.knowledge_bases import KnowledgeBases
from processors.retry import RetryPolicy
from processors.step import Done, Outcome, Work
from processors.turns import inboxes_in_turn
from processors.workbench import Workbench

PARTITIONS = 2
WORKER = "worker-1"


class Clock:
    """Unix µs, moved by hand."""

    def __init__(self) -> None:
        self.now_us = 1_700_000_000_000_000

    def __call__(self) -> int:
        return self.now_us

    def advance(self, seconds: float) -> None:
        self.now_us += round(seconds * 1_000_000)


class Mill:
    """One knowledge base on a log in memory."""

    def __init__(self, seed: int = 7) -> None:
        self.clock = Clock()
        self.rng = Random(seed)  # noqa: S311  ids of tests, not secrets
        self.ids = IdFactory(lambda: self.clock.now_us // 1_000, self.rng.randbytes)
        self.log = MemoryLog(partitions=PARTITIONS, clock_us=self.clock)
        self.inbox = MemoryInbox(self.log)
        self.knowledge_base = self.ids.knowledge_base(PARTITIONS)

    def context(self, correlation_id: str) -> Context:
        return Context(
            clock_us=self.clock,
            new_event_id=self.ids.event,
            correlation_id=correlation_id,
            trace_parent=trace_parent(),
        )

    def bench(self, worker: str = WORKER, policy: RetryPolicy | None = None) -> Workbench:
        return Workbench(
            log=self.log,
            inbox=self.inbox,
            worker=worker,
            clock_us=self.clock,
            new_event_id=self.ids.event,
            random=lambda: 0.5,
            policy=policy or RetryPolicy(),
        )

    async def create(self, settings: KnowledgeBaseSettings | None = None) -> KnowledgeBaseId:
        decider = knowledge_base_decider(self.knowledge_base)
        context = self.context(self.knowledge_base)
        command = CreateKnowledgeBase(name="mill", settings=settings or KnowledgeBaseSettings())
        await handle(self.log, decider, self.knowledge_base, [command], context)
        return self.knowledge_base

    async def submit(
        self, documents: int = 1, *, lane: Lane = Lane.INTERACTIVE, **about: str | int
    ) -> tuple[TaskId, list[DocumentId]]:
        task = self.ids.task(self.knowledge_base)
        names = [document_id(task, ordinal) for ordinal in range(documents)]
        submitted = SubmitTask(knowledge_base_id=self.knowledge_base, documents=documents, lane=lane)
        requests: list[Request[object, object]] = [Request(TASK, task, (submitted,))]  # type: ignore[arg-type]
        requests += [Request(DOCUMENT, name, (self.acceptance(task, lane, **about),)) for name in names]  # type: ignore[arg-type]
        await handle_together(self.log, requests, self.context(task))
        return task, names

    def acceptance(self, task: TaskId, lane: Lane, **about: str | int) -> AcceptDocument:
        facts = {
            "filename": "a.txt",
            "media_type": "text/plain",
            "size_bytes": 1,
            "sha256": "0" * 64,
            "source_blob": "s",
        }
        return AcceptDocument(
            knowledge_base_id=self.knowledge_base,
            task_id=task,
            lane=lane,
            **(facts | about),  # type: ignore[arg-type]
        )

    def deliveries(
        self, processor: "Obedient", worker: str = WORKER, *, policy: RetryPolicy | None = None
    ) -> DocumentDeliveries:
        return DocumentDeliveries(processor, self.bench(worker, policy), KnowledgeBases(self.log, clock_us=self.clock))

    async def take(self, step: Step, consumer: str = WORKER, count: int = 1) -> list[Delivery]:
        return await self.inbox.take(inboxes_in_turn(step, PARTITIONS, 0), consumer=consumer, count=count)

    async def take_one(self, step: Step, consumer: str = WORKER) -> Delivery:
        (delivery,) = await self.take(step, consumer)
        return delivery

    async def claim(self, step: Step, consumer: str, silent_ms_min: int = 0) -> list[Delivery]:
        keys = inboxes_in_turn(step, PARTITIONS, 0)
        return await self.inbox.claim_from_dead(keys, consumer=consumer, count=10, silent_ms_min=silent_ms_min)

    async def depth(self, step: Step, lane: Lane = Lane.INTERACTIVE) -> InboxDepth:
        return await self.inbox.depth(InboxKey(partition_of(self.knowledge_base), step, lane))

    async def document(self, name: str) -> DocumentState:
        return (await load(self.log, DOCUMENT, name)).state

    async def task(self, name: str) -> TaskState:
        return (await load(self.log, TASK, name)).state

    async def history(self, name: str) -> list[Event]:
        return [envelope.event for envelope in await self.log.history(name)]

    async def say(self, name: str, *commands: DocumentCommand) -> None:
        """As if somebody else had said it."""
        await handle(self.log, DOCUMENT, name, commands, self.context(self.ids.task(self.knowledge_base)))

    async def until(self, is_it: Callable[[Event], bool], count: int = 1) -> None:
        """Waits for the events in the log; raises TimeoutError after 10 s."""
        after, seen = None, 0
        async with asyncio.timeout(10):
            while seen < count:
                partition = partition_of(self.knowledge_base)
                for entry in await self.log.read(partition, after=after, wait_ms=1_000):
                    after = entry.position
                    seen += isinstance(entry, Envelope) and is_it(entry.event)


class Obedient:
    """A processor that does what the test says."""

    def __init__(
        self, answer: Callable[[Work], Awaitable[Outcome]], step: Step = Step.PARSE, time_limit_s: float = 5.0
    ) -> None:
        self.step = step
        self.time_limit_s = time_limit_s
        self.attempts: list[Work] = []
        self.abandoned: list[DocumentState] = []
        self._answer = answer

    async def run(self, work: Work) -> Outcome:
        self.attempts.append(work)
        return await self._answer(work)

    async def abandon(self, work: Work, now: DocumentState) -> None:
        self.abandoned.append(now)


def result_of(step: Step, attempt: int) -> DocumentCommand:
    """The command with which a step ends well."""
    match step:
        case Step.PARSE:
            return RecordParsed(attempt=attempt, text_blob="t", parser="p", pages=1, characters=1)
        case Step.CHUNK:
            return RecordChunked(attempt=attempt, chunks_blob="c", chunks=2, tokens=2, chunker="k")
        case Step.EMBED:
            return RecordEmbedded(attempt=attempt, model="m", dimensions=2, tokens=2)
        case Step.INDEX:
            return RecordIndexed(attempt=attempt, generation=1, chunks=2)
        case _:
            raise ValueError(step)


async def done(work: Work) -> Outcome:
    return Done((result_of(work.delivery.step, work.attempt),))


def answering(outcome: Outcome) -> Callable[[Work], Awaitable[Outcome]]:
    async def answer(work: Work) -> Outcome:
        return outcome

    return answer


def raising(error: Exception) -> Callable[[Work], Awaitable[Outcome]]:
    async def answer(work: Work) -> Outcome:
        raise error

    return answer
