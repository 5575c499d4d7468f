"""Imports whose events a log has lost are asked for again, from their sidecars and under their old ids."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog

from blobs.errors import BlobMissing
from domain.errors import RefusalCode, Refused
from domain.handle import handle_together
from domain.request_sidecar import REQUESTS, decode_request_sidecar, task_of_request_sidecar
from events.errors import InvalidId
from events.ids import TaskId, partition_of
from ingest.callbacks import expect_callback
from ingest.knowledge_bases import while_active
from ingest.services import IngestServices
from ingest.submit import requests_of

PAGE_REQUESTS: Final = 500

_log = structlog.get_logger()


class RequestedAgain:
    """One sweep. `found` counts tasks by what became of them; with `dry_run` those that are accepted would be."""

    def __init__(self, services: IngestServices, *, dry_run: bool) -> None:
        self._services = services
        self._dry_run = dry_run
        self._done: set[TaskId] = set()
        self.found: dict[str, int] = {}
        self.sidecars = self.unreadable = self.documents = 0

    async def run(self, before: datetime) -> None:
        """Of sidecars that were stored `before`. Raises Contention, and what the log and the blob store raise."""
        page: list[tuple[str, TaskId]] = []
        async for info in self._services.blobs.list(REQUESTS):
            task = task_of_request_sidecar(info.key)
            if task is not None and info.modified_at <= before and partition_of(task) < self._services.log.partitions:
                page.append((info.key, task))
            if len(page) == PAGE_REQUESTS:
                await self._look_at(page)
                page = []
        if page:
            await self._look_at(page)

    async def _look_at(self, page: Sequence[tuple[str, TaskId]]) -> None:
        self.sidecars += len(page)
        versions = await self._services.log.versions([task for _, task in page])
        for (key, task), version in zip(page, versions, strict=True):
            if version == 0 and task not in self._done:
                await self._ask_again(key, task)

    async def _ask_again(self, key: str, task: TaskId) -> None:
        try:
            read = decode_request_sidecar(key, await self._services.blobs.get(key))
        except BlobMissing:
            return
        if read is None:
            self.unreadable += 1
            return
        services = self._services
        try:
            guard = await while_active(services.log, read.submit.knowledge_base_id)
            if not self._dry_run:
                await expect_callback(services.callbacks, read.submit.callback_url)
                requests = requests_of(task, read.submit, read.requests)
                await handle_together(services.log, requests, services.context(task, read.actor), guard=guard)
                _log.info("import_requested_again", task=task, documents=len(read.requests))
        except (Refused, InvalidId) as refused:
            self._count(_reason(refused))
            return
        self._done.add(task)
        self.documents += len(read.requests)
        self._count("accepted")

    def _count(self, what: str) -> None:
        self.found[what] = self.found.get(what, 0) + 1


def _reason(refused: Refused | InvalidId) -> str:
    if isinstance(refused, InvalidId) or refused.code is RefusalCode.UNKNOWN_KNOWLEDGE_BASE:
        return "knowledge_base_unknown"
    return "knowledge_base_deleted" if refused.code is RefusalCode.KNOWLEDGE_BASE_DELETED else "refused"
