"""What every store of deliveries does, wherever it keeps them."""

from typing import Protocol

import msgspec

from events.envelope import Position
from tests.webhook_samples import T0_US, attempt, callback, delivery, position
from webhooks.deliveries import Checkpoint, DeliveryStore, Hold
from webhooks.delivery import Channel, Delivery, DeliveryState, given_up, sent_anew

PARTITIONS = 4
SECOND_US = 1_000_000


class DeliveryWorld(Protocol):
    """A store, and its time."""

    store: DeliveryStore

    async def pass_time(self, ms: int) -> None:
        """Lets time pass for what is due."""
        ...


async def put(store: DeliveryStore, *deliveries: Delivery, at: int = 1, hold: Hold | None = None) -> Hold:
    """Puts them, and the checkpoint to `at`."""
    holding = hold or await store.take_over(deliveries[0].partition if deliveries else 0)
    moved = await store.put(holding, Checkpoint(position=position(at)), deliveries)
    assert moved is not None
    return moved


def delivered(one: Delivery) -> Delivery:
    return msgspec.structs.replace(
        one, state=DeliveryState.DELIVERED, attempts=(attempt(),), tries=1, next_attempt_at_us=None, ended_at_us=T0_US
    )


def revised(one: Delivery) -> Delivery:
    """As the store has it after a change."""
    return msgspec.structs.replace(one, revision=one.revision + 1)


