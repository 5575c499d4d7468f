"""Orphans of every kind are collected, whatever a document needs stays, and a broken-off collection is repeated."""

import os
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from blobs.local import LocalBlobStore
from blobs.memory import MemoryBlobStore
from blobs.store import CollectableBlobs
from domain.commands import CreateKnowledgeBase, DeleteKnowledgeBase, RecordErased, RemoveDocument
from domain.deciders import DOCUMENT, knowledge_base_decider
from domain.handle import handle
from domain.request_sidecar import request_sidecar_key
from domain.sidecar import sidecar_key
from events.document import DocumentAccepted
from events.failpoints import Action, FailpointReached, Failpoints, Place, Rule, arm
from events.ids import DocumentId, KnowledgeBaseId, document_id
from events.memory import MemoryLog
from ingest.imports import Importing, Wanted, request_documents
from ingest.knowledge_bases import while_active
from ingest.options import UploadOptions
from knowledge.index import CollectableIndex, IndexTable
from knowledge.lance_index import LanceIndex
from knowledge.memory_index import MemoryIndex
from processors.collected import Collected
from processors.collector import Collector
from tests.contract.index_contract import rows_of
from tests.integration.ingest_app import PARTITIONS, Mill, make_services, now_us, running_mill
from tests.servers.qdrant_server import index_on, local_client

GRACE = timedelta(hours=24)


class World:
    """A mill with an index, and a collector for which a day has passed."""

    def __init__(self, mill: Mill, index: CollectableIndex, root: Path) -> None:
        self.mill = mill
        self.index = index
        self.root = root
        self._numbers = count()

    @property
    def blobs(self) -> CollectableBlobs:
        store = self.mill.services.blobs
        assert isinstance(store, LocalBlobStore | MemoryBlobStore)
        return store

    async def upload(self, kb: KnowledgeBaseId, name: str = "a.txt") -> tuple[DocumentId, DocumentAccepted]:
        url = f"/api/v1/knowledge-bases/{kb}/documents"
        answer = await self.mill.client.post(url, files=[("file", (name, f"text {next(self._numbers)}".encode()))])
        document = DocumentId(answer.json()["documents"][0]["document_id"])
        (fact,) = (one.event for one in await self.mill.facts() if one.stream_id == document)
        assert isinstance(fact, DocumentAccepted)
        return document, fact

    async def say(self, document: DocumentId, *commands: Any) -> None:
        services = self.mill.services
        await handle(services.log, DOCUMENT, document, commands, services.context(document, "somebody"))

    async def delete_knowledge_base(self, kb: KnowledgeBaseId) -> None:
        services = self.mill.services
        command = DeleteKnowledgeBase()
        await handle(services.log, knowledge_base_decider(kb), kb, [command], services.context(kb, "somebody"))

    async def collect(self, *, dry_run: bool = False, passed: timedelta = timedelta(hours=25)) -> Collected:
        collector = Collector(
            self.mill.services.log,
            self.blobs,
            self.index,
            as_of=datetime.now(UTC) + passed,
            grace=GRACE,
            dry_run=dry_run,
            page_documents=2,
        )
        return await collector.run()

    async def keys(self) -> set[str]:
        return set(await self.mill.blobs())


@pytest.fixture(params=["memory", "lance", "qdrant"])
async def index(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CollectableIndex]:
    makers: dict[str, Callable[[], CollectableIndex]] = {
        "memory": MemoryIndex,
        "lance": lambda: LanceIndex(str(tmp_path / "index")),
        "qdrant": lambda: index_on(local_client()),
    }
    index = makers[request.param]()
    yield index
    await index.close()


@pytest.fixture
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """In a directory, unless it is asked for a store whose blobs carry their sidecars."""
    is_carried = getattr(request, "param", "beside") == "carried"
    blobs = MemoryBlobStore() if is_carried else LocalBlobStore(tmp_path / "blobs")
    async with running_mill(make_services(tmp_path / "blobs", blobs=blobs)) as mill:
        yield World(mill, MemoryIndex(), tmp_path / "blobs")


async def broken_off(world: World, kb: KnowledgeBaseId) -> str:
    """What a killed upload leaves: a source without a sidecar."""
    document = document_id(world.mill.services.ids.task(kb), 0)
    return (await world.blobs.put(f"documents/{document}/source@1", b"half")).key


async def test_what_no_document_needs_goes_and_what_one_needs_stays(world: World) -> None:
    kb = await world.mill.knowledge_base()
    needed = set()
    for number in range(5):
        _, fact = await world.upload(kb, f"{number}.txt")
        needed |= {fact.source_blob, sidecar_key(fact.source_blob)}
    document, fact = await world.upload(kb, "again.txt")
    needed |= {fact.source_blob, sidecar_key(fact.source_blob)}
    other = await world.blobs.put("archive/0/1_2.seg", b"not a document's")
    orphans = {
        await broken_off(world, kb),
        (await world.blobs.put(f"documents/{document}/source@2", b"repeated")).key,
        (await world.blobs.put(f"documents/{document}/text@7-x", b"nobody's")).key,
    }
    planned = await world.collect(dry_run=True)
    assert await world.keys() == needed | orphans | {other.key}
    collected = await world.collect()
    assert await world.keys() == needed | {other.key}
    for figures in (planned, collected):
        assert (figures.orphans, figures.by_reason) == (3, {"never_accepted": 1, "unrecorded": 2})
        assert (figures.documents, figures.left, figures.foreign) == (7, 0, 0)
    assert (await world.collect()).orphans == 0


