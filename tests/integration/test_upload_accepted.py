"""Uploads that are accepted: what is in the log, what is in the store, what is answered."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
import pytest

from domain.deciders import TASK
from domain.handle import load
from domain.sidecar import Sidecar
from domain.task import OpenTask
from events.document import DocumentAccepted, OnDuplicate
from events.errors import LogFull, LogUnavailable
from events.ids import parse_task_id
from events.inbox import Delivery
from events.log import Appended, Conflict, Taken, Write
from events.memory import MemoryLog
from events.steps import Lane
from events.task import TaskSubmitted
from ingest.reconcile import reconcile
from tests.integration.ingest_app import PARTITIONS, Mill, make_services, now_us, running_mill

File = tuple[str, tuple[str, bytes, str]]


def file(name: str, data: bytes, media_type: str = "application/octet-stream") -> File:
    return ("file", (name, data, media_type))


@pytest.fixture
async def mill(tmp_path: Path) -> AsyncIterator[Mill]:
    async with running_mill(make_services(tmp_path)) as mill:
        yield mill


async def accepted_in(mill: Mill) -> list[DocumentAccepted]:
    return [one.event for one in await mill.facts() if isinstance(one.event, DocumentAccepted)]


async def post(mill: Mill, kb: str, files: list[File], **more: object) -> httpx.Response:
    headers = {"Idempotency-Key": str(more["key"])} if "key" in more else {}
    data = {"options": str(more["options"])} if "options" in more else {}
    return await mill.client.post(f"/api/v1/knowledge-bases/{kb}/documents", files=files, data=data, headers=headers)


async def test_files_become_one_task_with_its_documents(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    answer = await post(
        mill, kb, [file("手册.md", b"# Mill"), file("prices.csv", b"grade,price\nT550,1\n", "text/csv")]
    )
    assert answer.status_code == 202
    body = answer.json()
    assert answer.headers["location"] == f"/api/v1/tasks/{body['task_id']}" == body["links"]["task"]
    assert answer.headers["x-request-id"]
    assert body["status"] == "queued"
    assert [(line["filename"], line["status"], line["duplicate_of"]) for line in body["documents"]] == [
        ("手册.md", "queued", None),
        ("prices.csv", "queued", None),
    ]
    submitted = [one for one in await mill.facts() if isinstance(one.event, TaskSubmitted)]
    assert [(one.stream_id, one.actor) for one in submitted] == [(body["task_id"], "anonymous")]
    assert [one.media_type for one in await accepted_in(mill)] == ["text/markdown", "text/csv"]


async def test_every_accepted_document_has_its_bytes_and_a_sidecar_that_says_the_same(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    data = "磨坊\n".encode() * 20_000
    await post(mill, kb, [file("a.txt", data)], options='{"metadata": {"year": 2024}, "lane": "bulk"}')
    (fact,) = await accepted_in(mill)
    stored = await mill.blobs()
    assert stored.pop(fact.source_blob) == data
    assert (fact.sha256, fact.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert (fact.metadata, fact.lane) == ({"year": 2024}, Lane.BULK)
    sidecar = msgspec.json.decode(stored.pop(f"{fact.source_blob}.json"), type=Sidecar)
    asked = {"declared_media_type": None, "on_duplicate": OnDuplicate.SKIP, "holder": None, "replaces": None}
    said = {name: getattr(fact, name) for name in fact.__struct_fields__}
    assert msgspec.to_builtins(sidecar.accept) | asked == said | asked
    assert stored == {}


async def test_a_key_of_the_store_never_holds_the_name_of_a_file(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    answer = await post(mill, kb, [file("../../etc/passwd", b"root")])
    assert answer.json()["documents"][0]["filename"] == "passwd"
    assert not [key for key in await mill.blobs() if "passwd" in key or ".." in key]


async def test_the_same_key_and_body_answer_the_same_task(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    first = await post(mill, kb, [file("a.txt", b"text")], key="k1")
    before = await mill.facts(), await mill.blobs()
    again = await post(mill, kb, [file("a.txt", b"text")], key="k1")
    assert (again.status_code, again.json()["task_id"]) == (202, first.json()["task_id"])
    assert again.json()["documents"] == first.json()["documents"]
    assert (await mill.facts(), await mill.blobs()) == before


async def test_the_same_key_twenty_times_at_once_makes_one_task(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    answers = await asyncio.gather(*(post(mill, kb, [file("a.txt", b"text")], key="k") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    (fact,) = await accepted_in(mill)
    assert set(await mill.blobs()) == {fact.source_blob, f"{fact.source_blob}.json"}


@pytest.mark.parametrize(
    ("files", "options"),
    [
        ([file("a.txt", b"other")], "{}"),
        ([file("b.txt", b"text")], "{}"),
        ([file("a.txt", b"text"), file("a.txt", b"text")], "{}"),
        ([file("a.txt", b"text")], '{"lane": "bulk"}'),
    ],
)
async def test_the_same_key_with_another_body_is_refused(mill: Mill, files: list[File], options: str) -> None:
    kb = await mill.knowledge_base()
    assert (await post(mill, kb, [file("a.txt", b"text")], key="k", options="{}")).status_code == 202
    before = await mill.facts(), await mill.blobs()
    answer = await post(mill, kb, files, key="k", options=options)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert (await mill.facts(), await mill.blobs()) == before


async def test_a_key_belongs_to_its_knowledge_base(mill: Mill) -> None:
    one, other = await mill.knowledge_base("one"), await mill.knowledge_base("other")
    tasks = {(await post(mill, kb, [file("a.txt", b"text")], key="k")).json()["task_id"] for kb in (one, other)}
    assert len(tasks) == 2


async def test_a_hundred_uploads_at_once_are_all_accepted(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    answers = await asyncio.gather(
        *(post(mill, kb, [file(f"{number}.txt", f"text {number}".encode() * 1_000)]) for number in range(100))
    )
    assert {answer.status_code for answer in answers} == {202}
    facts = await accepted_in(mill)
    assert len({fact.task_id for fact in facts}) == len(facts) == 100
    stored = await mill.blobs()
    assert all(hashlib.sha256(stored[fact.source_blob]).hexdigest() == fact.sha256 for fact in facts)
    assert len(stored) == 200


class Unreliable(MemoryLog):
    """Loses the answer to the next append, after or before it took effect."""

    def __init__(self) -> None:
        super().__init__(partitions=PARTITIONS, clock_us=now_us)
        self.loses: str | None = None

    async def append(
        self, writes: Sequence[Write], *, acknowledge: Delivery | None = None
    ) -> Appended | Conflict | Taken:
        loses, self.loses = self.loses, None
        if loses == "request":
            raise LogUnavailable("connection refused")
        appended = await super().append(writes, acknowledge=acknowledge)
        if loses == "answer":
            raise LogUnavailable("no answer in time")
        return appended


@pytest.mark.parametrize("loses", ["request", "answer"])
async def test_after_a_lost_answer_the_bytes_stay_and_a_repeat_gets_its_task(tmp_path: Path, loses: str) -> None:
    log = Unreliable()
    async with running_mill(make_services(tmp_path, log=log)) as mill:
        kb = await mill.knowledge_base()
        log.loses = loses
        answer = await post(mill, kb, [file("a.txt", b"text")], key="k")
        assert (answer.status_code, answer.json()["code"]) == (503, "dependency_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert len(await mill.blobs()) == 2
        again = await post(mill, kb, [file("a.txt", b"text")], key="k")
        assert again.status_code == 202
        (fact,) = await accepted_in(mill)
        assert (await mill.blobs())[fact.source_blob] == b"text"
        task = await load(log, TASK, parse_task_id(again.json()["task_id"]))
        assert isinstance(task.state, OpenTask)


class Overtaken(MemoryLog):
    """Before the next append of an upload somebody else accepts it, and then there is no room left."""

    def __init__(self) -> None:
        super().__init__(partitions=PARTITIONS, clock_us=now_us)
        self.overtakes: Callable[[], Awaitable[object]] | None = None

    async def append(
        self, writes: Sequence[Write], *, acknowledge: Delivery | None = None
    ) -> Appended | Conflict | Taken:
        overtakes, self.overtakes = self.overtakes, None
        if overtakes is not None:
            await overtakes()
            raise LogFull("no room")
        return await super().append(writes, acknowledge=acknowledge)


async def test_a_refused_request_deletes_no_blobs_that_a_reconciliation_has_accepted(tmp_path: Path) -> None:
    log = Overtaken()
    async with running_mill(make_services(tmp_path, log=log)) as mill:
        kb = await mill.knowledge_base()
        log.overtakes = lambda: reconcile(mill.services, youngest=timedelta(0))
        refused = await post(mill, kb, [file("a.txt", b"text")], key="k")
        assert refused.status_code == 507
        (fact,) = await accepted_in(mill)
        assert (await mill.blobs())[fact.source_blob] == b"text"
        again = await post(mill, kb, [file("a.txt", b"text")], key="k")
        assert (again.status_code, again.json()["task_id"]) == (202, fact.task_id)


class Deleting(MemoryLog):
    """Deletes the knowledge base right before the append of an upload."""

    def __init__(self) -> None:
        super().__init__(partitions=PARTITIONS, clock_us=now_us)
        self.deletes: Callable[[], Awaitable[object]] | None = None

    async def append(
        self, writes: Sequence[Write], *, acknowledge: Delivery | None = None
    ) -> Appended | Conflict | Taken:
        deletes, self.deletes = self.deletes, None
        if deletes is not None:
            await deletes()
        return await super().append(writes, acknowledge=acknowledge)


async def test_nothing_is_accepted_into_a_knowledge_base_that_is_deleted_in_the_very_instant(tmp_path: Path) -> None:
    log = Deleting()
    async with running_mill(make_services(tmp_path, log=log)) as mill:
        kb = await mill.knowledge_base()
        log.deletes = lambda: mill.client.delete(f"/api/v1/knowledge-bases/{kb}")
        refused = await post(mill, kb, [file("a.txt", b"text")])
        assert (refused.status_code, refused.json()["code"]) == (409, "knowledge_base_deleted")
        assert await accepted_in(mill) == []
        assert await mill.blobs() == {}
