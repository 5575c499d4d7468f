"""Uploads whose events are lost: accepted again from the blob store alone, under their old ids."""

import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
import pytest

from blobs.local import LocalBlobStore
from blobs.memory import MemoryBlobStore
from blobs.s3 import S3BlobStore
from blobs.s3_settings import S3Settings
from blobs.store import BlobStore
from domain.commands import DeleteKnowledgeBase
from domain.deciders import knowledge_base_decider
from domain.handle import handle
from domain.sidecar import Sidecar, sidecar_key
from events.document import DocumentAccepted, DocumentRequested
from events.envelope import Envelope
from events.ids import KnowledgeBaseId, kind_of
from events.log import Write
from events.memory import MemoryLog
from events.task import TaskSubmitted
from ingest.reconcile import Found, Reconciled, reconcile
from tests.integration.ingest_app import PARTITIONS, Mill, make_services, now_us, running_mill
from tests.servers.s3_gateway import S3Server

pytest_plugins = ("tests.servers.s3",)

NOW = timedelta(0)


def blobs_in_a_bucket(server: S3Server) -> BlobStore:
    return S3BlobStore(
        S3Settings(
            bucket=server.bucket,
            endpoint_url=server.endpoint_url,
            access_key=server.access_key,
            secret_key=server.secret_key,
            prefix=f"reconcile/{secrets.token_hex(8)}",
        )
    )


@pytest.fixture(params=["beside", "carried"])
async def mill(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Mill]:
    """Sidecars lie beside their sources, as in a directory, or travel with the last of them, as on S3."""
    makers: dict[str, Callable[[], BlobStore]] = {
        "beside": lambda: LocalBlobStore(tmp_path),
        "carried": MemoryBlobStore,
        "in a bucket": lambda: blobs_in_a_bucket(request.getfixturevalue("s3_server")),
    }
    blobs = makers[request.param]()
    services = msgspec.structs.replace(make_services(tmp_path, blobs=blobs), has_import_bucket=True)
    async with running_mill(services) as mill:
        yield mill


async def upload(mill: Mill, kb: KnowledgeBaseId, names: Iterable[str], key: str | None = None) -> httpx.Response:
    files = [("file", (name, f"text of {name}".encode())) for name in names]
    headers = {} if key is None else {"Idempotency-Key": key}
    url = f"/api/v1/knowledge-bases/{kb}/documents"
    return await mill.client.post(url, files=files, headers=headers, data={"options": '{"lane": "bulk"}'})


async def sidecar_of(mill: Mill, source: str) -> bytes:
    return await mill.services.blobs.metadata(source) or await mill.services.blobs.get(sidecar_key(source))


async def say(mill: Mill, source: str, sidecar: bytes, *, content: bytes | None = None) -> None:
    """Something else of a source (b"": nothing), wherever it is said; `content` are other bytes of the source."""
    blobs = mill.services.blobs
    is_carried = await blobs.metadata(source) is not None
    async with blobs.writer(source) as writer:
        await writer.write(await blobs.get(source) if content is None else content)
        await writer.commit(sidecar if is_carried else b"")
    if not is_carried:
        await (blobs.put(sidecar_key(source), sidecar) if sidecar else blobs.delete(sidecar_key(source)))


async def after_the_loss(mill: Mill, tmp_path: Path, *, keeps: Iterable[str] = ("kb",)) -> Mill:
    """The same store behind a log that has kept the streams of some kinds alone."""
    log = MemoryLog(partitions=PARTITIONS, clock_us=now_us)
    for one in await mill.facts():
        if kind_of(one.stream_id).value in keeps:
            await log.append([_as_written(one)])
    services = make_services(tmp_path, log=log, blobs=mill.services.blobs)
    return Mill(services, mill.requests, mill.port, mill.client)


def _as_written(one: Envelope) -> Write:
    envelope = msgspec.structs.replace(one, position=None, number=None)
    return Write(
        stream_id=one.stream_id,
        expected_version=one.version - 1,
        envelopes=(envelope,),
        knowledge_base_id=KnowledgeBaseId(one.stream_id),
    )


async def sweep(mill: Mill, *, dry_run: bool = False, youngest: timedelta = NOW) -> Reconciled:
    return await reconcile(mill.services, youngest=youngest, dry_run=dry_run)


def told(facts: Iterable[Envelope]) -> dict[str, object]:
    kinds = TaskSubmitted | DocumentAccepted | DocumentRequested
    return {one.stream_id: one.event for one in facts if isinstance(one.event, kinds)}


async def import_objects(mill: Mill, kb: KnowledgeBaseId, keys: Iterable[str], key: str | None = None) -> None:
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"objects": list(keys), "options": {"lane": "bulk"}}
    answer = await mill.client.post(f"/api/v1/knowledge-bases/{kb}/documents/import", json=body, headers=headers)
    assert answer.status_code == 202, answer.text


