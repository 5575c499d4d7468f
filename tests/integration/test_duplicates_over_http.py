"""Uploads of bytes that the knowledge base has: skipped, replacing, kept; and what is left where processes die."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from domain.sidecar import sidecar_key
from events.document import DocumentAccepted, DocumentRequested, DocumentSkipped, OnDuplicate
from events.failpoints import Action, Failpoints, Place, Rule, arm
from events.ids import KnowledgeBaseId, TaskId, kind_of, partition_of
from events.inbox import InboxDepth, InboxKey
from events.keys import Keys
from events.log import Tally, Write
from events.memory import MemoryLog
from events.memory_inbox import MemoryInbox
from events.redis_clients import Clients
from events.redis_log import RedisLog
from events.steps import Lane, Step
from ingest.reconcile import Found, reconcile
from knowledge.memory_index import MemoryIndex
from processors.collector import Collector
from tests.integration.ingest_app import PARTITIONS, Mill, make_services, now_us, running_mill

pytest_plugins = ("tests.servers.redis",)

A, B, C = b"the runner stone", b"the bed stone", b"the hopper"
RACING = 32


@pytest.fixture
async def mill(tmp_path: Path) -> AsyncIterator[Mill]:
    async with running_mill(make_services(tmp_path)) as mill:
        yield mill


async def post(mill: Mill, kb: str, *contents: bytes, policy: str | None = None, **headers: str) -> dict[str, Any]:
    files = [("file", (f"{number}.txt", content)) for number, content in enumerate(contents)]
    data = {} if policy is None else {"options": msgspec.json.encode({"on_duplicate": policy}).decode()}
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await mill.client.post(f"/api/v1/knowledge-bases/{kb}/documents", files=files, data=data, headers=sent)
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    return body


def lines(body: dict[str, Any]) -> list[tuple[str, str | None, str | None]]:
    return [(line["status"], line["duplicate_of"], line["replaces"]) for line in body["documents"]]


def id_of(body: dict[str, Any], ordinal: int = 0) -> str:
    document: str = body["documents"][ordinal]["document_id"]
    return document


async def sources(mill: Mill) -> set[str]:
    """The blobs and sidecars that the accepted documents name."""
    named = [one.event.source_blob for one in await mill.facts() if isinstance(one.event, DocumentAccepted)]
    return {key for source in named for key in (source, sidecar_key(source))}


async def test_the_same_bytes_again_are_skipped_and_leave_nothing_behind(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    first = await post(mill, kb, A)
    again = await post(mill, kb, A)
    assert lines(first) == [("queued", None, None)]
    assert lines(again) == [("skipped", id_of(first), None)]
    assert "already" in again["message"]
    assert set(await mill.blobs()) == await sources(mill)
    assert len(await mill.blobs()) == 2


async def test_a_task_of_which_all_was_skipped_is_at_its_end(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    await post(mill, kb, A, B)
    task = TaskId((await post(mill, kb, B, A))["task_id"])
    assert await mill.services.log.tally(task) == Tally(skipped=2)
    assert isinstance(mill.services.log, MemoryLog)
    finish = InboxKey(partition_of(kb), Step.FINISH, Lane.INTERACTIVE)
    assert await MemoryInbox(mill.services.log).depth(finish) == InboxDepth(waiting=1, pending=0)


async def test_of_two_equal_files_in_one_request_the_second_is_skipped(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    for policy, contents in (("skip", (A, B, A)), ("replace", (C, C))):
        body = await post(mill, kb, *contents, policy=policy)
        assert [line["duplicate_of"] for line in body["documents"]] == [None] * (len(contents) - 1) + [id_of(body)]
    assert set(await mill.blobs()) == await sources(mill)


async def test_replacing_and_keeping_are_accepted(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    old = await post(mill, kb, A)
    new = await post(mill, kb, A, policy="replace")
    kept = await post(mill, kb, A, A, policy="keep")
    skipped = await post(mill, kb, A)
    assert lines(new) == [("queued", None, id_of(old))]
    assert lines(kept) == [("queued", None, None)] * 2
    assert lines(skipped) == [("skipped", id_of(new), None)]
    assert len(await mill.blobs()) == 8


async def test_another_knowledge_base_has_documents_of_its_own(mill: Mill) -> None:
    for _ in range(2):
        body = await post(mill, await mill.knowledge_base(), A)
        assert lines(body) == [("queued", None, None)]


async def test_a_policy_that_does_not_exist_is_refused_at_its_place(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    url = f"/api/v1/knowledge-bases/{kb}/documents"
    data = {"options": '{"on_duplicate": "sometimes"}'}
    answer = await mill.client.post(url, files=[("file", ("a.txt", A))], data=data)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/options/on_duplicate")
    assert await mill.blobs() == {}


async def test_a_text_that_is_there_is_skipped(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    url = f"/api/v1/knowledge-bases/{kb}/documents/import"
    first = (await mill.client.post(url, json={"text": "the same words"})).json()
    assert lines((await mill.client.post(url, json={"text": "the same words"})).json()) == [
        ("skipped", id_of(first), None)
    ]


async def test_what_is_to_be_fetched_takes_the_wish_along(tmp_path: Path) -> None:
    services = msgspec.structs.replace(make_services(tmp_path), has_import_bucket=True)
    async with running_mill(services) as mill:
        kb = await mill.knowledge_base()
        asked = {"objects": ["a.txt"], "options": {"on_duplicate": "replace"}}
        answer = await mill.client.post(f"/api/v1/knowledge-bases/{kb}/documents/import", json=asked)
        assert answer.status_code == 202
        (wanted,) = [one.event for one in await mill.facts() if isinstance(one.event, DocumentRequested)]
        assert wanted.on_duplicate is OnDuplicate.REPLACE


async def test_a_repeated_request_answers_its_own_skipped_documents(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    first = await post(mill, kb, A, B, A, Idempotency_Key="k")
    again = await post(mill, kb, A, B, A, Idempotency_Key="k")
    assert (again["task_id"], lines(again)) == (first["task_id"], lines(first))
    assert set(await mill.blobs()) == await sources(mill)


async def test_of_many_uploads_of_the_same_bytes_over_two_processes_one_is_accepted(
    tmp_path: Path, redis_clients: Clients
) -> None:
    log = RedisLog(redis_clients.commands, redis_clients.blocking, Keys(PARTITIONS))
    other_log = RedisLog(redis_clients.commands, redis_clients.blocking, Keys(PARTITIONS))
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(running_mill(make_services(tmp_path, log=log)))
        other = await stack.enter_async_context(running_mill(make_services(tmp_path, log=other_log)))
        kb = await one.knowledge_base()
        bodies = await asyncio.gather(*(post((one, other)[n % 2], kb, A) for n in range(RACING)))
        (winner,) = [id_of(body) for body in bodies if body["documents"][0]["status"] != "skipped"]
        assert Counter(body["documents"][0]["duplicate_of"] for body in bodies) == {None: 1, winner: RACING - 1}
        assert len(await one.blobs()) == 2
        replacing = await asyncio.gather(*(post((one, other)[n % 2], kb, A, policy="replace") for n in range(RACING)))
        chain = {id_of(body): body["documents"][0]["replaces"] for body in replacing}
        assert Counter(chain.values()).most_common(1)[0][1] == 1  # no two take the place of the same
        assert set(chain.values()) - set(chain) == {winner}


async def die_behind_the_append(mill: Mill, kb: str, *contents: bytes) -> None:
    arm(Failpoints((Rule(Place.API_APPENDED, Action.RAISE, 0.0, 1),)))
    try:
        files = [("file", (f"{number}.txt", content)) for number, content in enumerate(contents)]
        answer = await mill.client.post(f"/api/v1/knowledge-bases/{kb}/documents", files=files)
        assert answer.status_code == 500
    finally:
        arm(Failpoints())


async def after_the_loss(mill: Mill, tmp_path: Path) -> Mill:
    """The same store behind a log that has kept the knowledge bases alone."""
    log = MemoryLog(partitions=PARTITIONS, clock_us=now_us)
    for one in await mill.facts():
        if kind_of(one.stream_id).value == "kb":
            envelope = msgspec.structs.replace(one, position=None, number=None)
            write = Write(
                stream_id=one.stream_id,
                expected_version=one.version - 1,
                envelopes=(envelope,),
                knowledge_base_id=KnowledgeBaseId(one.stream_id),
            )
            await log.append([write])
    return Mill(make_services(tmp_path, log=log), mill.requests, mill.port, mill.client)


async def said(mill: Mill) -> dict[str, object]:
    kinds = DocumentAccepted | DocumentSkipped
    return {one.stream_id: one.event for one in await mill.facts() if isinstance(one.event, kinds)}


async def test_a_lost_request_of_which_some_was_skipped_is_accepted_again_as_it_was(mill: Mill, tmp_path: Path) -> None:
    kb = await mill.knowledge_base()
    await post(mill, kb, A)
    await post(mill, kb, B, A, C, A)
    before = await said(mill)
    lost = await after_the_loss(mill, tmp_path)
    figures = await reconcile(lost.services, youngest=timedelta(0))
    assert (figures.documents_accepted, figures.tasks) == (3, {Found.ACCEPTED: 2})
    assert await said(lost) == before
    assert (await reconcile(lost.services, youngest=timedelta(0))).tasks == {}


async def test_what_was_skipped_does_not_come_back_and_what_came_twice_is_not_doubled(
    mill: Mill, tmp_path: Path
) -> None:
    """Of the second upload everything is left: its process died before it could let go of what was skipped."""
    kb = await mill.knowledge_base()
    first = await post(mill, kb, A)
    await die_behind_the_append(mill, kb, A)
    assert len(await mill.blobs()) == 4
    assert (await reconcile(mill.services, youngest=timedelta(0))).tasks == {}
    lost = await after_the_loss(mill, tmp_path)
    await reconcile(lost.services, youngest=timedelta(0))
    told = await said(lost)
    assert sorted(type(one).__name__ for one in told.values()) == ["DocumentAccepted", "DocumentSkipped"]
    assert id_of(first) in told


async def test_what_a_dead_process_left_of_a_skipped_upload_is_collected_and_nothing_else(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    await post(mill, kb, A)
    await die_behind_the_append(mill, kb, A, B)
    stored = set(await mill.blobs())
    needed = await sources(mill)
    assert len(stored - needed) == 2
    grace = timedelta(hours=24)
    for passed, left in ((timedelta(hours=23), stored), (timedelta(hours=25), needed)):
        as_of = datetime.now(UTC) + passed
        blobs: Any = mill.services.blobs
        await Collector(mill.services.log, blobs, MemoryIndex(), as_of=as_of, grace=grace).run()
        assert set(await mill.blobs()) == left
