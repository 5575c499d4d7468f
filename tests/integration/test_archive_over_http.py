"""The archive over HTTP: what it holds, what is asked of it, and a verification as it goes on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from starlette.applications import Starlette

from blobs.memory import MemoryBlobStore
from events.redis_clients import Clients
from ingest.answers import exception_handlers
from millstream.problems import PROJECTION_PROBLEMS
from projections.archive_overview import ArchiveAtAGlance
from projections.archiver import ArchiveSettings
from projections.routes_archive import archive_routes
from tests.contract.archive_world import RedisArchiveWorld, archive_all, archiver
from tests.contract.event_log_contract import STARTED, document_write
from tests.event_samples import new_document

pytest_plugins = ("tests.servers.redis",)

Told = list[tuple[str, dict[str, Any]]]


class GatedBlobs(MemoryBlobStore):
    """Reads wait while the gate is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_waiting = asyncio.Event()

    async def get(self, key: str) -> bytes:
        self.is_waiting.set()
        await self.gate.wait()
        return await super().get(key)


class World:
    def __init__(self, archived: RedisArchiveWorld, blobs: GatedBlobs, *, is_kept: bool = True) -> None:
        self.archived = archived
        self.blobs = blobs
        glance = ArchiveAtAGlance(archived.log.archive, ArchiveSettings(), is_kept=is_kept)
        app = Starlette(
            routes=archive_routes(archived.log.archive, glance),
            exception_handlers=exception_handlers(PROJECTION_PROBLEMS),
        )
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test/api/v1")

    async def append(self, count: int) -> None:
        await self.archived.log.append([document_write(new_document(), 0, *[STARTED] * count)])

    async def overview(self) -> dict[str, Any]:
        response = await self.http.get("/archive")
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    async def verified(self, **query: int) -> Told:
        response = await self.http.post("/archive/verify", params=query)
        assert response.headers["content-type"].startswith("text/event-stream"), response.text
        return events_in(response.text)


def events_in(text: str) -> Told:
    blocks = [block.split("\n") for block in text.strip().split("\n\n") if block.startswith("event: ")]
    return [(name.removeprefix("event: "), msgspec.json.decode(data.removeprefix("data: "))) for name, data in blocks]


@pytest.fixture
async def world(redis_clients: Clients) -> AsyncIterator[World]:
    blobs = GatedBlobs()
    world = World(await RedisArchiveWorld.begun(redis_clients, blobs), blobs)
    yield world
    await world.http.aclose()


async def test_it_tells_of_each_partition_what_is_archived_and_what_waits(world: World) -> None:
    before = await world.overview()
    assert (before["is_kept"], before["segments"], before["waiting_events"]) == (True, 0, 0)
    assert before["partitions"][0]["first"] is None
    await world.append(7)
    waiting = (await world.overview())["partitions"][0]
    assert (waiting["events"], waiting["waiting_events"], waiting["log_events"]) == (0, 7, 7)
    assert waiting["waiting_s"] >= 0
    await archive_all(world.archived, segment_events_max=3)
    await world.append(2)
    found = await world.overview()
    one = found["partitions"][0]
    sizes = [segment.size_bytes for segment in await world.archived.store.segments(0)]
    assert (one["segments"], one["events"], one["size_bytes"]) == (3, 7, sum(sizes))
    assert (one["first"]["number"], one["last"]["number"]) == (1, 7)
    assert one["first"]["position"] < one["last"]["position"]
    assert (one["waiting_events"], one["log_events"], one["verified"]) == (2, 2, None)
    assert (found["segments"], found["events"], found["waiting_events"]) == (3, 7, 2)
    assert found["partitions"][1]["events"] == 0


async def test_what_is_asked_for_is_archived_by_whoever_archives(world: World) -> None:
    await world.append(4)
    asked = await world.http.post("/archive/now")
    assert (asked.status_code, asked.json()) == (202, {"partitions": 1, "waiting_events": 4})
    assert (await world.overview())["partitions"][0]["is_asked"]
    patient = archiver(world.archived, segment_events_max=1_000, after_s=3_600)
    assert await patient.advance() is not None
    done = (await world.overview())["partitions"][0]
    assert (done["events"], done["waiting_events"], done["is_asked"]) == (4, 0, False)


async def test_where_nothing_is_archived_nothing_is_promised(redis_clients: Clients) -> None:
    blobs = GatedBlobs()
    world = World(await RedisArchiveWorld.begun(redis_clients, blobs), blobs, is_kept=False)
    refused = await world.http.post("/archive/now")
    assert (refused.status_code, refused.json()["code"]) == (409, "archive_not_kept")
    assert not (await world.overview())["is_kept"]
    await world.http.aclose()


async def test_a_verification_tells_how_far_it_is_and_is_remembered(world: World) -> None:
    await world.append(7)
    await archive_all(world.archived, segment_events_max=3)
    told = await world.verified(partition=0)
    assert told == [
        *(("progress", {"partition": 0, "events": events, "total": 7}) for events in (3, 6, 7)),
        ("end", {"partitions": 1, "events": 7, "damages": 0}),
    ]
    known = (await world.overview())["partitions"][0]["verified"]
    assert (known["segments"], known["events"], known["damages"]) == (3, 7, 0)
    assert (await world.overview())["partitions"][1]["verified"] is None


async def test_damage_is_told_with_its_place(world: World) -> None:
    await world.append(7)
    await archive_all(world.archived, segment_events_max=3)
    middle = (await world.archived.store.segments(0))[1]
    sound = await world.blobs.get(middle.key)
    await world.blobs.delete(middle.key)
    await world.blobs.put_new(middle.key, sound[:-5] + bytes([sound[-5] ^ 16]) + sound[-4:])
    told = await world.verified()
    (damage,) = [data for name, data in told if name == "damage"]
    assert (damage["partition"], damage["segment"], damage["number"]) == (0, middle.key, 4)
    assert told[-1][1]["damages"] == 1
    assert (await world.overview())["partitions"][0]["verified"]["damages"] == 1


async def test_one_verification_at_a_time(world: World) -> None:
    await world.append(3)
    await archive_all(world.archived)
    world.blobs.gate.clear()
    world.blobs.is_waiting.clear()
    first = asyncio.create_task(world.verified())
    await world.blobs.is_waiting.wait()
    refused = await world.http.post("/archive/verify")
    assert (refused.status_code, refused.json()["code"]) == (409, "archive_busy")
    world.blobs.gate.set()
    assert (await first)[-1][0] == "end"
    assert (await world.verified())[-1][0] == "end", "there is a turn again"


@pytest.mark.parametrize("query", ["partition=999", "partition=-1", "partition=x", "colour=red"])
async def test_a_partition_that_there_is_not_is_refused(world: World, query: str) -> None:
    assert (await world.http.post(f"/archive/verify?{query}")).status_code == 422
    assert (await world.verified())[-1][0] == "end", "nobody holds the turn"
