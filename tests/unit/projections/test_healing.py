"""Views that were kept by a program that could not read all of it are made whole by one that can."""

from domain.status import TaskPhase
from events.memory import MemoryLog
from projections.healing import Healer
from projections.memory_views import MemoryViews
from projections.queries import Queries
from projections.verify import verify
from tests.future import written_in_version
from tests.projecting import project
from tests.workshop import Workshop


class World:
    def __init__(self) -> None:
        self.log = MemoryLog(partitions=1, clock_us=lambda: 1_000_000)
        self.views = MemoryViews(partitions=1, clock_ms=lambda: 1_000)

    def healer(self) -> Healer:
        return Healer(self.log, self.views, holder="healer")


async def test_what_an_older_program_passed_over_is_folded_by_a_newer_one() -> None:
    world = World()
    workshop = Workshop(world.log)
    task, _ = await workshop.through(await workshop.create(), 2)
    assert written_in_version(world.log, "DocumentParsed", 2) == 2
    await project(world.log, world.views)
    assert (await world.views.checkpoint(0)).unknown == 2
    queries = Queries(world.log, world.views)
    assert (await queries.task(task)).documents.completed == 0

    healer = world.healer()
    assert not await healer.heal(0), "it cannot read them either"
    assert await world.views.live_generation(0) == 1

    written_in_version(world.log, "DocumentParsed", 1)
    assert not await healer.heal(0), "the log is not read again as long as the count is the same"
    assert await world.healer().heal(0)
    assert (await world.views.checkpoint(0)).unknown == 0
    status = await queries.task(task)
    assert (status.status, status.documents.completed) == (TaskPhase.COMPLETED, 2)
    assert (await verify(world.log, world.views, 0, holder="v")).differences == ()
    assert not await world.healer().heal(0)


async def test_views_that_lack_nothing_are_left_alone() -> None:
    world = World()
    workshop = Workshop(world.log)
    await workshop.through(await workshop.create())
    await project(world.log, world.views)
    assert not await world.healer().heal(0)
    assert await world.views.live_generation(0) == 1