async def test_lost_imports_are_asked_for_again_as_they_were(mill: Mill, tmp_path: Path) -> None:
    kb, gone = await mill.knowledge_base(), await mill.knowledge_base("Gone")
    await import_objects(mill, kb, ["a.txt"])
    for _ in range(2):
        await import_objects(mill, kb, ["b.txt", "c.txt"], key="k")
    before = told(await mill.facts())
    await import_objects(mill, gone, ["d.txt"])
    lost = await after_the_loss(mill, tmp_path)
    await handle(
        lost.services.log, knowledge_base_decider(gone), gone, [DeleteKnowledgeBase()], lost.services.context(gone, "x")
    )
    planned = await sweep(lost, dry_run=True)
    assert told(await lost.facts()) == {}
    done = await sweep(lost)
    assert told(await lost.facts()) == before
    for figures in (planned, done):
        assert (figures.sidecars, figures.documents_accepted) == (3, 3)
        assert figures.tasks == {Found.ACCEPTED: 2, Found.KNOWLEDGE_BASE_DELETED: 1}
    again = await sweep(lost)
    assert (again.documents_accepted, again.tasks) == (0, {Found.KNOWLEDGE_BASE_DELETED: 1})
    nothing_lost = await sweep(mill)
    assert (nothing_lost.sidecars, nothing_lost.tasks) == (3, {})


async def test_lost_imports_wait_for_their_knowledge_base_and_damaged_sidecars_are_counted(
    mill: Mill, tmp_path: Path
) -> None:
    kb = await mill.knowledge_base()
    await import_objects(mill, kb, ["a.txt"])
    await import_objects(mill, kb, ["b.txt"])
    _, last = sorted(await mill.blobs())
    await mill.services.blobs.put(last, b"{")
    figures = await sweep(await after_the_loss(mill, tmp_path, keeps=()))
    assert (figures.unreadable, figures.tasks) == (1, {Found.KNOWLEDGE_BASE_UNKNOWN: 1})
    young = await sweep(await after_the_loss(mill, tmp_path), youngest=timedelta(hours=1))
    assert (young.sidecars, young.tasks) == (0, {})


@pytest.mark.parametrize("mill", ["beside", "carried", "in a bucket"], indirect=True)
async def test_lost_uploads_are_accepted_again_as_they_were(mill: Mill, tmp_path: Path) -> None:
    kb = await mill.knowledge_base()
    await upload(mill, kb, ["a.txt"])
    await upload(mill, kb, ["b.txt", "c.txt", "d.txt"], key="k")
    before = told(await mill.facts())
    lost = await after_the_loss(mill, tmp_path)
    planned = await sweep(lost, dry_run=True)
    assert told(await lost.facts()) == {}
    done = await sweep(lost)
    assert told(await lost.facts()) == before
    for figures in (planned, done):
        assert (figures.sidecars, figures.documents_accepted, figures.tasks) == (4, 4, {Found.ACCEPTED: 2})
    again = await sweep(lost)
    assert (again.documents_accepted, again.tasks) == (0, {})
    assert told(await lost.facts()) == before


async def test_a_client_that_repeats_its_request_meets_the_task_that_was_accepted_again(
    mill: Mill, tmp_path: Path
) -> None:
    kb = await mill.knowledge_base()
    first = await upload(mill, kb, ["a.txt", "b.txt"], key="k")
    lost = await after_the_loss(mill, tmp_path)
    await sweep(lost)
    async with running_mill(lost.services) as healed:
        repeated = await upload(healed, kb, ["a.txt", "b.txt"], key="k")
        assert (repeated.status_code, repeated.json()["task_id"]) == (202, first.json()["task_id"])
        other = await upload(healed, kb, ["c.txt"], key="k")
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        assert len(told(await healed.facts())) == 3


