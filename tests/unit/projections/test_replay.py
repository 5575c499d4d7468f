"""Rebuilds on memory."""

import pytest

from events.memory import MemoryLog
from projections.errors import RebuildRefused
from projections.memory_views import MemoryViews
from projections.progress import Progress
from projections.projection import TASKS
from projections.projector import Projector
from projections.replay import rebuild
from projections.writer import LEASE_MS
from tests.generations import compare
from tests.projecting import project
from tests.workshop import Workshop


class World:
    def __init__(self) -> None:
        self.now_ms = 1_000
        self.log = MemoryLog(partitions=1, clock_us=lambda: self.now_ms * 1_000)
        self.views = MemoryViews(partitions=1, clock_ms=lambda: self.now_ms)
        self.workshop = Workshop(self.log)


@pytest.fixture
async def world() -> World:
    world = World()
    knowledge_base = await world.workshop.create()
    for _ in range(3):
        await world.workshop.through(knowledge_base, 2)
    await project(world.log, world.views)
    return world


async def test_rebuilt_views_equal_the_live_ones_row_by_row(world: World) -> None:
    progress: list[Progress] = []
    rebuilt = await rebuild(world.log, world.views, 0, holder="r", on_progress=progress.append, drops_old=False)
    assert (rebuilt.before, rebuilt.after) == (1, 2)
    assert await compare(world.views, 0, 1, 2) == []
    assert rebuilt.checkpoint == await world.views.checkpoint(0, 1)
    assert progress[-1].folded == progress[-1].total == (await world.log.head(0)).number


async def test_a_comparison_tells_what_differs(world: World) -> None:
    await rebuild(world.log, world.views, 0, holder="r", drops_old=False)
    await world.workshop.create("another")
    await project(world.log, world.views, holder="r")
    names = {difference.name.split("/")[0] for difference in await compare(world.views, 0, 1, 2)}
    assert names == {"knowledge_bases", "throughput"}


async def test_the_live_projector_goes_on_in_the_new_generation(world: World) -> None:
    projector = Projector(world.log, world.views, partition=0, holder="live")
    world.now_ms += LEASE_MS + 1
    assert await projector.advance() == 0
    await rebuild(world.log, world.views, 0, holder="r")
    await world.workshop.create("later")
    assert await projector.advance() == 0, "its lease was seized"
    assert await projector.advance() == 1
    assert await world.views.live_generation(0) == 2
    assert (await world.views.checkpoint(0)).number == (await world.log.head(0)).number


async def test_the_old_generation_is_deleted_and_a_damaged_view_healed(world: World) -> None:
    task = min([row_id async for row_id, _ in world.views.scan_rows(0, 1, TASKS)])
    sound = await world.views.rows(0, TASKS, [task])
    world.views._partitions[0].generations[1].tables[TASKS][task] = b"damaged"
    await rebuild(world.log, world.views, 0, holder="r")
    assert await world.views.rows(0, TASKS, [task]) == sound
    assert [row async for row in world.views.scan_rows(0, 1, TASKS)] == []


async def test_what_a_broken_off_rebuild_left_is_not_built_upon(world: World) -> None:
    lease = await world.views.acquire(0, 2, holder="dead", lease_ms=1, build=True)
    world.views._partitions[0].generations[2].tables[TASKS] = {"ghost": b"half a rebuild"}
    world.now_ms += 2
    await rebuild(world.log, world.views, 0, holder="r", drops_old=False)
    assert lease is not None
    assert await compare(world.views, 0, 1, 2) == []


async def test_two_rebuilds_of_one_partition_are_refused(world: World) -> None:
    await world.views.acquire(0, 2, holder="other", lease_ms=LEASE_MS, build=True)
    with pytest.raises(RebuildRefused):
        await rebuild(world.log, world.views, 0, holder="r")


async def test_views_that_were_never_filled_are_swapped_for_empty_ones() -> None:
    world = World()
    await world.workshop.create()
    rebuilt = await rebuild(world.log, world.views, 0, holder="r")
    assert rebuilt.checkpoint.number == 0
    await project(world.log, world.views)
    assert (await world.views.checkpoint(0)).number == 1


async def test_a_rebuild_that_another_one_overtook_is_refused_and_harms_nothing(world: World) -> None:
    drop = world.views.drop

    async def overtaken(partition: int, generation: int, *, limit: int) -> bool:
        world.views.drop = drop  # type: ignore[method-assign]
        await rebuild(world.log, world.views, 0, holder="faster")
        return await drop(partition, generation, limit=limit)

    world.views.drop = overtaken  # type: ignore[method-assign]
    with pytest.raises(RebuildRefused, match="live"):
        await rebuild(world.log, world.views, 0, holder="slower")
    assert await world.views.live_generation(0) == 2
    assert len([row async for row in world.views.scan_rows(0, 2, TASKS)]) == 3
