"""Subscriptions on Redis keep the contract."""

import pytest

from events.errors import LogUnavailable
from events.keys import Keys
from events.redis_clients import Clients, make_clients
from tests.contract.subscriptions_contract import SubscriptionsContract
from tests.servers.redis_process import RedisProcess
from tests.webhook_samples import SECRET, kept, webhook_id
from webhooks.known import Known
from webhooks.redis_subscriptions import RedisSubscriptions

pytest_plugins = ("tests.servers.redis",)

KEYS = Keys(1)


class TestRedisSubscriptions(SubscriptionsContract):
    @pytest.fixture
    def store(self, redis_clients: Clients) -> RedisSubscriptions:
        return RedisSubscriptions(redis_clients.commands, KEYS)


async def test_processes_see_what_others_changed(redis_clients: Clients) -> None:
    one, other = (RedisSubscriptions(redis_clients.commands, KEYS) for _ in range(2))
    await one.create(kept(1), count_max=5)
    assert await other.find(webhook_id(1)) == kept(1)
    assert await other.version() == await one.version()


@pytest.mark.parametrize("lost", ["kept", "expected"])
async def test_no_version_is_given_out_again_by_a_store_that_has_lost_its_last_change(
    redis_clients: Clients, lost: str
) -> None:
    store, commands = RedisSubscriptions(redis_clients.commands, KEYS), redis_clients.commands
    known = Known(store)
    await store.create(kept(1), count_max=5)
    names = [KEYS.webhook_subscriptions, KEYS.webhook_state]
    replica = {name: await commands.dump(name) for name in names}
    await (store.create(kept(2), count_max=5) if lost == "kept" else store.expect_callbacks())
    await known.fresh()
    for name, dumped in replica.items():
        assert dumped is not None
        await commands.restore(name, 0, dumped, replace=True)
    await store.create(kept(3), count_max=5)
    assert await known.fresh() == await store.everything()


async def test_nothing_that_is_shown_of_a_subscription_has_its_secret(redis_clients: Clients) -> None:
    store = RedisSubscriptions(redis_clients.commands, KEYS)
    await store.create(kept(1), count_max=5)
    found = await store.everything()
    assert found.kept[0].secrets.current == SECRET
    assert SECRET.removeprefix("whsec_") not in repr(found)


async def test_a_server_that_is_gone_is_an_outage_of_the_log(own_redis: RedisProcess) -> None:
    async with make_clients(own_redis.url) as clients:
        store = RedisSubscriptions(clients.commands, KEYS)
        await store.create(kept(1), count_max=5)
        own_redis.stop()
        for asked in (store.version(), store.everything(), store.delete(webhook_id(1)), store.now_us()):
            with pytest.raises(LogUnavailable):
                await asked
