"""The reading side over real HTTP: status, lists, long polls and streams that resume, on a real Redis."""

import asyncio
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from events.ids import TaskId
from events.redis_clients import Clients, make_clients
from tests.event_samples import new_document, new_task
from tests.projecting import project
from tests.read_world import PARTITIONS, World, is_end, is_state, stream, until
from tests.servers.redis_process import RedisProcess
from tests.waiting import wait_for, wait_until

pytest_plugins = ("tests.servers.redis",)


@pytest.fixture
def world(redis_clients: Clients) -> World:
    return World(redis_clients)


async def test_a_stream_begins_with_the_present_state_and_ends_with_the_task(world: World) -> None:
    knowledge_base = await world.workshop.create()
    task, documents = await world.workshop.submit(knowledge_base, 2)
    async with world.projecting(), world.serving() as api, stream(api, f"/tasks/{task}/stream") as (response, events):
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-accel-buffering"] == "no"
        first = await until(events, lambda event: event.name == "document" and event.id is not None)
        assert [event.name for event in first] == ["status", "document", "document"]
        assert first[0].data["status"] == "queued"
        assert [event.data["document_id"] for event in first[1:]] == documents
        for document in documents:
            await world.workshop.complete(document)
        await world.workshop.finish(task)
        rest = await until(events, is_end)
        async with httpx.AsyncClient() as client:
            answered = (await client.get(f"{api.url}/tasks/{task}")).json()
        last = {event.data.get("document_id", task): event.data for event in rest if not is_end(event)}
        assert last[task] == answered
        assert answered["status"] == "completed"
        assert {last[document]["status"] for document in documents} == {"completed"}
        assert rest[-2].name == "status"
        for name in [task, *documents]:
            told = [event.data for event in [*first, *rest[:-1]] if event.data.get("document_id", task) == name]
            versions, progress = [one["version"] for one in told], [one["progress"] for one in told]
            assert versions == sorted(set(versions)), "each state once, never an older one after a newer"
            assert progress == sorted(progress)
        with pytest.raises(StopAsyncIteration):
            await anext(events)


async def test_a_finished_task_tells_its_state_and_its_documents_and_ends(world: World) -> None:
    task, documents = await world.workshop.through(await world.workshop.create(), 3)
    await world.project()
    async with world.serving() as api, stream(api, f"/tasks/{task}/stream") as (_, events):
        seen = await until(events, is_end)
    assert [event.name for event in seen] == ["status", "document", "document", "document", "end"]
    assert {event.data["document_id"] for event in seen[1:-1]} == set(documents)


async def test_a_stream_of_a_task_that_no_projector_saw_is_folded_from_its_history(world: World) -> None:
    task, _ = await world.workshop.through(await world.workshop.create(), 2)
    async with world.serving() as api, stream(api, f"/tasks/{task}/stream") as (_, events):
        seen = await until(events, is_end)
    assert seen[0].data["status"] == "completed"


async def test_a_stream_resumes_without_a_gap_across_a_restart(world: World) -> None:
    knowledge_base = await world.workshop.create()
    task, documents = await world.workshop.submit(knowledge_base, 3)
    await world.project()
    async with world.serving() as api, stream(api, f"/tasks/{task}/stream") as (_, events):
        first = await until(events, lambda event: event.id is not None)
        await world.workshop.complete(documents[0])
        await world.project()
        second = await until(events, is_state)
    last_id = second[-1].id
    assert first[-1].id != last_id
    await world.workshop.complete(documents[1])
    await world.project()
    for headers, query in (({"Last-Event-ID": str(last_id)}, ""), (None, f"?last_event_id={last_id}")):
        async with world.serving() as api, stream(api, f"/tasks/{task}/stream{query}", headers=headers) as (_, events):
            missed = await until(events, is_state)
            assert [event.data.get("document_id") for event in missed] == [documents[1], None]
            assert missed[0].data["status"] == "completed"
            assert missed[-1].data["documents"]["completed"] == 2
    await world.workshop.complete(documents[2])
    await world.workshop.finish(task)
    await world.project()
    async with (
        world.serving() as api,
        stream(api, f"/tasks/{task}/stream", headers={"Last-Event-ID": str(missed[-1].id)}) as (_, events),
    ):
        rest = await until(events, is_end)
    assert [event.data.get("document_id") for event in rest] == [documents[2], None, None]


