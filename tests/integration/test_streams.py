"""Streams over real HTTP: what a client that was cut off is told, the end of things, everything in one stream."""

from collections.abc import AsyncIterator

import httpx
import pytest

from domain.commands import DeleteKnowledgeBase
from events.redis_clients import Clients
from tests.read_world import Event, World, is_end, is_state, stream, until

pytest_plugins = ("tests.servers.redis",)


@pytest.fixture
def world(redis_clients: Clients) -> World:
    return World(redis_clients)


async def test_who_was_cut_off_within_what_was_told_together_is_told_the_rest_alone(world: World) -> None:
    task, documents = await world.workshop.submit(await world.workshop.create(), 3)
    await world.project()
    async with world.serving() as api:
        async with stream(api, f"/tasks/{task}/stream") as (_, events):
            await until(events, lambda event: event.id is not None)
            for document in documents:
                await world.workshop.complete(document)
            await world.project()
            first, second, third, state = await until(events, is_state)
        for event, rest in ((first, [second, third, state]), (second, [third, state]), (third, [state])):
            async with stream(api, f"/tasks/{task}/stream?last_event_id={event.id}") as (_, events):
                assert [one.data for one in await until(events, is_state)] == [one.data for one in rest]


async def test_who_has_the_end_is_told_that_it_is_the_end(world: World) -> None:
    task, _ = await world.workshop.through(await world.workshop.create(), 2)
    await world.project()
    async with world.serving() as api:
        async with stream(api, f"/tasks/{task}/stream") as (_, events):
            told = await until(events, is_end)
        async with stream(api, f"/tasks/{task}/stream?last_event_id={told[-2].id}") as (_, events):
            assert [event.name for event in await until(events, is_end)] == ["end"]


async def test_the_stream_of_a_deleted_knowledge_base_says_so_and_ends(world: World) -> None:
    knowledge_base = await world.workshop.create()
    await world.project()
    async with world.serving() as api, stream(api, "/stream") as (_, everything):
        await until(everything, lambda event: event.id is not None)
        async with stream(api, f"/knowledge-bases/{knowledge_base}/stream") as (_, events):
            await until(events, lambda event: event.id is not None)
            await world.workshop.tell(knowledge_base, DeleteKnowledgeBase())
            await world.project()
            assert [event.name for event in await until(events, is_end)] == ["gone", "end"]
        (gone,) = await until(everything, lambda event: event.name == "gone")
        assert gone.data == {"id": knowledge_base}
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{api.url}/knowledge-bases/{knowledge_base}/stream")).status_code == 404


async def test_everything_is_told_in_one_stream_and_resumed(world: World) -> None:
    knowledge_base = await world.workshop.create()
    done, _ = await world.workshop.through(knowledge_base)
    task, (document,) = await world.workshop.submit(knowledge_base)
    await world.project()
    async with world.serving() as api, stream(api, "/stream") as (_, events):
        begun = await until(events, lambda event: event.id is not None)
        assert [event.name for event in begun] == ["snapshot", "knowledge_base", "task"]
        assert begun[0].data == {"open_tasks": 1, "is_whole": True}
        assert begun[2].data["task_id"] == task
        await world.workshop.complete(document)
        await world.project()
        seen = await until(events, lambda event: event.name == "task")
    elsewhere = await world.workshop.create("elsewhere")
    await world.workshop.finish(task)
    await world.project()
    async with world.serving() as api, stream(api, f"/stream?last_event_id={seen[-1].id}") as (_, events):
        told = [one async for one in first_of(events, {task, elsewhere})]
        async with httpx.AsyncClient() as client:
            answered = (await client.get(f"{api.url}/tasks/{task}")).json()
    assert done not in {event.data.get("task_id") for event in told}
    assert [event.data for event in told if event.data.get("task_id") == task] == [answered]


async def first_of(events: AsyncIterator[Event], ids: set[str]) -> AsyncIterator[Event]:
    """All events until each of these was told of."""
    missing = set(ids)
    async for event in events:
        assert event.name != "comment", f"not told: {missing}"
        yield event
        missing -= {event.data.get("task_id"), event.data.get("knowledge_base_id")}
        if not missing:
            return
