"""Twenty clients, cut off two hundred times, on two replicas of which one is restarted: nothing missed or repeated."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import httpx_sse
import msgspec
import pytest

from events.ids import KnowledgeBaseId, TaskId
from events.redis_clients import Clients
from tests.read_world import World
from tests.servers.read_api import ReadApi
from tests.waiting import wait_until

pytest_plugins = ("tests.servers.redis",)

CLIENTS = 20
CUTS = 200
TASKS = 8
DOCUMENTS = 5
CUT_AFTER_EVENTS_MAX = 5
SILENCE_S_MAX = 0.3
"""A client that is told nothing is cut off too."""


class Replicas:
    """Two API processes' worth of servers, each with a tailer of its own; the first may be restarted."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stacks = [AsyncExitStack(), AsyncExitStack()]
        self.running: list[ReadApi | None] = [None, None]

    async def start(self, number: int) -> None:
        self.running[number] = await self._stacks[number].enter_async_context(self._world.serving())

    async def stop(self, number: int) -> None:
        self.running[number] = None
        await self._stacks[number].aclose()
        self._stacks[number] = AsyncExitStack()


class Budget:
    def __init__(self) -> None:
        self.cuts = 0


class Reader:
    """A client that is cut off at random places until the budget is used up, and then stays."""

    def __init__(self, replicas: Replicas, path: str, budget: Budget, chance: random.Random) -> None:
        self._replicas = replicas
        self._path = path
        self._budget = budget
        self._chance = chance
        self._last_id = ""
        self.known: dict[str, Any] = {}
        self.ids: list[str] = []
        self.repeated_states = 0
        self.older_states = 0

    async def run(self) -> None:
        async with httpx.AsyncClient(timeout=20) as client:
            while not await self._follow(client):
                pass

    async def _follow(self, client: httpx.AsyncClient) -> bool:
        """True at the end of the story."""
        api = self._chance.choice([one for one in self._replicas.running if one is not None])
        resumed_from = self._last_id
        headers = {"Last-Event-ID": resumed_from} if resumed_from else {}
        try:
            async with httpx_sse.aconnect_sse(client, "GET", api.url + self._path, headers=headers) as source:
                if source.response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                    return False
                source.response.raise_for_status()
                async with asyncio.timeout(self._patience_s()):
                    async for number, event in _numbered(source):
                        self._take(event, was_resumed=bool(resumed_from))
                        if event.event == "end":
                            return True
                        if number >= self._chance.randint(1, CUT_AFTER_EVENTS_MAX) and self._may_cut():
                            return False
        except TimeoutError:
            self._may_cut()
        except httpx.TransportError:
            pass
        return False

    def _patience_s(self) -> float | None:
        return self._chance.uniform(0, SILENCE_S_MAX) if self._budget.cuts < CUTS else None

    def _may_cut(self) -> bool:
        if self._budget.cuts >= CUTS:
            return False
        self._budget.cuts += 1
        return True

    def _take(self, event: httpx_sse.ServerSentEvent, *, was_resumed: bool) -> None:
        if event.id and event.id != self._last_id:
            self.ids.append(event.id)
            self._last_id = event.id
        if not event.data or event.event in {"end", "snapshot"}:
            return
        state = msgspec.json.decode(event.data)
        row = state.get("document_id") or state.get("task_id") or state["knowledge_base_id"]
        before = self.known.get(row, {"version": 0})["version"]
        if was_resumed:
            self.repeated_states += state["version"] == before
            self.older_states += state["version"] < before
        self.known[row] = state


async def _numbered(source: httpx_sse.EventSource) -> AsyncIterator[tuple[int, httpx_sse.ServerSentEvent]]:
    number = 0
    async for event in source.aiter_sse():
        number += bool(event.data)
        yield number, event


async def work(
    world: World, bases: list[KnowledgeBaseId], tasks: list[TaskId], docs: dict[Any, Any], budget: Budget
) -> None:
    """Everything to its end, but not faster than the clients are cut off."""
    turns = [(task, document) for place in range(DOCUMENTS) for task in tasks for document in [docs[task][place]]]
    for number, (_, document) in enumerate(turns):
        await world.workshop.complete(document)
        wanted = CUTS * (number + 1) // len(turns)
        await wait_until(lambda wanted=wanted: budget.cuts >= wanted, f"{wanted} cuts", 90)  # type: ignore[misc]
    for task in tasks:
        await world.workshop.finish(task)


