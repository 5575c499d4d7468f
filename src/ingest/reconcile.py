"""Uploads whose events a log has lost are accepted again, from their sidecars and under their old ids.

A log that syncs once a second, or that a replica took over, may have lost its end; blobs and sidecars were stored
before the events, so what is lost is in the blob store (ADR 0014). Harmless where nothing was lost: what the log knows
is left alone, and an upload that never came to its append is one whose client never got an answer.
"""

import asyncio
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec
import structlog

from blobs.errors import BlobMissing
from blobs.store import BlobInfo, BlobStore
from domain.commands import AcceptDocument, SkipDocument
from domain.errors import RefusalCode, Refused
from domain.handle import Guard, handle_together
from domain.instant import EPOCH
from domain.knowledge_base import KnowledgeBaseState
from domain.sidecar import (
    Sidecar,
    decode_sidecar,
    document_of_carrier,
    lies_beside,
    sidecar_carriers,
    sidecar_key,
)
from events.errors import InvalidId
from events.ids import DocumentId, KnowledgeBaseId, TaskId, document_id, partition_of
from ingest.callbacks import expect_callback
from ingest.concurrency import all_of
from ingest.knowledge_bases import while_active
from ingest.requested_again import RequestedAgain
from ingest.services import IngestServices
from ingest.submit import requests_of

YOUNGEST: Final = timedelta(seconds=60)
"""A younger sidecar may belong to a request that is about to append; it would find its own task, for nothing."""

PAGE_SIDECARS: Final = 500
IN_FLIGHT_MAX: Final = 32
REQUESTS_KEPT_MAX: Final = 10_000
"""Requests that were looked at, so that each is looked at once for all its documents; the oldest are forgotten."""

R = TypeVar("R")
T = TypeVar("T")

_log = structlog.get_logger()