class DeliveriesContract:
    """Subclasses provide the fixture `world`, with an empty store of four partitions."""

    async def test_who_takes_over_goes_on_where_the_last_one_stopped(self, world: DeliveryWorld) -> None:
        first = await world.store.take_over(1)
        assert (first.partition, first.checkpoint) == (1, Checkpoint())
        there = Checkpoint(position=Position(1, 5, 7), is_caught_up=True)
        moved = await world.store.put(first, there, [])
        assert moved is not None
        assert (moved.token, moved.checkpoint) == (first.token, there)
        second = await world.store.take_over(1)
        assert second.token > first.token
        assert second.checkpoint == there
        assert (await world.store.take_over(2)).checkpoint == Checkpoint()

    async def test_checkpoint_and_deliveries_change_together(self, world: DeliveryWorld) -> None:
        one, two = delivery(1), delivery(2)
        await put(world.store, one, two)
        assert [await world.store.find(each.id) for each in (one, two)] == [one, two]
        assert set((await world.store.due(0, limit=10)).channels) == {one.channel, two.channel}
        assert await world.store.next_due(0, one.channel, limit=10) == [one]

    async def test_whoever_was_fenced_off_puts_and_records_nothing(self, world: DeliveryWorld) -> None:
        one, late = delivery(1), delivery(1)
        old = await put(world.store, one)
        await world.store.take_over(0)
        assert await world.store.put(old, Checkpoint(position=position(2)), [late]) is None
        assert await world.store.find(late.id) is None
        assert not await world.store.change(one, delivered(one), delay_ms=None, hold=old)
        assert await world.store.find(one.id) == one
        assert (await world.store.take_over(0)).checkpoint == Checkpoint(position=position(1))

    async def test_a_checkpoint_that_somebody_moved_meanwhile_is_not_moved_again(self, world: DeliveryWorld) -> None:
        hold = await world.store.take_over(0)
        assert await world.store.put(hold, Checkpoint(position=position(3)), []) is not None
        assert await world.store.put(hold, Checkpoint(position=position(2)), [delivery(1)]) is None

    async def test_a_call_whose_answer_was_lost_is_answered_as_the_first_time(self, world: DeliveryWorld) -> None:
        hold, one = await world.store.take_over(0), delivery(1)
        there = Checkpoint(position=position(3))
        first = await world.store.put(hold, there, [one])
        assert await world.store.put(hold, there, [one]) == first
        changed = delivered(one)
        assert await world.store.change(one, changed, delay_ms=None)
        assert await world.store.change(one, changed, delay_ms=None)
        assert (await world.store.page(one.channel, tuple(DeliveryState), before=None, limit=9)).total == 1

    async def test_what_is_kept_already_stays_as_it_is(self, world: DeliveryWorld) -> None:
        one = delivery(1)
        hold = await put(world.store, one)
        await world.store.change(one, delivered(one), delay_ms=None)
        await put(world.store, one, at=2, hold=hold)
        assert await world.store.find(one.id) == revised(delivered(one))
        assert (await world.store.due(0, limit=10)).channels == ()

    async def test_a_checkpoint_is_put_with_any_number_of_deliveries(self, world: DeliveryWorld) -> None:
        many = [delivery(1, created_at_us=T0_US + number) for number in range(1_201)]
        await put(world.store, *many)
        assert (await world.store.counts(0, [many[0].channel]))[0][DeliveryState.PENDING] == 1_201
        assert (await world.store.take_over(0)).checkpoint.position == position(1)

    async def test_one_that_failed_before_it_was_put_is_never_due(self, world: DeliveryWorld) -> None:
        one = given_up(delivery(1), "too_many_pending", T0_US)
        await put(world.store, one)
        assert (await world.store.due(0, limit=10)).channels == ()
        assert (await world.store.page(one.channel, (DeliveryState.FAILED,), before=None, limit=9)).deliveries == (one,)

    async def test_what_waits_is_due_when_its_time_has_come(self, world: DeliveryWorld) -> None:
        one = delivery(1)
        await put(world.store, one)
        waiting = msgspec.structs.replace(one, tries=1, attempts=(attempt(1, 500),))
        assert await world.store.change(one, waiting, delay_ms=60_000)
        assert (await world.store.due(0, limit=10)).channels == ()
        assert await world.store.next_due(0, one.channel, limit=10) == []
        await world.pass_time(61_000)
        assert (await world.store.due(0, limit=10)).channels == (one.channel,)
        assert await world.store.next_due(0, one.channel, limit=10) == [revised(waiting)]

    async def test_the_longest_overdue_comes_first_and_no_more_than_asked_for(self, world: DeliveryWorld) -> None:
        first, second, third = (delivery(number) for number in (1, 2, 3))
        await put(world.store, third)
        later = [delivery(3) for _ in range(3)]
        for one in (first, second, *later):
            await world.store.add(one)
            await world.store.change(one, one, delay_ms=1_000 * (2 if one is first else 1 if one is second else 5))
        await world.pass_time(10_000)
        assert (await world.store.due(0, limit=2)).channels == (third.channel, second.channel)
        assert (await world.store.due(0, limit=9)).channels == (third.channel, second.channel, first.channel)
        assert len(await world.store.next_due(0, third.channel, limit=3)) == 3
        assert (await world.store.next_due(0, third.channel, limit=3))[0] == third

    async def test_of_two_changes_of_the_same_delivery_one_is_made(self, world: DeliveryWorld) -> None:
        one = delivery(1)
        await put(world.store, one)
        assert await world.store.change(one, delivered(one), delay_ms=None)
        assert not await world.store.change(one, given_up(one, "webhook_disabled", T0_US), delay_ms=None)
        assert await world.store.find(one.id) == revised(delivered(one))

    async def test_a_delivery_moves_between_the_lists_of_its_channel(self, world: DeliveryWorld) -> None:
        one = delivery(1)
        await put(world.store, one)
        states = tuple(DeliveryState)

        async def counted() -> list[int]:
            (counts,) = await world.store.counts(0, [one.channel])
            return [counts[state] for state in states]

        assert await counted() == [1, 0, 0]
        await world.store.change(one, delivered(one), delay_ms=None)
        assert await counted() == [0, 1, 0]
        found = await world.store.find(one.id)
        assert found is not None
        await world.store.change(found, given_up(found, "x", T0_US), delay_ms=None)
        assert await counted() == [0, 0, 1]
        again = await world.store.find(one.id)
        assert again is not None
        await world.store.change(again, sent_anew(again, T0_US), delay_ms=0)
        assert await counted() == [1, 0, 0]
        assert (await world.store.due(0, limit=9)).channels == (one.channel,)

    async def test_a_list_is_told_newest_first_over_all_partitions(self, world: DeliveryWorld) -> None:
        made = [
            delivery(1, partition=number % PARTITIONS, created_at_us=T0_US + number * SECOND_US) for number in range(9)
        ]
        for one in made:
            await world.store.add(one)
        await world.store.add(delivery(2))
        page = await world.store.page(made[0].channel, tuple(DeliveryState), before=None, limit=4)
        assert page.total == 9
        assert list(page.deliveries) == made[:4:-1]
        rest = await world.store.page(made[0].channel, tuple(DeliveryState), before=page.deliveries[-1].member, limit=9)
        assert list(rest.deliveries) == made[4::-1]

    async def test_a_list_is_narrowed_to_states(self, world: DeliveryWorld) -> None:
        one, two = delivery(1), delivery(1, created_at_us=T0_US + 1)
        await put(world.store, one, two)
        await world.store.change(one, delivered(one), delay_ms=None)
        page = await world.store.page(one.channel, (DeliveryState.PENDING,), before=None, limit=9)
        assert (page.deliveries, page.total) == ((two,), 1)

    async def test_one_is_added_once(self, world: DeliveryWorld) -> None:
        one = delivery(1, event=5)
        assert await world.store.add(one) == one
        await world.store.change(one, delivered(one), delay_ms=None)
        assert await world.store.add(delivery(1, event=5)) == revised(delivered(one))

    async def test_the_oldest_are_told_up_to_a_time(self, world: DeliveryWorld) -> None:
        made = [delivery(1, created_at_us=T0_US + number) for number in range(5)]
        await put(world.store, *made)
        oldest = await world.store.oldest(0, made[0].channel, DeliveryState.PENDING, before_us=T0_US + 3, limit=2)
        assert oldest == made[:2]
        assert await world.store.oldest(0, made[0].channel, DeliveryState.FAILED, before_us=1 << 60, limit=2) == []
        assert await world.store.oldest(0, made[0].channel, DeliveryState.PENDING, before_us=T0_US, limit=2) == []

    async def test_what_is_forgotten_leaves_nothing(self, world: DeliveryWorld) -> None:
        one, two = delivery(1), delivery(1)
        await put(world.store, one, two)
        await world.store.change(two, delivered(two), delay_ms=None)
        assert await world.store.forget([one, two]) == 1, "the second has changed since it was seen"
        assert await world.store.find(one.id) is None
        assert await world.store.channels(0) == [one.channel]
        assert (await world.store.due(0, limit=9)).channels == ()
        assert await world.store.forget([revised(delivered(two))]) == 1
        assert await world.store.channels(0) == []
        assert await world.store.forget([]) == 0

    async def test_what_is_gone_is_not_changed(self, world: DeliveryWorld) -> None:
        one = delivery(1)
        await put(world.store, one)
        await world.store.forget([one])
        assert not await world.store.change(one, delivered(one), delay_ms=None)
        assert await world.store.channels(0) == []

    async def test_a_callback_is_kept_with_where_it_goes(self, world: DeliveryWorld) -> None:
        one = delivery(callback=callback())
        await put(world.store, one)
        assert await world.store.find(one.id) == one
        assert await world.store.channels(0) == [Channel(one.channel)]
