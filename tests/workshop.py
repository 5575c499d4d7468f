"""A workshop over any log: creates knowledge bases, submits tasks and takes documents through their steps.

Times rise by a millisecond an event, ids are counted, so that a test can be read; every event is one that the deciders
made, as the product appends it.
"""

from itertools import count
from typing import Any, Final

from domain import commands as c
from domain.deciders import DOCUMENT, TASK, knowledge_base_decider
from domain.handle import Context, Request, handle, handle_together
from events.document import Metadata
from events.ids import DocumentId, IdFactory, KnowledgeBaseId, TaskId, document_id, partition_of
from events.log import EventLog
from events.steps import Step

FIRST_US: Final = 1_700_000_000_000_000
EVENT_US: Final = 1_000


class Workshop:
    """Everything that happens before the views."""

    def __init__(self, log: EventLog, *, salt: int = 0) -> None:
        self.log = log
        self.sha256 = "ab" * 32
        self._ticks = count(1)
        self._numbers = count(salt * 1_000_000 + 1)
        self.ids = IdFactory(lambda: FIRST_US // 1_000 + next(self._numbers), self._bytes)

    def now_us(self) -> int:
        return FIRST_US + EVENT_US * next(self._ticks)

    def let_pass(self, time_us: int) -> None:
        """The next event comes so much later."""
        self._ticks = count(next(self._ticks) + time_us // EVENT_US)

    async def create(self, name: str = "handbook", *, partition: int | None = None) -> KnowledgeBaseId:
        knowledge_base = self.ids.knowledge_base(self.log.partitions)
        while partition is not None and partition_of(knowledge_base) != partition:
            knowledge_base = self.ids.knowledge_base(self.log.partitions)
        await self.tell(knowledge_base, c.CreateKnowledgeBase(name=name))
        return knowledge_base

    async def tell(self, knowledge_base: KnowledgeBaseId, *commands: c.KnowledgeBaseCommand) -> None:
        decider = knowledge_base_decider(knowledge_base)
        await handle(self.log, decider, knowledge_base, commands, self.context(knowledge_base))

    async def tell_task(self, task: TaskId, *commands: c.TaskCommand) -> None:
        await handle(self.log, TASK, task, commands, self.context(task))

    async def submit(
        self,
        knowledge_base: KnowledgeBaseId,
        documents: int = 1,
        *,
        filename: str = "报告.txt",
        metadata: Metadata | None = None,
        callback_url: str | None = None,
    ) -> tuple[TaskId, list[DocumentId]]:
        task = self.ids.task(knowledge_base)
        names = [document_id(task, ordinal) for ordinal in range(documents)]
        submit = c.SubmitTask(knowledge_base_id=knowledge_base, documents=documents, callback_url=callback_url)
        accept = c.AcceptDocument(
            knowledge_base_id=knowledge_base,
            task_id=task,
            filename=filename,
            media_type="text/plain",
            size_bytes=100,
            sha256=self.sha256,
            source_blob="source",
            metadata=metadata or {},
        )
        requests: list[Request[Any, Any]] = [Request(TASK, task, (submit,))]
        requests += [Request(DOCUMENT, name, (accept,)) for name in names]
        await handle_together(self.log, requests, self.context(task))
        return task, names

    async def request(self, knowledge_base: KnowledgeBaseId) -> tuple[TaskId, DocumentId]:
        """A document that lies elsewhere."""
        task = self.ids.task(knowledge_base)
        submit = c.SubmitTask(knowledge_base_id=knowledge_base, documents=1)
        wanted = c.RequestDocument(
            knowledge_base_id=knowledge_base, task_id=task, filename="a.txt", url="https://example.com/a.txt"
        )
        requests: list[Request[Any, Any]] = [
            Request(TASK, task, (submit,)),
            Request(DOCUMENT, document_id(task, 0), (wanted,)),
        ]
        await handle_together(self.log, requests, self.context(task))
        return task, document_id(task, 0)

    async def work(self, document: DocumentId, *commands: c.DocumentCommand) -> int:
        """How many events followed."""
        handled = await handle(self.log, DOCUMENT, document, commands, self.context(document))
        return len(handled.envelopes)

    async def start(self, document: DocumentId, step: Step = Step.PARSE, attempt: int = 1) -> None:
        await self.work(document, c.StartStep(step=step, attempt=attempt, worker="w1"))

    async def parse(self, document: DocumentId) -> None:
        """From accepted to parsed."""
        await self.start(document)
        await self.work(document, c.RecordParsed(attempt=1, text_blob="t", parser="plain", pages=1, characters=9))

    async def complete(self, document: DocumentId) -> None:
        """From accepted to searchable: nine events."""
        await self.parse(document)
        await self.start(document, Step.CHUNK)
        await self.work(document, c.RecordChunked(attempt=1, chunks_blob="c", chunks=3, tokens=9, chunker="markdown"))
        await self.start(document, Step.EMBED)
        batch = c.RecordBatchEmbedded(attempt=1, batch=0, first_chunk=0, last_chunk=2, vectors_blob="v")
        await self.work(document, batch, c.RecordEmbedded(attempt=1, model="local", dimensions=2, tokens=9))
        await self.start(document, Step.INDEX)
        assert await self.work(document, c.RecordIndexed(attempt=1, generation=1, chunks=3)) == 1

    async def fail(self, document: DocumentId) -> None:
        await self.start(document)
        await self.work(document, c.FailStep(step=Step.PARSE, attempt=1, code="no_text", message="no text in it"))

    async def finish(self, task: TaskId) -> None:
        """As the finish step does once no document is open."""
        tally = await self.log.tally(task)
        await handle(self.log, TASK, task, [c.FinishTask(tally=tally)], self.context(task))

    async def through(
        self, knowledge_base: KnowledgeBaseId, documents: int = 1, *, callback_url: str | None = None
    ) -> tuple[TaskId, list[DocumentId]]:
        """A whole task, from its submission to its end."""
        task, names = await self.submit(knowledge_base, documents, callback_url=callback_url)
        for name in names:
            await self.complete(name)
        await self.finish(task)
        return task, names

    def context(self, correlation_id: str) -> Context:
        return Context(clock_us=self.now_us, new_event_id=self.ids.event, correlation_id=correlation_id, actor="tests")

    def _bytes(self, size: int) -> bytes:
        return next(self._numbers).to_bytes(size)