class Found(StrEnum):
    """What became of one upload that the log does not know."""

    ACCEPTED = "accepted"
    INCOMPLETE = "incomplete"
    """A sidecar or a source is not there: it never came to its append."""
    KNOWLEDGE_BASE_DELETED = "knowledge_base_deleted"
    KNOWLEDGE_BASE_UNKNOWN = "knowledge_base_unknown"
    """The log has lost the knowledge base too: not recoverable here."""
    REFUSED = "refused"


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one sweep. `sidecars` were looked at, and sources that have none beside them; `tasks` (by what became
    of them) and `documents` were unknown to the log; with `dry_run` those that are accepted would be."""

    dry_run: bool
    sidecars: int
    unreadable: int
    tasks: dict[str, int]
    documents_accepted: int
    seconds: float


class _Listed(msgspec.Struct, frozen=True):
    """What carries a sidecar, and the length of its source; None: there is none."""

    key: str
    document: DocumentId
    source_bytes: int | None


class _Read(msgspec.Struct, frozen=True):
    """The same, with its content."""

    sidecar: Sidecar
    source_bytes: int | None


class _Sweep:
    def __init__(self, services: IngestServices, *, dry_run: bool) -> None:
        self._services = services
        self._dry_run = dry_run
        self._tasks: dict[str, int] = {}
        self._seen: OrderedDict[tuple[TaskId, int], None] = OrderedDict()
        self._guards: dict[KnowledgeBaseId, Guard[KnowledgeBaseState]] = {}
        self.sidecars = self.unreadable = self.documents_accepted = 0

    async def page(self, page: Sequence[_Listed]) -> None:
        self.sidecars += len(page)
        versions = await self._services.log.versions([one.document for one in page])
        unknown = [one for one, version in zip(page, versions, strict=True) if version == 0]
        read = await self._each(unknown, self._read)
        requests: dict[TaskId, list[_Read]] = defaultdict(list)
        for one in read:
            if one is not None and self._is_new(one.sidecar):
                requests[one.sidecar.accept.task_id].append(one)
        await self._each(requests.values(), self._task)

    def figures(self, imports: RequestedAgain, seconds: float) -> Reconciled:
        return Reconciled(
            dry_run=self._dry_run,
            sidecars=self.sidecars + imports.sidecars,
            unreadable=self.unreadable + imports.unreadable,
            tasks=dict(Counter(self._tasks) + Counter(imports.found)),
            documents_accepted=self.documents_accepted + imports.documents,
            seconds=round(seconds, 3),
        )

    def _is_new(self, sidecar: Sidecar) -> bool:
        """A request is looked at once, whichever of its sidecars comes first."""
        request = sidecar.accept.task_id, sidecar.stored_at_us
        if request in self._seen:
            return False
        self._seen[request] = None
        while len(self._seen) > REQUESTS_KEPT_MAX:
            self._seen.popitem(last=False)
        return True

    async def _each(self, items: Iterable[T], call: Callable[[T], Coroutine[Any, Any, R]]) -> list[R]:
        turns = asyncio.Semaphore(IN_FLIGHT_MAX)

        async def in_turn(item: T) -> R:
            async with turns:
                return await call(item)

        return await all_of(map(in_turn, items))

    async def _read(self, listed: _Listed) -> _Read | None:
        """None of a source that carries none is no trouble: an upload that broke off."""
        content = await _carried_by(self._services.blobs, listed.key)
        sidecar = None if content is None else decode_sidecar(listed.key, content)
        self.unreadable += sidecar is None and (content is not None or lies_beside(listed.key))
        return None if sidecar is None else _Read(sidecar, listed.source_bytes)

    async def _task(self, requests: list[_Read]) -> None:
        """A repeated request stored its own sidecars: the last that is complete is as good as any before."""
        for one in sorted(requests, key=lambda one: one.sidecar.stored_at_us, reverse=True):
            await self._request(one)

    async def _request(self, first: _Read) -> None:
        sidecar = first.sidecar
        try:
            found = await self._accept(first)
        except Refused as refused:
            found = {
                RefusalCode.KNOWLEDGE_BASE_DELETED: Found.KNOWLEDGE_BASE_DELETED,
                RefusalCode.UNKNOWN_KNOWLEDGE_BASE: Found.KNOWLEDGE_BASE_UNKNOWN,
            }.get(refused.code, Found.REFUSED)
        except InvalidId:
            found = Found.KNOWLEDGE_BASE_UNKNOWN
        if found is None:
            return
        self._tasks[found.value] = self._tasks.get(found.value, 0) + 1
        if found is Found.ACCEPTED and not self._dry_run:
            _log.info("upload_accepted_again", task=sidecar.accept.task_id, documents=sidecar.documents)

    async def _accept(self, first: _Read) -> Found | None:
        """None where the log knows the task: a leftover of a repeated request. Raises Refused, InvalidId."""
        services, sidecar = self._services, first.sidecar
        task = sidecar.accept.task_id
        if (await services.log.versions([task]))[0] > 0:
            return None
        guard = await self._guard(sidecar.accept.knowledge_base_id)
        documents = await _of_request(services.blobs, first)
        if documents is None:
            return Found.INCOMPLETE
        if not self._dry_run:
            requests = requests_of(task, sidecar.submission, documents)
            await expect_callback(services.callbacks, sidecar.submission.callback_url)
            await handle_together(services.log, requests, services.context(task, sidecar.actor), guard=guard)
        self.documents_accepted += sum(isinstance(one, AcceptDocument) for one in documents)
        return Found.ACCEPTED

    async def _guard(self, knowledge_base: KnowledgeBaseId) -> Guard[KnowledgeBaseState]:
        """As it was read last: where it has changed since, the append says so."""
        if knowledge_base not in self._guards:
            self._guards[knowledge_base] = await while_active(self._services.log, knowledge_base)
        return self._guards[knowledge_base]


async def reconcile(services: IngestServices, *, youngest: timedelta = YOUNGEST, dry_run: bool = False) -> Reconciled:
    """Looks at every sidecar that is old enough. Raises Contention, and what the log and the blob store raise."""
    began_s = time.monotonic()
    sweep = _Sweep(services, dry_run=dry_run)
    before = EPOCH + timedelta(microseconds=services.clock_us()) - youngest
    page: list[_Listed] = []
    async for listed in _sidecars(services, before):
        page.append(listed)
        if len(page) == PAGE_SIDECARS:
            await sweep.page(page)
            page = []
    if page:
        await sweep.page(page)
    imports = RequestedAgain(services, dry_run=dry_run)
    await imports.run(before)
    figures = sweep.figures(imports, time.monotonic() - began_s)
    level = _log.warning if Found.KNOWLEDGE_BASE_UNKNOWN.value in figures.tasks else _log.info
    level("reconciled", **{name: getattr(figures, name) for name in figures.__struct_fields__})
    return figures


async def _sidecars(services: IngestServices, before: datetime) -> AsyncIterator[_Listed]:
    """What may carry one. A listing is in order of the keys: a sidecar comes right behind its source."""
    async for info, source_bytes in _with_sources(services.blobs):
        document = document_of_carrier(info.key)
        if document is not None and info.modified_at <= before and partition_of(document) < services.log.partitions:
            yield _Listed(info.key, document, source_bytes)


async def _with_sources(blobs: BlobStore) -> AsyncIterator[tuple[BlobInfo, int | None]]:
    """Sidecars, and blobs that have none behind them, each with the length of the source."""
    waiting: BlobInfo | None = None
    async for info in blobs.list("documents/"):
        has_source = waiting is not None and sidecar_key(waiting.key) == info.key
        if waiting is not None and not has_source:
            yield waiting, waiting.size_bytes
        if lies_beside(info.key):
            yield info, waiting.size_bytes if waiting is not None and has_source else None
        waiting = None if lies_beside(info.key) else info
    if waiting is not None:
        yield waiting, waiting.size_bytes


async def _of_request(blobs: BlobStore, first: _Read) -> list[AcceptDocument | SkipDocument] | None:
    """What the request asks for, in the order of its files; None where a sidecar, or a source, is missing.

    What was skipped has neither: another sidecar of the request speaks of it. It is skipped again as it was; whatever
    has its sidecar is decided anew, by what the knowledge base holds now.
    """
    if first.source_bytes != first.sidecar.accept.size_bytes:
        return None
    found: dict[int, AcceptDocument | SkipDocument] = {}
    for some in _portions(range(first.sidecar.documents), IN_FLIGHT_MAX):
        for sidecar in await all_of(_sidecar_of(blobs, first.sidecar, ordinal) for ordinal in some):
            if sidecar is not None:
                found.setdefault(sidecar.ordinal, sidecar.accept)
                found.update((one.ordinal, one.skip) for one in sidecar.skipped)
    documents = [found[ordinal] for ordinal in range(first.sidecar.documents) if ordinal in found]
    return documents if len(documents) == first.sidecar.documents else None


async def _sidecar_of(blobs: BlobStore, first: Sidecar, ordinal: int) -> Sidecar | None:
    """Of this very request: a repeated one with the same key stores others beside."""
    if ordinal == first.ordinal:
        return first
    document = document_id(first.accept.task_id, ordinal)
    sizes = {info.key: info.size_bytes async for info in blobs.list(f"documents/{document}/source@")}
    for key in sidecar_carriers(sizes):
        content = await _carried_by(blobs, key)
        sidecar = None if content is None else decode_sidecar(key, content)
        if sidecar is None or (sidecar.stored_at_us, sidecar.ordinal) != (first.stored_at_us, ordinal):
            continue
        if sizes.get(sidecar.accept.source_blob) == sidecar.accept.size_bytes:
            return sidecar
    return None


async def _carried_by(blobs: BlobStore, key: str) -> bytes | None:
    if not lies_beside(key):
        return await blobs.metadata(key)
    try:
        return await blobs.get(key)
    except BlobMissing:
        return None


def _portions(items: Iterable[T], size: int) -> Iterable[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