@pytest.fixture
def world(redis_clients: Clients) -> World:
    return World(redis_clients)


async def test_clients_that_are_cut_off_miss_nothing_and_are_told_nothing_twice(world: World) -> None:
    budget, replicas = Budget(), Replicas(world)
    bases = [await world.workshop.create(f"base {number}") for number in range(2)]
    docs: dict[Any, Any] = {}
    for number in range(TASKS):
        task, documents = await world.workshop.submit(bases[number % 2], DOCUMENTS)
        docs[task] = documents
    tasks = list(docs)
    paths = [f"/tasks/{task}/stream" for task in tasks] * 2
    paths += [f"/knowledge-bases/{bases[0]}/stream", f"/knowledge-bases/{bases[1]}/stream", "/stream", "/stream"]
    readers = [
        Reader(replicas, path, budget, random.Random(path + str(number)))  # noqa: S311  no secret
        for number, path in enumerate(paths)
    ]
    assert len(readers) == CLIENTS
    await world.project()
    await asyncio.gather(replicas.start(0), replicas.start(1))
    async with world.projecting():
        running = [asyncio.create_task(reader.run()) for reader in readers]
        try:
            working = asyncio.create_task(work(world, bases, tasks, docs, budget))
            await wait_until(lambda: budget.cuts >= CUTS // 2, "half of the cuts", 90)
            await replicas.stop(0)
            await replicas.start(0)
            await working
            expected = await present(replicas, tasks, bases, docs)
            await wait_until(
                lambda: not broken(running) and missed(readers, paths, expected) == 0,
                "everybody knows the end of it",
                60,
            )
        finally:
            left = missed(readers, paths, await present(replicas, tasks, bases, docs))
            for one in running:
                one.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await asyncio.gather(replicas.stop(0), replicas.stop(1))
    ids = sum(len(reader.ids) for reader in readers)
    repeated_ids = ids - sum(len(set(reader.ids)) for reader in readers)
    repeated = sum(reader.repeated_states for reader in readers)
    older = sum(reader.older_states for reader in readers)
    print(
        f"{len(readers)} clients, {budget.cuts} cuts, 1 restart: {ids} events with an id; missed {left},"
        f" repeated ids {repeated_ids}, repeated states {repeated}, older states {older}"
    )
    assert (budget.cuts, left, repeated_ids, repeated, older) == (CUTS, 0, 0, 0, 0)


async def present(
    replicas: Replicas, tasks: list[TaskId], bases: list[KnowledgeBaseId], docs: dict[Any, Any]
) -> dict[str, dict[str, Any]]:
    """What GET answers, by the address of the stream that tells it."""
    api = replicas.running[1]
    assert api is not None
    async with httpx.AsyncClient() as client:

        async def get(path: str) -> Any:
            return (await client.get(api.url + path)).json()

        of_tasks: dict[str, Any] = {task: await get(f"/tasks/{task}") for task in tasks}
        of_bases: dict[str, Any] = {base: await get(f"/knowledge-bases/{base}") for base in bases}
        expected: dict[str, dict[str, Any]] = {"/stream": {**of_tasks, **of_bases}}
        for base in bases:
            expected[f"/knowledge-bases/{base}/stream"] = {base: of_bases[base]}
        for task in tasks:
            found = (await get(f"/tasks/{task}/documents"))["data"]
            expected[f"/tasks/{task}/stream"] = {task: of_tasks[task], **{one["document_id"]: one for one in found}}
    return expected


def broken(running: Iterable[asyncio.Task[None]]) -> bool:
    """Raises what ended a reader other than the end of its story: it would only be missed."""
    for one in running:
        if one.done():
            one.result()
    return False


def missed(readers: list[Reader], paths: list[str], expected: dict[str, dict[str, Any]]) -> int:
    """Rows of which a reader does not know the present state."""
    return sum(
        reader.known.get(row) != state
        for reader, path in zip(readers, paths, strict=True)
        for row, state in expected[path].items()
    )
