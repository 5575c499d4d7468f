"""Verifying on memory: what is sound is called sound while it changes, and every damage is found with both values."""

import asyncio

import msgspec
import pytest

from events.errors import LogUnavailable
from events.memory import MemoryLog
from projections.bulk_writer import Follower
from projections.errors import RebuildRefused
from projections.memory_views import MemoryViews
from projections.projection import DOCUMENTS, TABLES, TASKS, RowKey, Table
from projections.projector import Projector
from projections.row_packing import unpack
from projections.rows import decode_row
from projections.tasks import TaskRow, tasks_index
from projections.verify import Verified, verify
from projections.views import Lease
from projections.writer import LEASE_MS
from tests.projecting import project
from tests.workshop import Workshop


class World:
    def __init__(self) -> None:
        self.now_ms = 1_000
        self.log = MemoryLog(partitions=1, clock_us=lambda: self.now_ms * 1_000)
        self.views = MemoryViews(partitions=1, clock_ms=lambda: self.now_ms)
        self.workshop = Workshop(self.log)

    async def verify(self, *, repairs: bool = False) -> Verified:
        return await verify(self.log, self.views, 0, holder="v", repairs=repairs)

    def table(self, table: Table) -> dict[str, bytes]:
        return self.views._partitions[0].generations[1].tables[table]


@pytest.fixture
async def world() -> World:
    world = World()
    knowledge_base = await world.workshop.create()
    for _ in range(3):
        await world.workshop.through(knowledge_base, 2)
    await project(world.log, world.views)
    return world


async def test_sound_views_have_no_differences_and_stay_live(world: World) -> None:
    found = await world.verify()
    assert found.differences == ()
    assert found.generation == await world.views.live_generation(0) == 1
    assert found.checkpoint.number == (await world.log.head(0)).number
    tables = [[row async for row in world.views.scan_rows(0, 1, table)] for table in TABLES]
    assert found.rows == sum(map(len, tables))
    assert found.lists == len([one async for one in world.views.scan_indexes(0, 1)])
    assert [row async for row in world.views.scan_rows(0, 2, TASKS)] == []


async def test_one_changed_one_missing_and_one_invented_row_are_told_with_both_values(world: World) -> None:
    changed, missing = sorted(world.table(TASKS))[:2]
    row = decode_row(TASKS, world.table(TASKS)[changed])
    assert isinstance(row, TaskRow)
    sound = msgspec.to_builtins(row)
    world.table(TASKS)[changed] = msgspec.msgpack.encode(msgspec.structs.replace(row, document_events=99))
    del world.table(TASKS)[missing]
    world.table(DOCUMENTS)["ghost"] = b"\xff"
    found = {one.name: one for one in (await world.verify()).differences}
    assert set(found) == {f"tasks/{changed}", f"tasks/{missing}", "documents/ghost"}
    assert found[f"tasks/{changed}"].other == sound
    assert found[f"tasks/{changed}"].one != sound
    assert found[f"tasks/{missing}"].one is None
    assert found["documents/ghost"] == type(found["documents/ghost"])("documents/ghost", "unreadable: ff", None)


async def test_a_damaged_list_is_told_with_both_values(world: World) -> None:
    members = await world.views.members(0, 1, tasks_index())
    world.views._partitions[0].generations[1].indexes[tasks_index()].pop()
    world.views._partitions[0].generations[1].indexes["invented"] = ["x"]
    found = {one.name: (one.one, one.other) for one in (await world.verify()).differences}
    assert found == {f"lists/{tasks_index()}": (members[:-1], members), "lists/invented": (("x",), ())}


async def test_a_repair_makes_the_sound_generation_live(world: World) -> None:
    task = min(world.table(TASKS))
    sound = await world.views.rows(0, TASKS, [task])
    world.table(TASKS)[task] = b"damaged"
    found = await world.verify(repairs=True)
    assert (len(found.differences), found.generation) == (1, 2)
    assert await world.views.rows(0, TASKS, [task]) == sound
    assert await world.verify(repairs=True) == Verified(found.checkpoint, 2, found.rows, found.lists, ())


async def test_rows_with_other_bytes_for_the_same_content_do_not_differ(world: World) -> None:
    task = min(world.table(TASKS))
    raw = msgspec.msgpack.decode(unpack(world.table(TASKS)[task]))
    world.table(TASKS)[task] = msgspec.msgpack.encode([{**raw[0], "of_the_future": 1}, *raw[1:]])
    assert (await world.verify()).differences == ()


async def test_views_that_go_on_while_they_are_compared_do_not_differ(world: World) -> None:
    load, turns = world.views.load, 0
    projector = Projector(world.log, world.views, partition=0, holder="live")

    async def while_others_work(lease: Lease, keys: list[RowKey]) -> list[bytes | None]:
        nonlocal turns
        turns += 1
        if turns in {5, 6}:
            world.now_ms += LEASE_MS // 2 + 1
            await world.workshop.through(await world.workshop.create(f"later {turns}"), 2)
            await projector.advance()
        return await load(lease, keys)

    world.views.load = while_others_work  # type: ignore[method-assign,assignment]
    found = await world.verify()
    assert found.differences == ()
    assert found.checkpoint.number > 60
    assert turns > 6


async def test_the_projector_goes_on_after_a_verification(world: World) -> None:
    projector = Projector(world.log, world.views, partition=0, holder="live")
    world.now_ms += LEASE_MS + 1
    assert await projector.advance() == 0
    await world.verify()
    await world.workshop.create("later")
    while not await projector.advance():
        pass
    assert (await world.views.checkpoint(0)).number == (await world.log.head(0)).number


async def test_a_verification_beside_a_rebuild_is_refused(world: World) -> None:
    await world.views.acquire(0, 2, holder="other", lease_ms=LEASE_MS, build=True)
    with pytest.raises(RebuildRefused):
        await world.verify()


async def test_a_verification_that_is_broken_off_lets_others_begin_at_once(world: World) -> None:
    def is_broken_off(_page: object, _folded: object) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await verify(world.log, world.views, 0, holder="first", follower=Follower(is_broken_off))

    assert (await verify(world.log, world.views, 0, holder="second")).differences == ()


async def test_a_repair_that_fails_at_the_swap_lets_the_projector_go_on_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> bool:
        raise LogUnavailable("gone")

    world.table(TASKS).popitem()
    monkeypatch.setattr(world.views, "swap", fails)
    with pytest.raises(LogUnavailable):
        await world.verify(repairs=True)

    taken = await world.views.acquire(0, 1, holder="projector", lease_ms=LEASE_MS)
    assert isinstance(taken, Lease)
