"""What is due is sent: signed, as often as the schedule says, so many at a time, and no longer than it is wanted."""

import asyncio

import msgspec
import pytest

from events.failpoints import Failpoints, arm, parse_rules
from events.task import CallbackDelivered, CallbackFailed
from tests.waiting import wait_until
from tests.webhook_samples import OTHER_SECRET, SECRET, T0_US, delivery, kept, webhook_id
from tests.webhook_world import INSTALLATION_SECRET, WebhookWorld
from webhooks.delivery import Channel, Delivery, DeliveryState
from webhooks.memory_deliveries import MemoryDeliveries
from webhooks.outbox import WEBHOOK_DELETED, WEBHOOK_DISABLED
from webhooks.post import Answered, Unanswered
from webhooks.schedule import DELAYS_S
from webhooks.sender import readable
from webhooks.settings import WebhookSettings
from webhooks.signing import Secrets, callback_secret
from webhooks.subscription import DisabledReason, Kept, disabled

URL = "http://127.0.0.1:9/hook"
DAY_S = 86_400


async def test_a_message_arrives_signed_and_once() -> None:
    world = WebhookWorld()
    await world.subscribe(kept())
    one = await world.deliveries.add(delivery())
    assert await world.send() == 1
    (received,) = world.endpoints.received
    received.verify(SECRET)
    assert received["webhook-id"] == one.id
    assert received["content-type"] == "application/json"
    assert received.body == one.body
    (done,) = await world.listed()
    assert (done.state, done.attempts[0].status_code, done.attempts[0].body) == (DeliveryState.DELIVERED, 200, "thanks")
    assert await world.send() == 0


async def test_during_a_rotation_both_secrets_sign() -> None:
    world = WebhookWorld()
    secrets = Secrets(current=OTHER_SECRET, previous=SECRET, previous_until_us=T0_US + DAY_S * 1_000_000)
    await world.subscribe(Kept(subscription=kept().subscription, secrets=secrets))
    await world.deliveries.add(delivery())
    await world.send()
    world.endpoints.received[0].verify(SECRET)
    world.endpoints.received[0].verify(OTHER_SECRET)
    world.pass_time(DAY_S)
    await world.deliveries.add(delivery())
    await world.send()
    assert " " not in world.endpoints.received[1]["webhook-signature"]
    world.endpoints.received[1].verify(OTHER_SECRET)


@pytest.mark.parametrize(
    "trouble",
    [
        Answered(500, b"out of order"),
        Answered(404),
        Answered(301),
        Answered(302),
        Answered(307),
        Answered(308),
        Unanswered("fetch_limit", "not done within 20 s"),
        Unanswered("fetch_failed", "reset"),
        Unanswered("url_address_denied", "no address of the public internet"),
    ],
    ids=repr,
)
async def test_f43_f44_what_does_not_arrive_is_sent_by_the_schedule_under_one_id_then_given_up(
    trouble: Answered | Unanswered,
) -> None:
    world = WebhookWorld(WebhookSettings(failing_disable_s=30 * DAY_S))
    await world.subscribe(kept())
    await world.deliveries.add(delivery())
    world.endpoints.say(URL, trouble)
    for delay_s in DELAYS_S:
        assert await world.send() == 1
        world.pass_time(delay_s - 1)
        assert await world.send() == 0, "too early"
        world.pass_time(1)
    assert await world.send() == 1
    world.pass_time(30 * DAY_S)
    assert await world.send() == 0
    (failed,) = await world.listed()
    assert (failed.state, len(failed.attempts)) == (DeliveryState.FAILED, 8)
    assert {one["webhook-id"] for one in world.endpoints.received} == {failed.id}
    stamps = [int(one["webhook-timestamp"]) for one in world.endpoints.received]
    assert len(set(stamps)) == 8, "each attempt has a timestamp and a signature of its own"
    for received in world.endpoints.received:
        received.verify(SECRET)
    last = failed.attempts[-1]
    assert last.status_code == getattr(trouble, "status_code", None)
    assert last.error == getattr(trouble, "code", None)


async def test_f44_410_disables_the_subscription_and_its_deliveries_end() -> None:
    world = WebhookWorld()
    await world.subscribe(kept())
    for _ in range(5):
        await world.deliveries.add(delivery())
    world.endpoints.say(URL, Answered(500), Answered(410))
    sender = world.sender()
    await world.send(sender)
    found = await world.subscriptions.find(webhook_id(1))
    assert found is not None
    assert found.subscription.disabled is not None
    assert found.subscription.disabled.reason is DisabledReason.GONE
    world.pass_time(DAY_S)
    await world.send(sender)
    assert len(world.endpoints.received) <= 5
    states = {(one.state, one.error) for one in await world.listed()}
    assert states <= {(DeliveryState.FAILED, None), (DeliveryState.FAILED, WEBHOOK_DISABLED)}
    assert (DeliveryState.FAILED, None) in states