@pytest.mark.parametrize("resume_from", ["nonsense", "0-1", "99999999999999-0"])
async def test_a_place_that_cannot_be_resumed_from_leads_to_a_fresh_state(world: World, resume_from: str) -> None:
    task, documents = await world.workshop.submit(await world.workshop.create(), 2)
    await world.project()
    headers = {"Last-Event-ID": resume_from}
    async with world.serving() as api, stream(api, f"/tasks/{task}/stream", headers=headers) as (_, events):
        seen = await until(events, lambda event: event.id is not None)
    assert [event.data.get("document_id") for event in seen] == [None, *documents]


async def test_a_slow_reader_gets_fewer_and_newer_states_and_always_the_last(world: World) -> None:
    knowledge_base = await world.workshop.create()
    task, documents = await world.workshop.submit(knowledge_base, 60)
    await world.project()
    async with world.serving(send_buffer_bytes=4_096) as api:
        address = urlsplit(api.url)
        reader = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        reader.connect((address.hostname, address.port))
        reader.sendall(f"GET /api/v1/tasks/{task}/stream HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        await wait_until(lambda: api.tailer.count == 1, "the stream is open")
        for document in documents:
            await world.workshop.complete(document)
            await world.project()
        await world.workshop.finish(task)
        await world.project()
        received = await asyncio.to_thread(_read_to_the_end, reader)
    states = received.count(b"event: status")
    assert received.index(b"event: end") > received.rindex(b"event: status")
    last = received[received.rindex(b"event: status") :]
    assert b'"status":"completed"' in last
    assert 2 <= states < len(documents), f"{states} states were sent to a reader that did not read"


def _read_to_the_end(reader: socket.socket) -> bytes:
    received = bytearray()
    reader.settimeout(20)
    with reader:
        while not received.endswith(b"0\r\n\r\n"):
            part = reader.recv(65_536)
            if not part:
                break
            received += part
    return bytes(received)


async def test_silence_is_broken_by_comments(world: World) -> None:
    task, _ = await world.workshop.submit(await world.workshop.create())
    await world.project()
    async with world.serving(heartbeat_s=0.05) as api, stream(api, f"/tasks/{task}/stream") as (_, events):
        seen = await until(events, lambda event: event.name == "comment")
    assert [event.name for event in seen[:2]] == ["status", "document"]


async def test_a_stream_whose_reader_left_is_closed(world: World) -> None:
    task, _ = await world.workshop.submit(await world.workshop.create())
    async with world.serving() as api:
        async with stream(api, f"/tasks/{task}/stream") as (_, events):
            await until(events, lambda event: event.id is not None)
            assert api.tailer.count == 1
        await wait_until(lambda: api.tailer.count == 0, "the subscription is gone")


async def test_more_streams_than_allowed_are_refused(world: World) -> None:
    task, _ = await world.workshop.submit(await world.workshop.create())
    async with world.serving(streams_max=1) as api, stream(api, f"/tasks/{task}/stream") as (_, events):
        await until(events, lambda event: event.id is not None)
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{api.url}/tasks/{task}/stream")).status_code == 503


async def test_a_head_request_of_a_stream_is_answered_and_over(world: World) -> None:
    task, _ = await world.workshop.submit(await world.workshop.create())
    async with world.serving() as api, httpx.AsyncClient(timeout=20) as client:
        answered = await client.head(f"{api.url}/tasks/{task}/stream")
        assert (answered.status_code, answered.content) == (200, b"")
        assert api.tailer.count == 0


async def test_a_knowledge_base_streams_its_counters(world: World) -> None:
    knowledge_base = await world.workshop.create()
    path = f"/knowledge-bases/{knowledge_base}/stream"
    async with world.projecting(), world.serving() as api, stream(api, path) as (_, events):
        first = await until(events, lambda event: event.id is not None)
        assert [(event.name, event.data["documents"]["total"]) for event in first] == [("status", 0)]
        await world.workshop.through(knowledge_base, 2)
        await until(events, lambda event: event.name == "status" and event.data["documents"]["completed"] == 2)


async def test_an_unchanged_task_answers_304_to_its_tag(world: World) -> None:
    task, (document,) = await world.workshop.submit(await world.workshop.create())
    await world.project()
    async with world.serving() as api, httpx.AsyncClient() as client:
        first = await client.get(f"{api.url}/tasks/{task}")
        tag = first.headers["etag"]
        assert tag == f'"{first.json()["version"]}"'
        for header in (tag, f"W/{tag}", f'"0", {tag}', "*"):
            again = await client.get(f"{api.url}/tasks/{task}", headers={"If-None-Match": header})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        await world.workshop.parse(document)
        await world.project()
        changed = await client.get(f"{api.url}/tasks/{task}", headers={"If-None-Match": tag})
        assert (changed.status_code, changed.json()["status"]) == (200, "processing")


async def test_a_long_poll_answers_as_soon_as_the_task_changes(world: World) -> None:
    task, (document,) = await world.workshop.submit(await world.workshop.create())
    async with world.projecting(), world.serving() as api, httpx.AsyncClient(timeout=30) as client:
        await wait_for(lambda: _is_projected(world, task), "the task projected")
        known = await client.get(f"{api.url}/tasks/{task}")
        headers = {"If-None-Match": known.headers["etag"]}
        polling = asyncio.create_task(client.get(f"{api.url}/tasks/{task}?wait=20", headers=headers))
        await wait_until(lambda: api.tailer.count == 1, "the poll waits")
        await world.workshop.start(document)
        answered = await polling
        assert (answered.status_code, answered.json()["status"]) == (200, "processing")
        assert answered.json()["version"] > known.json()["version"]
        stale = await client.get(f"{api.url}/tasks/{task}?wait=20", headers=headers)
        assert stale.json()["version"] == answered.json()["version"], "news that wait already are told at once"


async def _is_projected(world: World, task: TaskId) -> bool:
    partition = int(task[5:7], 16)
    return (await world.views.checkpoint(partition)).number == (await world.log.head(partition)).number


async def test_a_long_poll_of_a_task_that_does_not_change_ends_with_the_time(world: World) -> None:
    task, _ = await world.workshop.submit(await world.workshop.create())
    await world.project()
    async with world.serving() as api, httpx.AsyncClient(timeout=30) as client:
        known = await client.get(f"{api.url}/tasks/{task}?wait=1")
        assert known.status_code == 200
        headers = {"If-None-Match": known.headers["etag"]}
        assert (await client.get(f"{api.url}/tasks/{task}?wait=1", headers=headers)).status_code == 304


async def test_a_long_poll_of_a_finished_task_answers_at_once(world: World) -> None:
    task, _ = await world.workshop.through(await world.workshop.create())
    await world.project()
    async with world.serving() as api, httpx.AsyncClient(timeout=20) as client:
        for asked in ("wait=60", "wait=60&until=ended", "until=ended"):
            assert (await client.get(f"{api.url}/tasks/{task}?{asked}")).json()["status"] == "completed"


async def test_a_long_poll_for_the_end_of_a_task_answers_then(world: World) -> None:
    task, (document,) = await world.workshop.submit(await world.workshop.create())
    async with world.projecting(), world.serving() as api, httpx.AsyncClient(timeout=30) as client:
        polling = asyncio.create_task(client.get(f"{api.url}/tasks/{task}?wait=20&until=ended"))
        await wait_until(lambda: api.tailer.count == 1, "the poll waits")
        await world.workshop.complete(document)
        await world.workshop.finish(task)
        assert (await polling).json()["status"] == "completed"


async def test_lists_and_single_answers_have_the_same_json(world: World) -> None:
    knowledge_base = await world.workshop.create("手册")
    task, (document,) = await world.workshop.through(knowledge_base)
    await world.project()
    async with world.serving() as api, httpx.AsyncClient() as client:

        async def get(path: str) -> Any:
            response = await client.get(api.url + path)
            assert response.status_code == 200, response.text
            return response.json()

        base = f"/knowledge-bases/{knowledge_base}"
        one_task, one_base, one_document = (
            await get(f"/tasks/{task}"),
            await get(base),
            await get(f"{base}/documents/{document}"),
        )
        for path, expected in (
            ("/tasks", one_task),
            (f"/tasks?knowledge_base={knowledge_base}&status=completed", one_task),
            (f"/tasks/{task}/documents", one_document),
            (f"{base}/documents?status=completed", one_document),
            ("/knowledge-bases?name=手册", one_base),
        ):
            assert await get(path) == {"data": [expected], "total": 1, "next_cursor": None}
        assert (await get("/tasks?status=failed"))["data"] == []
        facts = await get(f"/tasks/{task}/events?limit=2")
        assert [fact["type"] for fact in facts["data"]] == ["TaskSubmitted", "DocumentAccepted"]
        assert facts["data"][0].keys() >= {"type", "recorded_at", "actor", "cause", "data"}
        rest = await get(f"/tasks/{task}/events?limit=200&cursor={facts['next_cursor']}")
        assert (rest["data"][-1]["type"], len(rest["data"]) + 2) == ("TaskFinished", rest["total"])


async def test_questions_that_cannot_be_answered_are_refused(world: World) -> None:
    knowledge_base = await world.workshop.create()
    await world.project()
    base = f"/knowledge-bases/{knowledge_base}"
    async with world.serving() as api, httpx.AsyncClient() as client:
        for path, status in (
            (f"/tasks/{new_task()}", 404),
            (f"/tasks/{new_task()}/stream", 404),
            (f"/tasks/{new_task(PARTITIONS)}", 404),
            ("/tasks/nonsense", 404),
            (f"/tasks/{knowledge_base}", 404),
            (f"{base}/documents/{new_document()}", 404),
            ("/tasks?limit=0", 422),
            ("/tasks?status=done", 422),
            ("/tasks?colour=red", 422),
            ("/tasks?limit=1&limit=2", 422),
            (f"{base}?wait=1", 422),
            ("/tasks?cursor=abc", 400),
            (f"{base}/documents?cursor=%E4%B8%AD", 400),
        ):
            assert (await client.get(api.url + path)).status_code == status, path


async def test_a_stream_outlives_a_store_that_went_away_and_came_back(own_redis: RedisProcess) -> None:
    async with make_clients(own_redis.url) as clients:
        world = World(clients)
        task, (document,) = await world.workshop.submit(await world.workshop.create())
        await world.project()
        async with world.serving() as api:
            async with stream(api, f"/tasks/{task}/stream") as (_, events):
                first = await until(events, lambda event: event.id is not None)
                own_redis.kill()
                own_redis.start()
                await world.workshop.complete(document)
                await project(world.log, world.views, holder="test")
                await until(events, lambda event: event.data.get("status") == "completed")
            async with stream(api, f"/tasks/{task}/stream?last_event_id={first[-1].id}") as (_, events):
                missed = await until(events, is_state)
        assert [event.data["status"] for event in missed] == ["completed", "processing"]


async def test_dead_letters_are_listed_by_what_is_asked(world: World) -> None:
    knowledge_base = await world.workshop.create()
    _, (first, second, healthy) = await world.workshop.submit(knowledge_base, 3)
    await world.workshop.fail(first)
    await world.workshop.fail(second)
    await world.workshop.complete(healthy)
    await world.project()
    async with world.serving() as api, httpx.AsyncClient(base_url=f"{api.url}/") as client:
        every = (await client.get("dead-letters")).json()
        assert [one["document_id"] for one in every["data"]] == [second, first]
        assert (every["total"], every["next_cursor"]) == (2, None)
        assert every["data"][0]["code"] == "no_text"
        page = (await client.get("dead-letters", params={"limit": 1, "code": "no_text"})).json()
        query = {"limit": 1, "code": "no_text", "cursor": page["next_cursor"]}
        assert [one["document_id"] for one in (await client.get("dead-letters", params=query)).json()["data"]] == [
            first
        ]
        for params, total in (
            ({"step": "parse", "knowledge_base": knowledge_base}, 2),
            ({"step": "index"}, 0),
            ({"since": every["data"][0]["failed_at"]}, 1),
            ({"since": "2999-01-01T00:00:00+08:00"}, 0),
        ):
            assert (await client.get("dead-letters", params=params)).json()["total"] == total, params
        for refused in ({"code": "No Text"}, {"step": "walk"}, {"since": "2026-01-01"}, {"q": "x"}):
            assert (await client.get("dead-letters", params=refused)).status_code == 422, refused
        assert (await client.get("dead-letters", params={"knowledge_base": "kb_1"})).status_code == 404
