"""Simulated clients: they upload, repeat what got no answer, cancel, remove, ask for reprocessing.

A request runs inside an API process, with the product's own code; what the client learns is ok, refused or unknown.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from random import Random
from typing import Any, Final, TypeVar

import msgspec

from blobs.errors import BlobError
from domain.commands import CreateKnowledgeBase, DeleteKnowledgeBase, RequestReprocessing, SubmitTask
from domain.deciders import DOCUMENT, TASK, knowledge_base_decider
from domain.errors import Contention, Refused
from domain.handle import Request, handle, load, prepare
from domain.sidecar import source_key
from events.document import OnDuplicate
from events.errors import LogError
from events.ids import DocumentId, KnowledgeBaseId, TaskId, document_id
from events.log import Appended
from events.steps import Lane, Step
from events.task import TaskSource
from ingest.accepted import AcceptedTask
from ingest.cancellation import cancel_task, remove_document
from ingest.imports import Importing, Wanted, request_documents
from ingest.knowledge_bases import while_active
from ingest.multipart import StoredFile
from ingest.options import UploadOptions
from ingest.services import IngestServices
from ingest.submit import Submission, new_task_id, submit
from ingest.unclaimed import UnclaimedBlobs
from knowledge.media_type import MediaType
from tests.simulation.mill import BROKEN

T = TypeVar("T")

PATIENCE_S: Final = 4.0
"""How long a client waits for an answer."""

ACTOR: Final = "client"

Ask = Callable[[Callable[[IngestServices], Coroutine[Any, Any, T]]], "asyncio.Task[T]"]
"""Runs a request in an API process that is up."""


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """One request as its client knows it, however often it is sent."""

    key: str | None
    files: tuple[bytes, ...]
    options: UploadOptions
    is_import: bool = False
    """The files lie elsewhere, and are named instead of sent."""


class Clients:
    """One world's clients, and what they were told."""

    def __init__(self, rng: Random, ask: Ask[Any], now_us: Callable[[], int], broken_files: float) -> None:
        self._rng = rng
        self._ask = ask
        self._now_us = now_us
        self._broken_files = broken_files
        self.knowledge_bases: list[KnowledgeBaseId] = []
        self.deleted: set[KnowledgeBaseId] = set()
        self.answers: dict[str, list[AcceptedTask]] = {}
        self.uploads: dict[TaskId, Upload] = {}
        self.unknown = 0
        self._sent: list[bytes] = []

    async def create(self, knowledge_base: KnowledgeBaseId) -> None:
        async def request(services: IngestServices) -> None:
            decider = knowledge_base_decider(knowledge_base)
            context = services.context(knowledge_base, ACTOR)
            await handle(services.log, decider, knowledge_base, [CreateKnowledgeBase(name="mill")], context)

        await self._until_answered(request)
        self.knowledge_bases.append(knowledge_base)

    async def live(self, number: int, until_s: float) -> None:
        """One client's life: deeds at random times, each repeated until it is answered."""
        loop = asyncio.get_running_loop()
        sent = 0
        while loop.time() < until_s:
            await asyncio.sleep(self._rng.expovariate(1 / 1.5))
            draw = self._rng.random()
            if draw < 0.5 or not self.uploads:
                await self._upload(f"key-{number}-{sent}")
                sent += 1
            elif draw < 0.64:
                await self._cancel()
            elif draw < 0.76:
                await self._remove()
            elif draw < 0.96:
                await self._reprocess(f"{number}-{sent}")
                sent += 1
            elif len(self.knowledge_bases) > 1:
                await self._delete_knowledge_base()

    async def _upload(self, key: str) -> None:
        upload = Upload(
            key=key,
            files=tuple(self._file() for _ in range(self._rng.choice((1, 1, 2, 3)))),
            options=UploadOptions(
                lane=self._rng.choice((Lane.INTERACTIVE, Lane.BULK)),
                not_before_us=self._rng.choice((None, None, None, self._now_us() + 1_500_000)),
                on_duplicate=self._rng.choice((OnDuplicate.SKIP, OnDuplicate.SKIP, *OnDuplicate)),
            ),
        )
        upload = msgspec.structs.replace(upload, is_import=self._rng.random() < 0.25)
        knowledge_base = self._rng.choice(self.knowledge_bases)

        async def request(services: IngestServices) -> AcceptedTask:
            return await self._send(services, knowledge_base, upload)

        answers = [await self._until_answered(request)]
        if self._rng.random() < 0.3:  # somebody pressed the button twice
            answers += await asyncio.gather(self._until_answered(request), self._until_answered(request))
        accepted = [one for one in answers if one is not None]
        self.answers.setdefault(key, []).extend(accepted)
        self.uploads.update((one.task_id, upload) for one in accepted)

    def _file(self) -> bytes:
        """One in four has been sent before, by whomever."""
        if self._sent and self._rng.random() < 0.25:
            return self._rng.choice(self._sent)
        self._sent.append(self._new_file())
        return self._sent[-1]

    def _new_file(self) -> bytes:
        head = BROKEN if self._rng.random() < self._broken_files else b"sack"
        parts = [f"{head.decode()} {self._rng.randrange(1_000_000)}" for _ in range(self._rng.choice((1, 2, 5)))]
        return " | ".join(parts).encode()

    async def _send(self, services: IngestServices, knowledge_base: KnowledgeBaseId, upload: Upload) -> AcceptedTask:
        task = new_task_id(services, knowledge_base, upload.key, ACTOR)
        if upload.is_import:
            return await self._name(services, knowledge_base, task, upload)
        async with UnclaimedBlobs(services.blobs) as unclaimed, AsyncExitStack() as writing:
            files, last = [], None
            for ordinal, data in enumerate(upload.files):
                if last is not None:
                    await last.commit()
                key = source_key(document_id(task, ordinal), services.ids.unique())
                last = await writing.enter_async_context(unclaimed.writer(key))
                await last.write(data)
                files.append(
                    StoredFile(
                        filename=f"{ordinal}.txt", media_type=MediaType.TEXT, declared_media_type=None, blob=last.ref
                    )
                )
            submission = Submission(
                knowledge_base_id=knowledge_base,
                task_id=task,
                files=tuple(files),
                options=upload.options,
                idempotency_key=upload.key,
                actor=ACTOR,
                guard=await while_active(services.log, knowledge_base),
                last=last,
            )
            return await submit(services, submission, unclaimed)

    async def _name(
        self, services: IngestServices, knowledge_base: KnowledgeBaseId, task: TaskId, upload: Upload
    ) -> AcceptedTask:
        about = Importing(
            knowledge_base_id=knowledge_base,
            task_id=task,
            options=upload.options,
            key=upload.key,
            actor=ACTOR,
            guard=await while_active(services.log, knowledge_base),
        )
        wanted = [Wanted(filename=f"{ordinal}.txt", object_key=data.hex()) for ordinal, data in enumerate(upload.files)]
        return await request_documents(services, about, wanted)

    async def _cancel(self) -> None:
        task = self._rng.choice(list(self.uploads))
        await self._until_answered(lambda services: cancel_task(services, task, "changed my mind", ACTOR))

    async def _remove(self) -> None:
        task, document = self._some_document()
        knowledge_base = await self._knowledge_base_of(task)
        if knowledge_base is not None:
            await self._until_answered(lambda services: remove_document(services, knowledge_base, document, ACTOR))

    async def _reprocess(self, salt: str) -> None:
        _, document = self._some_document()
        step = self._rng.choice((Step.FETCH, Step.PARSE, Step.PARSE, Step.CHUNK, Step.EMBED, Step.INDEX))

        async def request(services: IngestServices) -> None:
            known = await services.log.history(document)
            knowledge_base = known[0].event.knowledge_base_id  # type: ignore[union-attr]
            task = new_task_id(services, knowledge_base, f"again-{salt}", ACTOR)
            requests: list[Request[Any, Any]] = [
                Request(
                    TASK,
                    task,
                    (SubmitTask(knowledge_base_id=knowledge_base, documents=1, source=TaskSource.REINDEX),),
                ),
                Request(DOCUMENT, document, (RequestReprocessing(from_step=step, reason="again", task_id=task),)),
            ]
            await _both_or_none(services, requests, task)

        await self._until_answered(request)

    async def _delete_knowledge_base(self) -> None:
        knowledge_base = self.knowledge_bases.pop(self._rng.randrange(len(self.knowledge_bases)))

        async def request(services: IngestServices) -> None:
            decider = knowledge_base_decider(knowledge_base)
            context = services.context(knowledge_base, ACTOR)
            await handle(services.log, decider, knowledge_base, [DeleteKnowledgeBase()], context)

        await self._until_answered(request)
        self.deleted.add(knowledge_base)

    async def _knowledge_base_of(self, task: TaskId) -> KnowledgeBaseId | None:
        async def request(services: IngestServices) -> KnowledgeBaseId:
            known = await services.log.history(task)
            found: KnowledgeBaseId = known[0].event.knowledge_base_id  # type: ignore[union-attr]
            return found

        return await self._until_answered(request)

    def _some_document(self) -> tuple[TaskId, DocumentId]:
        task = self._rng.choice(list(self.uploads))
        return task, document_id(task, self._rng.randrange(len(self.uploads[task].files)))

    async def _until_answered(self, request: Callable[[IngestServices], Coroutine[Any, Any, T]]) -> T | None:
        """None where it was refused."""
        while True:
            asked: asyncio.Task[T] = self._ask(request)
            done, _ = await asyncio.wait([asked], timeout=self._rng.choice((PATIENCE_S, PATIENCE_S, 0.1)))
            if not done:
                if self._rng.random() < 0.5:
                    asked.cancel()  # the connection broke, and the server noticed
                self.unknown += 1
                continue
            try:
                return asked.result()
            except Refused:
                return None
            except (LogError, BlobError, Contention, asyncio.CancelledError):
                self.unknown += 1
                await asyncio.sleep(self._rng.uniform(0.05, 0.5))


async def _both_or_none(services: IngestServices, requests: list[Request[Any, Any]], task: TaskId) -> None:
    """A task without documents would never end: it is submitted only with a request that leads to something."""

    context = services.context(task, ACTOR)
    for _ in range(8):
        known = [await load(services.log, one.decider, one.stream_id) for one in requests]
        prepared = [
            prepare(one.decider, one.stream_id, before, one.commands, context)
            for one, before in zip(requests, known, strict=True)
        ]
        writes = [one.write for one in prepared if one.write is not None]
        if len(writes) < len(requests):
            return

        if isinstance(await services.log.append(writes), Appended):
            return