async def test_f44_429_is_not_called_again_before_it_asked_to() -> None:
    world = WebhookWorld()
    await world.subscribe(kept())
    await world.deliveries.add(delivery())
    world.endpoints.say(URL, Answered(429, b"", "120"), Answered(200))
    await world.send()
    world.pass_time(119)
    assert await world.send() == 0
    world.pass_time(1)
    assert await world.send() == 1
    assert (await world.listed())[0].state is DeliveryState.DELIVERED


async def test_nothing_is_sent_for_a_subscription_that_was_disabled_or_deleted_meanwhile() -> None:
    world = WebhookWorld()
    for number in (1, 2):
        await world.subscribe(kept(number))
        await world.deliveries.add(delivery(number))
    await world.subscriptions.change(webhook_id(1), lambda one: disabled(one, DisabledReason.REQUESTED, T0_US))
    await world.subscriptions.delete(webhook_id(2))
    await world.send()
    assert world.endpoints.received == []
    assert {one.error for one in await world.listed()} == {WEBHOOK_DISABLED, WEBHOOK_DELETED}
    assert {one.state for one in await world.listed()} == {DeliveryState.FAILED}


async def test_a_message_is_not_given_up_for_what_was_true_a_second_ago() -> None:
    world = WebhookWorld()
    await world.subscribe(disabled(kept(), DisabledReason.REQUESTED, T0_US))
    sender = world.sender()
    await world.deliveries.add(delivery())
    await world.send(sender)
    await world.subscriptions.change(
        webhook_id(1), lambda one: Kept(subscription=kept().subscription, secrets=one.secrets)
    )
    await world.deliveries.add(delivery())
    await world.send(sender)
    assert [one.state for one in await world.listed()].count(DeliveryState.DELIVERED) == 1


async def test_a_subscription_where_nothing_arrives_for_days_is_disabled() -> None:
    world = WebhookWorld(WebhookSettings(failing_disable_s=5 * DAY_S))
    await world.subscribe(kept())
    world.endpoints.say(URL, Answered(500))
    for day in range(7):
        await world.deliveries.add(delivery())
        await world.send()
        found = await world.subscriptions.find(webhook_id(1))
        assert found is not None
        assert found.subscription.is_enabled is (day < 5)
        world.pass_time(DAY_S)


async def test_one_success_in_between_keeps_a_subscription_alive() -> None:
    world = WebhookWorld(WebhookSettings(failing_disable_s=5 * DAY_S))
    await world.subscribe(kept())
    sender = world.sender()
    for day in range(12):
        world.endpoints.say(URL, Answered(200 if day % 4 == 3 else 500))
        await world.deliveries.add(delivery())
        await world.send(sender)
        world.pass_time(DAY_S)
    found = await world.subscriptions.find(webhook_id(1))
    assert found is not None
    assert found.subscription.is_enabled


async def test_l12_one_endpoint_that_hangs_delays_no_other_and_none_gets_more_than_ten_at_once() -> None:
    world = WebhookWorld()
    for number in range(1, 21):
        await world.subscribe(kept(number, url=f"http://127.0.0.1:9/{number}"))
        for _ in range(50):
            await world.deliveries.add(delivery(number))
    released = world.endpoints.hang("http://127.0.0.1:9/1")
    sender, hold = world.sender(), await world.hold()
    looks = 0

    async def healthy_left() -> int:
        return sum(
            one.state is DeliveryState.PENDING and one.channel != Channel(webhook_id(1)) for one in await world.listed()
        )

    while await healthy_left():
        sender.landed.clear()
        await sender.look([hold])
        await asyncio.wait_for(sender.landed.wait(), 20)
        looks += 1
    assert max(world.endpoints.at_once_max.values()) == 10
    assert len(world.endpoints.of("http://127.0.0.1:9/1")) == 10
    assert sum(world.endpoints.at_once_max.values()) <= 20 * 10
    released.set()
    await sender.drain(5)
    world.endpoints.at_once_max.clear()
    await sender.look([hold])
    await wait_until(lambda: sender.in_flight == 0, "all have been tried")
    hanging = "http://127.0.0.1:9/1"
    assert len(world.endpoints.of(hanging)) > 10
    assert world.endpoints.at_once_max[hanging] == 1, "an endpoint that failed is tried by one message at a time"


class AnswersLate(MemoryDeliveries):
    """Once it was `asked` what is due, tells it as it was then when `told` is set."""

    def __init__(self, world: WebhookWorld) -> None:
        super().__init__(partitions=1, clock_us=world.clock_us)
        self.asked, self.told = asyncio.Event(), asyncio.Event()

    async def next_due(self, partition: int, channel: Channel, *, limit: int) -> list[Delivery]:
        found = await super().next_due(partition, channel, limit=limit)
        self.asked.set()
        await self.told.wait()
        return found


async def test_what_lands_while_the_store_is_asked_is_not_sent_again_at_once() -> None:
    world = WebhookWorld()
    world.deliveries = late = AnswersLate(world)
    await world.subscribe(kept())
    await world.deliveries.add(delivery())
    released = world.endpoints.hang(URL)
    sender, hold = world.sender(), await world.hold()
    late.told.set()
    assert await sender.look([hold]) == 1
    late.asked.clear()
    late.told.clear()
    looking = asyncio.create_task(sender.look([hold]))
    await late.asked.wait()
    released.set()
    await wait_until(lambda: sender.in_flight == 0, "it has been tried, and is due in 5 s")
    late.told.set()
    assert await looking == 0
    assert await sender.look([hold]) == 0
    world.pass_time(DELAYS_S[0])
    assert await sender.look([hold]) == 1


