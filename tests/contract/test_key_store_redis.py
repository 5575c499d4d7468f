"""RedisKeyStore keeps the contract."""

import time

import pytest

from blobs.memory import MemoryBlobStore
from domain.api_keys import revoked
from events.keys import Keys
from events.redis_clients import Clients
from millstream.admission.key_copy import agree, put_copy
from millstream.admission.key_ring import KeyRing
from millstream.admission.key_store import KeyStore
from millstream.admission.redis_key_store import RedisKeyStore
from tests.contract.key_store_contract import KeyStoreContract, record

pytest_plugins = ("tests.servers.redis",)


class TestRedisKeyStore(KeyStoreContract):
    @pytest.fixture
    def store(self, redis_clients: Clients) -> KeyStore:
        return RedisKeyStore(redis_clients.commands, Keys(1), clock_us=lambda: 0)


async def test_no_version_is_given_out_again_by_a_store_that_has_lost_its_last_change(redis_clients: Clients) -> None:
    """Whoever saw the lost one would go on with its keys, and with one that is revoked since."""
    store = RedisKeyStore(redis_clients.commands, Keys(1))
    await store.put(record(1), before=None)
    replica = await redis_clients.commands.dump(Keys(1).api_keys)
    assert replica is not None
    await store.put(record(2), before=None)
    ring = KeyRing(
        store, is_open=lambda version: version == 0, stale_s_max=300, clock_us=lambda: 1, clock_s=time.monotonic
    )
    await ring.look()
    lost = await store.version()
    await redis_clients.commands.restore(Keys(1).api_keys, 0, replica, replace=True)
    await store.put(revoked(record(1), 8), before=record(1))
    assert await store.version() > lost
    await ring.look()
    assert ring.valid_keys == 0, "the one is revoked, the other was lost"


async def test_a_change_behind_a_loss_is_newer_than_the_lost_one_whatever_the_clock_of_its_process(
    redis_clients: Clients,
) -> None:
    """The lost one came from a host whose clock is ahead. The copy of it would else undo the revocation."""
    blobs, commands = MemoryBlobStore(), redis_clients.commands
    ahead = RedisKeyStore(commands, Keys(1), clock_us=lambda: 9_000_000)
    store = RedisKeyStore(commands, Keys(1), clock_us=lambda: 1_000_000)
    await store.put(record(1), before=None)
    replica = await commands.dump(Keys(1).api_keys)
    assert replica is not None
    await ahead.put(record(2), before=None)
    await put_copy(ahead, blobs)
    lost = await store.version()
    await commands.restore(Keys(1).api_keys, 0, replica, replace=True)
    await store.put(revoked(record(1), 8), before=record(1))
    await agree(store, blobs)
    seen = await store.read()
    assert (seen.records, seen.version > lost) == ((revoked(record(1), 8),), True)