async def test_what_the_log_knows_is_left_alone(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    await upload(mill, kb, ["a.txt"])
    before = await mill.facts()
    assert (await sweep(mill)).tasks == {}
    assert await mill.facts() == before


async def test_a_request_that_never_came_to_its_append_is_not_accepted(mill: Mill, tmp_path: Path) -> None:
    kb = await mill.knowledge_base()
    await upload(mill, kb, ["a.txt", "b.txt"])
    await upload(mill, kb, ["c.txt"])
    stored = sorted(await mill.blobs())
    documents = {one.stream_id: one.event for one in await mill.facts() if isinstance(one.event, DocumentAccepted)}
    second = next(event.source_blob for event in documents.values() if event.filename == "b.txt")
    alone = next(event.source_blob for event in documents.values() if event.filename == "c.txt")
    await say(mill, second, b"")
    await say(mill, alone, await sidecar_of(mill, alone), content=b"cut")
    lost = await after_the_loss(mill, tmp_path)
    assert (await sweep(lost)).tasks == {Found.INCOMPLETE: 2}
    assert told(await lost.facts()) == {}
    assert sorted(await lost.blobs()) == [key for key in stored if key != f"{second}.json"]


async def test_a_deleted_knowledge_base_stays_deleted_and_one_that_is_lost_is_reported(
    mill: Mill, tmp_path: Path
) -> None:
    kb = await mill.knowledge_base()
    await upload(mill, kb, ["a.txt"])
    lost = await after_the_loss(mill, tmp_path, keeps=())
    assert (await sweep(lost)).tasks == {Found.KNOWLEDGE_BASE_UNKNOWN: 1}
    lost = await after_the_loss(mill, tmp_path)
    context = lost.services.context(kb, "somebody")
    await handle(lost.services.log, knowledge_base_decider(kb), kb, [DeleteKnowledgeBase()], context)
    assert (await sweep(lost)).tasks == {Found.KNOWLEDGE_BASE_DELETED: 1}
    assert told(await lost.facts()) == {}


async def test_what_is_young_may_belong_to_a_request_under_way(mill: Mill, tmp_path: Path) -> None:
    kb = await mill.knowledge_base()
    await upload(mill, kb, ["a.txt"])
    lost = await after_the_loss(mill, tmp_path)
    assert (await sweep(lost, youngest=timedelta(seconds=60))).sidecars == 0


async def test_sidecars_of_the_first_format_and_damaged_ones(mill: Mill, tmp_path: Path) -> None:
    kb = await mill.knowledge_base()
    await upload(mill, kb, ["a.txt"])
    await upload(mill, kb, ["b.txt"])
    facts = {one.event.filename: one.event for one in await mill.facts() if isinstance(one.event, DocumentAccepted)}
    old, damaged = (facts[name].source_blob for name in ("a.txt", "b.txt"))
    sidecar = msgspec.json.decode(await sidecar_of(mill, old), type=Sidecar)
    first_format = msgspec.structs.replace(sidecar, format=1, submit=None)
    await say(mill, old, msgspec.json.encode(first_format))
    await say(mill, damaged, b'{"format": 2, "docu')
    lost = await after_the_loss(mill, tmp_path)
    swept = await sweep(lost)
    assert (swept.tasks, swept.unreadable) == ({Found.ACCEPTED: 1}, 1)
    assert [one.filename for one in told(await lost.facts()).values() if isinstance(one, DocumentAccepted)] == ["a.txt"]


async def test_a_source_that_nothing_is_said_of_is_no_upload(mill: Mill, tmp_path: Path) -> None:
    """What is left of a request that broke off, or of a bucket that was copied without its metadata."""
    kb = await mill.knowledge_base()
    await upload(mill, kb, ["a.txt"])
    (accepted,) = (one.event for one in await mill.facts() if isinstance(one.event, DocumentAccepted))
    await say(mill, accepted.source_blob, b"")
    swept = await sweep(await after_the_loss(mill, tmp_path))
    assert (swept.sidecars, swept.unreadable, swept.tasks) == (1, 0, {})


async def test_what_lies_beside_a_source_is_heard_before_what_it_carries(tmp_path: Path) -> None:
    """Of a request of which some was skipped the first sidecar that stays is written again, beside."""
    async with running_mill(make_services(tmp_path, blobs=MemoryBlobStore())) as mill:
        kb = await mill.knowledge_base()
        await upload(mill, kb, ["a.txt"])
        await upload(mill, kb, ["a.txt", "b.txt"])
        told_once = told(await mill.facts())
        kept = [one.source_blob for one in told_once.values() if isinstance(one, DocumentAccepted)]
        assert set(await mill.blobs()) == {*kept, sidecar_key(kept[1])}
        assert await mill.services.blobs.metadata(kept[1]) is not None
        lost = await after_the_loss(mill, tmp_path)
        swept = await sweep(lost)
        assert (swept.sidecars, swept.tasks) == (2, {Found.ACCEPTED: 2})
        assert told(await lost.facts()) == told_once


async def test_a_long_sidecar_lies_beside_what_could_carry_a_short_one(tmp_path: Path) -> None:
    blobs = MemoryBlobStore(metadata_bytes_max=1_000)
    async with running_mill(make_services(tmp_path, blobs=blobs)) as mill:
        kb = await mill.knowledge_base()
        await upload(mill, kb, ["short.txt"])
        await upload(mill, kb, [f"{'long' * 50}.txt"])
        before = told(await mill.facts())
        sources = [one.source_blob for one in before.values() if isinstance(one, DocumentAccepted)]
        assert set(await mill.blobs()) == {*sources, sidecar_key(sources[1])}
        lost = await after_the_loss(mill, tmp_path)
        assert (await sweep(lost)).tasks == {Found.ACCEPTED: 2}
        assert told(await lost.facts()) == before