async def test_no_more_are_on_their_way_than_are_allowed_in_all() -> None:
    world = WebhookWorld(WebhookSettings(concurrent_max=7))
    released = []
    for number in range(1, 6):
        url = f"http://127.0.0.1:9/{number}"
        released.append(world.endpoints.hang(url))
        await world.subscribe(kept(number, url=url))
        for _ in range(5):
            await world.deliveries.add(delivery(number))
    sender = world.sender()
    assert await sender.look([await world.hold()]) == 7
    assert await sender.look([await world.hold()]) == 0
    for one in released:
        one.set()
    await sender.drain(5)
    assert sender.in_flight == 0


async def test_what_is_broken_off_by_a_stop_stays_due() -> None:
    world = WebhookWorld()
    await world.subscribe(kept())
    await world.deliveries.add(delivery())
    world.endpoints.hang(URL)
    sender = world.sender()
    await sender.look([await world.hold()])
    await sender.drain(0)
    assert sender.in_flight == 0
    world.endpoints.say(URL, Answered(200))
    assert await world.send() == 1
    assert (await world.listed())[0].state is DeliveryState.DELIVERED


async def test_what_a_sender_says_that_lost_its_turn_is_not_recorded() -> None:
    world = WebhookWorld()
    await world.subscribe(kept())
    await world.deliveries.add(delivery())
    late = world.sender()
    released = world.endpoints.hang(URL)
    await late.look([await world.hold()])
    await asyncio.sleep(0)
    await world.hold()
    released.set()
    await late.drain(5)
    (one,) = await world.listed()
    assert (one.state, one.attempts) == (DeliveryState.PENDING, ())


@pytest.mark.parametrize("place", ["sender.taken", "sender.answered"])
async def test_a_bug_in_between_leaves_the_message_due(place: str) -> None:
    world = WebhookWorld(WebhookSettings(first_retry_s=0.001))
    await world.subscribe(kept())
    await world.deliveries.add(delivery())
    arm(Failpoints(parse_rules(f"{place}=raise")))
    try:
        await world.send()
    finally:
        arm(Failpoints())
    assert (await world.listed())[0].state is DeliveryState.DELIVERED
    assert len(world.endpoints.received) == (2 if place == "sender.answered" else 1)
    assert len({one["webhook-id"] for one in world.endpoints.received}) == 1


async def test_the_outcome_of_a_callback_is_a_fact_of_its_task_and_signed_with_its_actors_secret() -> None:
    world = WebhookWorld()
    url = "http://127.0.0.1:9/call"
    task, _ = await world.workshop.through(await world.workshop.create(), callback_url=url)
    await world.dispatch()
    world.endpoints.say(url, Answered(503), Answered(204))
    await world.send()
    world.pass_time(5)
    await world.send()
    facts = [one for one in await world.log.history(task) if isinstance(one.event, CallbackFailed | CallbackDelivered)]
    assert [one.event for one in facts] == [
        CallbackFailed(attempt=1, status_code=503, next_attempt_at_us=T0_US + 5_000_000),
        CallbackDelivered(attempt=2, status_code=204),
    ]
    assert {one.correlation_id for one in facts} == {task}
    for received in world.endpoints.of(url):
        received.verify(callback_secret(INSTALLATION_SECRET, "tests"))


async def test_a_callback_that_nobody_takes_is_given_up_and_its_task_says_so() -> None:
    world = WebhookWorld()
    url = "http://127.0.0.1:9/call"
    task, _ = await world.workshop.through(await world.workshop.create(), callback_url=url)
    await world.dispatch()
    world.endpoints.say(url, Unanswered("fetch_failed", "refused"), Answered(410))
    await world.send()
    world.pass_time(5)
    await world.send()
    assert (await world.log.history(task))[-1].event == CallbackFailed(attempt=2, status_code=410)
    assert (await world.listed())[0].state is DeliveryState.FAILED


async def test_one_that_was_sent_anew_while_it_was_on_its_way_is_sent_again() -> None:
    world = WebhookWorld()
    await world.subscribe(kept())
    one = await world.deliveries.add(delivery())
    released = world.endpoints.hang(URL)
    sender = world.sender()
    await sender.look([await world.hold()])
    assert await world.deliveries.change(one, msgspec.structs.replace(one, tries=0), delay_ms=0)
    released.set()
    await sender.drain(5)
    world.endpoints.say(URL, Answered(200))
    assert await world.send() == 1


def test_the_start_of_an_answer_is_kept_as_text_that_no_terminal_obeys() -> None:
    assert readable(b"\x1b[31mred\x00\x07 \xff ok\n") == " [31mred   \ufffd ok\n"
    assert len(readable("磨".encode() * 5_000)) == 1_000