async def test_nothing_goes_before_its_grace_period_is_over(world: World) -> None:
    kb = await world.mill.knowledge_base()
    orphan = await broken_off(world, kb)
    assert (await world.collect(passed=timedelta(hours=23))).orphans == 0
    assert orphan in await world.keys()


async def test_what_a_dead_writer_left_behind_an_erasure_goes(world: World) -> None:
    kb = await world.mill.knowledge_base()
    document, _ = await world.upload(kb)
    await world.say(document, RemoveDocument())
    assert (await world.collect()).orphans == 0, "the erasure does it"
    await world.blobs.delete_prefix(f"documents/{document}/")
    await world.say(document, RecordErased(rows_left=0, blobs_left=0))
    await world.blobs.put(f"documents/{document}/vectors/0@1-x", b"late")
    assert (await world.collect()).by_reason == {"erased": 1}
    assert await world.keys() == set()


@pytest.mark.parametrize(("world", "blobs"), [("beside", 2), ("carried", 1)], indirect=["world"])
async def test_an_upload_with_a_sidecar_goes_unless_the_log_does_not_even_know_its_knowledge_base(
    world: World, tmp_path: Path, blobs: int
) -> None:
    kb = await world.mill.knowledge_base()
    await world.upload(kb)
    log = MemoryLog(partitions=PARTITIONS, clock_us=now_us)
    other = make_services(tmp_path / "blobs", log=log, blobs=world.blobs)
    world.mill.services, before = other, world.mill.services
    collected = await world.collect()
    assert (collected.orphans, collected.left) == (0, 1), "a log that lost everything must not cost the blobs too"
    decider = knowledge_base_decider(kb)
    await handle(log, decider, kb, [CreateKnowledgeBase(name="Handbook")], other.context(kb, "somebody"))
    collected = await world.collect()
    assert (collected.by_reason, collected.left) == ({"never_accepted": blobs}, 0)
    world.mill.services = before


async def test_temporary_files_of_dead_writers_go(world: World) -> None:
    abandoned, growing = (world.root / ".tmp" / name for name in ("abandoned", "growing"))
    for path in (abandoned, growing):
        path.write_bytes(b"half")
    later = time.time() + 2 * 3_600
    os.utime(growing, (later, later))
    assert (await world.collect()).uploads_aborted == 1
    assert not abandoned.exists()
    assert growing.exists()


async def test_rows_of_documents_that_are_gone_and_tables_of_deleted_knowledge_bases_go(
    world: World, index: CollectableIndex
) -> None:
    world.index = index
    kept, deleted = await world.mill.knowledge_base("a"), await world.mill.knowledge_base("b")
    document, _ = await world.upload(kept)
    erased, _ = await world.upload(kept)
    await world.say(erased, RemoveDocument(), RecordErased(rows_left=0, blobs_left=0))
    unknown = document_id(world.mill.services.ids.task(kept), 0)
    tables = [IndexTable(kb, 1) for kb in (kept, deleted, "kb_somebody_elses")]
    for one in (document, erased, unknown):
        await index.upsert(tables[0], one, rows_of(one, ["first", "second"]))
    for table in tables[1:]:
        await index.upsert(table, document, rows_of(document, ["text"]))
    await world.delete_knowledge_base(deleted)
    assert (await world.collect(dry_run=True)).documents_unindexed == 2
    collected = await world.collect()
    assert (collected.documents_unindexed, collected.tables_dropped, collected.tables_left) == (2, 1, 1)
    assert [await index.count(tables[0], one) for one in (document, erased, unknown)] == [2, 0, 0]
    assert [await index.count(table) for table in tables] == [2, 0, 1]


@pytest.mark.parametrize("place", [Place.COLLECTOR_LISTED, Place.COLLECTOR_DELETED])
async def test_a_collection_that_breaks_off_anywhere_is_completed_by_the_next(world: World, place: Place) -> None:
    kb = await world.mill.knowledge_base()
    _, fact = await world.upload(kb)
    for _ in range(4):
        await broken_off(world, kb)
    arm(Failpoints((Rule(place, Action.RAISE, 0.0, 2),)))
    try:
        with pytest.raises(FailpointReached):
            await world.collect()
    finally:
        arm(Failpoints())
    await world.collect()
    assert await world.keys() == {fact.source_blob, sidecar_key(fact.source_blob)}


async def test_sidecars_of_imports_go_once_the_archive_says_the_same(world: World) -> None:
    kb = await world.mill.knowledge_base()
    services = world.mill.services
    task, lost = services.ids.task(kb), services.ids.task(kb)
    about = Importing(
        knowledge_base_id=kb,
        task_id=task,
        options=UploadOptions(),
        key=None,
        actor="somebody",
        guard=await while_active(services.log, kb),
    )
    await request_documents(services, about, [Wanted(filename="a.txt", object_key="a.txt")])
    (sidecar,) = await world.mill.blobs()
    await world.blobs.put(request_sidecar_key(lost, "1"), b"{")
    await world.blobs.put("requests/odd", b"{")

    assert (await world.collect()).by_reason == {}, "a day is not enough"
    week = timedelta(days=8)
    planned, done = await world.collect(dry_run=True, passed=week), await world.collect(passed=week)

    for figures in (planned, done):
        assert (figures.by_reason, figures.foreign) == ({"recorded": 1, "never_accepted": 1}, 1)
    assert sidecar not in await world.mill.blobs()
    assert list(await world.mill.blobs()) == ["requests/odd"]
