"""From facts to deliveries: nothing lost, nothing twice, whoever dies in between."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.failpoints import FailpointReached, Failpoints, arm, parse_rules
from events.log import Write
from events.task import TaskFinished
from tests.event_samples import envelope
from tests.examples import examples
from tests.webhook_samples import T0_US, kept, subscription
from tests.webhook_world import WebhookWorld
from webhooks.delivery import DeliveryState
from webhooks.dispatcher import PAGE_EVENTS, TOO_MANY_PENDING
from webhooks.event_names import EventName
from webhooks.signing import Secrets
from webhooks.subscription import DisabledReason, Kept, disabled

CALLBACK = "http://127.0.0.1:9/call"


def asking(number: int, *names: EventName, created_at_us: int = 0) -> Kept:
    told = subscription(number, events=names or None, created_at_us=created_at_us)
    return Kept(subscription=told, secrets=Secrets(current="whsec_AAAA"))


async def test_each_subscription_gets_the_facts_that_it_asks_for() -> None:
    world = WebhookWorld()
    await world.subscribe(asking(1, EventName.TASK_FINISHED))
    await world.subscribe(asking(2, EventName.DOCUMENT_COMPLETED, EventName.TASK_SUBMITTED))
    await world.workshop.through(await world.workshop.create(), 3)
    assert await world.dispatch() == 1 + 4
    assert [one.type for one in await world.listed(kept(1).subscription.id)] == ["task.finished"]
    types = [one.type for one in await world.listed(kept(2).subscription.id)]
    assert sorted(types) == ["document.completed"] * 3 + ["task.submitted"]


async def test_whoever_reads_the_log_again_makes_no_second_delivery() -> None:
    world = WebhookWorld()
    await world.subscribe(asking(1))
    await world.workshop.through(await world.workshop.create(), 2)
    made = await world.dispatch()
    before = await world.listed()
    assert len(before) == made > 0
    assert await world.dispatch() == 0
    world.deliveries.lose_checkpoint(0)
    await world.dispatch()
    assert await world.listed() == before, "also where the checkpoint is lost: ids follow from the facts"


async def test_one_that_dies_between_reading_and_keeping_loses_nothing() -> None:
    world = WebhookWorld()
    await world.subscribe(asking(1))
    await world.workshop.through(await world.workshop.create())
    arm(Failpoints(parse_rules("dispatcher.read=raise")))
    try:
        with pytest.raises(FailpointReached):
            await world.dispatch()
    finally:
        arm(Failpoints())
    assert await world.listed() == []
    assert await world.dispatch() == len(await world.listed()) > 0


async def test_one_that_was_fenced_off_stops() -> None:
    world = WebhookWorld()
    await world.subscribe(asking(1))
    late = await world.dispatcher()
    await world.workshop.through(await world.workshop.create())
    made = await world.dispatch()
    assert await late.advance() is None
    assert len(await world.listed()) == made


async def test_a_fact_that_entered_the_log_before_a_subscription_is_not_told_to_it() -> None:
    world = WebhookWorld()
    await world.workshop.create("before")
    world.pass_time(1)
    await world.subscribe(asking(1, created_at_us=world.now_us))
    world.pass_time(1)
    await world.workshop.create("behind")
    assert await world.dispatch() == 1
    (one,) = await world.listed()
    assert json.loads(one.body)["data"]["name"] == "behind"


async def test_who_subscribed_a_moment_ago_is_told_of_the_next_fact() -> None:
    world = WebhookWorld()
    await world.subscribe(asking(1))
    dispatcher = await world.dispatcher()
    await world.workshop.create()
    assert await dispatcher.advance() == 1
    await world.subscribe(asking(2, created_at_us=world.now_us))
    await world.workshop.create()
    assert await dispatcher.advance() == 2, "asked behind the read, however short ago it was asked before"


async def test_facts_of_other_knowledge_bases_are_not_told() -> None:
    world = WebhookWorld()
    mine, other = await world.workshop.create(), await world.workshop.create()
    told = subscription(1, knowledge_bases=[mine])
    await world.subscribe(Kept(subscription=told, secrets=Secrets(current="whsec_AAAA")))
    await world.workshop.through(mine)
    await world.workshop.through(other)
    await world.dispatch()
    assert {json.loads(one.body)["data"]["knowledge_base_id"] for one in await world.listed()} == {mine}


async def test_a_disabled_subscription_gets_nothing() -> None:
    world = WebhookWorld()
    await world.subscribe(disabled(asking(1), DisabledReason.REQUESTED, T0_US))
    await world.workshop.create()
    assert await world.dispatch() == 0


async def test_where_nobody_asks_the_log_is_skipped_but_never_past_somebody_who_came_meanwhile() -> None:
    world = WebhookWorld()
    dispatcher = await world.dispatcher()
    await world.workshop.create()
    assert not await dispatcher.skip(), "it was never looked at"
    await dispatcher.advance()
    await world.workshop.through(await world.workshop.create(), 3)
    assert await dispatcher.skip()
    assert (await world.hold()).checkpoint.position == (await world.log.head(0)).position
    dispatcher = await world.dispatcher()
    await world.subscribe(asking(1, created_at_us=world.now_us))
    await world.workshop.create()
    assert not await dispatcher.skip()
    assert await dispatcher.advance()


async def test_a_task_with_a_callback_has_one_delivery_of_its_end() -> None:
    world = WebhookWorld()
    await world.subscriptions.expect_callbacks()
    task, _ = await world.workshop.through(await world.workshop.create(), callback_url=CALLBACK)
    await world.workshop.through(await world.workshop.create())
    assert await world.dispatch() == 1
    (one,) = await world.listed()
    assert one.callback is not None
    assert (one.type, one.callback.url, one.callback.actor, one.callback.task_id) == (
        "task.finished",
        CALLBACK,
        "tests",
        task,
    )


async def test_callbacks_of_a_log_that_was_restored_are_found_though_nobody_said_that_there_are_any() -> None:
    world = WebhookWorld()
    await world.workshop.through(await world.workshop.create(), callback_url=CALLBACK)
    assert await world.dispatch() == 1
    assert (await world.subscriptions.everything()).has_callbacks


async def test_a_callback_whose_outcome_is_a_fact_is_not_sent_by_whoever_reads_the_log_anew() -> None:
    world = WebhookWorld()
    await world.workshop.through(await world.workshop.create(), callback_url=CALLBACK)
    await world.dispatch()
    await world.send()
    lost = WebhookWorld()
    lost.log = world.log
    assert await lost.dispatch() == 0


async def test_what_comes_beyond_the_bound_fails_at_once_and_says_why() -> None:
    world = WebhookWorld()
    await world.subscribe(asking(1, EventName.DOCUMENT_ACCEPTED))
    await world.workshop.submit(await world.workshop.create(), 5)
    dispatcher = await world.dispatcher(pending_max=3)
    assert await dispatcher.advance() == 5
    states = [(one.state, one.error) for one in await world.listed()]
    assert states.count((DeliveryState.PENDING, None)) == 3
    assert states.count((DeliveryState.FAILED, TOO_MANY_PENDING)) == 2


async def test_a_page_at_a_time_the_whole_log_is_read() -> None:
    world = WebhookWorld()
    await world.subscribe(asking(1, EventName.DOCUMENT_ACCEPTED))
    knowledge_base = await world.workshop.create()
    await world.workshop.submit(knowledge_base, PAGE_EVENTS + 10)
    dispatcher = await world.dispatcher()
    seen = [(await dispatcher.advance(), dispatcher.is_behind) for _ in range(2)]
    assert [is_behind for _, is_behind in seen] == [True, False]
    assert sum(made or 0 for made, _ in seen) == PAGE_EVENTS + 10


async def test_an_entry_that_nobody_can_read_is_passed_over() -> None:
    world = WebhookWorld()
    await world.subscribe(asking(1, EventName.KNOWLEDGE_BASE_CREATED))
    world.log.put_raw(0, b"junk")
    await world.workshop.create()
    assert await world.dispatch() == 1


async def test_a_fact_with_an_impossible_history_is_told_with_what_is_known() -> None:
    world = WebhookWorld()
    await world.subscribe(asking(1, EventName.TASK_FINISHED))
    knowledge_base = await world.workshop.create()
    task = world.workshop.ids.task(knowledge_base)
    torn = envelope(task, 1, TaskFinished(succeeded=1, failed=0, cancelled=0, skipped=0), task=task)
    await world.log.append(
        [Write(stream_id=task, expected_version=0, envelopes=(torn,), knowledge_base_id=knowledge_base)]
    )
    assert await world.dispatch() == 1
    assert json.loads((await world.listed())[0].body)["data"] == {"stream_id": task}


@settings(max_examples=examples(25))
@given(st.lists(st.sampled_from(["work", "read", "die", "subscribe", "lose"]), max_size=25))
async def test_whatever_happens_in_whatever_order_each_subscriber_gets_each_fact_once(steps: list[str]) -> None:
    world = WebhookWorld()
    wanted, number, dispatcher = set[tuple[str, str]](), 0, await world.dispatcher()
    for step in (*steps, "subscribe", "work", "read"):
        world.pass_time(1)
        match step:
            case "subscribe":
                number += 1
                await world.subscribe(asking(number, created_at_us=world.now_us))
            case "work":
                before = len(await world.facts())
                await world.workshop.create()
                fact = (await world.facts())[before]
                wanted |= {(kept(one).subscription.id, fact.event_id) for one in range(1, number + 1)}
            case "read":
                await dispatcher.advance()
            case "die":
                dispatcher = await world.dispatcher()
            case _:
                arm(Failpoints(parse_rules("dispatcher.read=raise")))
                try:
                    await dispatcher.advance()
                except FailpointReached:
                    dispatcher = await world.dispatcher()
                finally:
                    arm(Failpoints())
    await world.dispatch()
    assert sorted((one.channel, one.event_id) for one in await world.listed()) == sorted(wanted)
