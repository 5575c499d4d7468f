"""What every DerivedStore must do. A test file per implementation subclasses this and provides the fixture `world`."""

from typing import Protocol

from events.derived import DeadLetterChange, DerivedStore, Errand, Owed
from events.ids import TaskId
from events.inbox import Delivery
from events.log import Appended, Tally
from events.pointer import Pointer
from events.steps import Lane, Step
from tests.contract.inbox_contract import BOTH, put
from tests.contract.log_world import LogWorld, inbox_key
from tests.event_samples import accepted, indexed, new_document, new_knowledge_base, new_task, write

FAR_US = 4_000_000_000_000_000


class DerivedWorld(LogWorld, Protocol):
    """A log with its inboxes, and what follows from it."""

    derived: DerivedStore

    async def lose_everything_derived(self) -> None:
        """As if these keys had been deleted: inboxes, timers, dead letters, tallies."""
        ...


def owed_to(delivery: Delivery, *, version: int = 1, due_at_ms: int | None = None) -> Owed:
    """The pointer that led to this delivery."""
    pointer = Pointer(
        delivery.stream_id,
        delivery.version,
        delivery.event_id,
        delivery.correlation_id,
        delivery.knowledge_base_id,
    )
    return Owed(
        step=delivery.step,
        lane=delivery.lane,
        pointer=pointer,
        guard=delivery.stream_id,
        guard_version=version,
        due_at_ms=due_at_ms,
    )


class DerivedContract:
    """Needs the fixture `world`: an empty log and its inboxes."""

    async def test_what_lies_anywhere_is_found(self, world: DerivedWorld) -> None:
        waiting = await put(world, count=2)
        bulk = await put(world, inbox_key(Step.PARSE, Lane.BULK))
        later = await put(world, not_before_us=FAR_US)
        await world.inbox.take(BOTH, consumer="a", count=1)
        wanted = {Errand(Step.PARSE, document, 1) for document in [*waiting, *bulk, *later]}
        assert await world.derived.errands(0) == wanted
        assert await world.derived.errands(1) == set()

    async def test_a_pointer_that_was_lost_and_put_again_is_delivered_as_the_first_time(
        self, world: DerivedWorld
    ) -> None:
        await put(world, count=2)
        first, second = await world.inbox.take(BOTH, consumer="a", count=2)
        await world.lose_everything_derived()
        assert await world.derived.errands(0) == set()
        assert await world.derived.put(0, [owed_to(first), owed_to(second)]) == [True, True]
        again = await world.inbox.take(BOTH, consumer="b", count=9)
        assert [owed_to(one) for one in again] == [owed_to(first), owed_to(second)]

    async def test_a_timer_that_was_put_again_is_moved_when_its_time_has_come(self, world: DerivedWorld) -> None:
        await put(world)
        (first,) = await world.inbox.take(BOTH, consumer="a", count=1)
        await world.lose_everything_derived()
        in_an_hour = await world.now_us() // 1_000 + 3_600_000
        assert await world.derived.put(0, [owed_to(first, due_at_ms=in_an_hour)]) == [True]
        assert await world.derived.errands(0) == {Errand(Step.PARSE, first.stream_id, 1)}
        assert await world.inbox.move_due(0) == 0
        await world.pass_time(3_700_000)
        assert await world.inbox.move_due(0) == 1
        (again,) = await world.inbox.take(BOTH, consumer="b", count=9)
        assert again.stream_id == first.stream_id

    async def test_nothing_is_put_for_a_stream_that_has_moved_on(self, world: DerivedWorld) -> None:
        (document,) = await put(world)
        (first,) = await world.inbox.take(BOTH, consumer="a", count=1)
        await world.lose_everything_derived()
        moved = write(document, 1, indexed(), knowledge_base=first.knowledge_base_id, task=first.correlation_id)
        assert isinstance(await world.log.append([moved]), Appended)
        assert await world.derived.put(0, [owed_to(first), owed_to(first, version=3)]) == [False, False]
        assert await world.derived.change_dead_letters(0, [DeadLetterChange(document, 1, 5)]) == [False]
        assert await world.derived.errands(0) == set()
        assert await world.derived.dead_letters(0) == {}

    async def test_dead_letters_enter_and_leave(self, world: DerivedWorld) -> None:
        one, other = await put(world, count=2)
        enter = [DeadLetterChange(one, 1, 1_700_000_000_005), DeadLetterChange(other, 1, 7)]
        assert await world.derived.change_dead_letters(0, enter) == [True, True]
        assert await world.derived.dead_letters(0) == {one: 1_700_000_000_005, other: 7}
        assert await world.dead_letters(0) == [other, one]
        assert await world.derived.change_dead_letters(0, [DeadLetterChange(one, 1, None)]) == [True]
        assert await world.derived.dead_letters(0) == {other: 7}

    async def test_tallies_are_set_as_long_as_the_log_stands_still(self, world: DerivedWorld) -> None:
        knowledge_base, task = new_knowledge_base(), new_task()
        document = new_document()
        opened = write(
            document,
            0,
            accepted(task, knowledge_base),
            knowledge_base=knowledge_base,
            task=task,
            tally=(Tally(open_documents=2),),
        )
        assert isinstance(await world.log.append([opened]), Appended)
        other = new_task()
        found = await world.derived.tallies(0, [task, other])
        assert (found.number, found.tallies) == (1, (Tally(open_documents=2), None))
        await world.lose_everything_derived()
        assert (await world.derived.tallies(0, [task])).tallies == (None,)
        right = {TaskId(task): Tally(2, 1, 3, 4, 5)}
        assert not await world.derived.set_tallies(0, 2, right)
        assert (await world.derived.tallies(0, [task])).tallies == (None,)
        assert await world.derived.set_tallies(0, 1, right)
        assert await world.log.tally(task) == Tally(2, 1, 3, 4, 5)

    async def test_no_change_at_all_is_fine(self, world: DerivedWorld) -> None:
        assert await world.derived.put(0, []) == []
        assert await world.derived.change_dead_letters(0, []) == []
        assert (await world.derived.tallies(0, [])).tallies == ()
        assert await world.derived.set_tallies(0, 0, {})
