"""What one process knows of subscriptions is a second old at most, and not asked for where nothing has changed."""

from tests.webhook_samples import kept, webhook_id
from tests.webhook_world import WebhookWorld
from webhooks.known import RECENT_S


async def test_recent_is_a_second_old_at_most_and_fresh_is_of_now() -> None:
    world = WebhookWorld()
    known = world.new_known()
    assert await known.recent() == {}
    await world.subscribe(kept(1))
    assert await known.recent() == {}
    world.pass_time(RECENT_S)
    assert await known.recent() == {webhook_id(1): kept(1)}
    await world.subscribe(kept(2))
    assert len((await known.fresh()).kept) == 2


async def test_everything_is_asked_for_only_where_something_has_changed() -> None:
    world = WebhookWorld()
    await world.subscribe(kept(1))
    known = world.new_known()
    first = await known.fresh()
    assert await known.fresh() is first
    await world.subscriptions.delete(webhook_id(1))
    assert (await known.fresh()).kept == ()
