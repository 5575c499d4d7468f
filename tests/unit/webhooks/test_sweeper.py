"""What nobody waits for is ended, what is old is forgotten."""

from tests.webhook_samples import T0_US, delivery, kept, webhook_id
from tests.webhook_world import WebhookWorld
from webhooks.delivery import DeliveryState
from webhooks.outbox import WEBHOOK_DISABLED
from webhooks.post import Answered
from webhooks.settings import WebhookSettings
from webhooks.subscription import DisabledReason, disabled
from webhooks.sweeper import BATCH

DAY_S = 86_400


async def sweep(world: WebhookWorld) -> int:
    return await world.sweeper().sweep(await world.hold(), world.now_us)


async def test_what_waits_for_a_disabled_subscription_is_ended_and_can_be_sent_by_hand_later() -> None:
    world = WebhookWorld()
    await world.subscribe(kept())
    for number in range(BATCH + 5):
        await world.deliveries.add(delivery(created_at_us=T0_US + number))
    await world.subscriptions.change(webhook_id(1), lambda one: disabled(one, DisabledReason.REQUESTED, T0_US))
    assert await sweep(world) == BATCH + 5
    assert {(one.state, one.error) for one in await world.listed()} == {(DeliveryState.FAILED, WEBHOOK_DISABLED)}
    assert await sweep(world) == 0


async def test_nothing_is_left_of_a_deleted_subscription() -> None:
    world = WebhookWorld()
    await world.subscribe(kept())
    for _ in range(3):
        await world.deliveries.add(delivery())
    await world.send()
    await world.deliveries.add(delivery())
    await world.subscriptions.delete(webhook_id(1))
    assert await sweep(world) == 4
    assert await world.deliveries.channels(0) == []


async def test_what_arrived_is_kept_for_a_week_and_what_failed_for_a_month() -> None:
    world = WebhookWorld()
    await world.subscribe(kept(1))
    await world.subscribe(kept(2, url="http://127.0.0.1:9/gone"))
    await world.deliveries.add(delivery(1))
    await world.deliveries.add(delivery(2))
    world.endpoints.say("http://127.0.0.1:9/gone", Answered(410))
    await world.send()
    world.pass_time(7 * DAY_S)
    assert await sweep(world) == 0
    world.pass_time(1)
    assert await sweep(world) == 1
    assert [one.state for one in await world.listed()] == [DeliveryState.FAILED]
    world.pass_time(23 * DAY_S)
    assert await sweep(world) == 1
    assert await world.listed() == []


async def test_of_each_subscription_the_newest_are_kept() -> None:
    world = WebhookWorld(WebhookSettings(kept_max=3))
    await world.subscribe(kept())
    made = [delivery(created_at_us=T0_US + number) for number in range(5)]
    for one in made:
        await world.deliveries.add(one)
    world.pass_time(1)
    await world.send()
    await world.deliveries.add(delivery(created_at_us=T0_US + 9))
    assert await world.sweeper().bound(world.now_us) == 2
    assert [one.id for one in (await world.listed())[:3]] == [one.id for one in made[2:]]
    assert await world.sweeper().bound(world.now_us) == 0
