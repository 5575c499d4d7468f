"""A primary that Sentinels replace: the log goes on at the one they name, with everything that was confirmed."""

import asyncio
from collections.abc import Iterator

import pytest

from events.errors import LogUnavailable
from events.log import Appended, Write
from events.redis_batching import Confirmation
from events.redis_clients import make_clients
from events.redis_log import RedisLog
from events.redis_setup import open_installation
from tests.contract.event_log_contract import document_write
from tests.event_samples import indexed, new_document
from tests.servers.failovers import redis_behind_sentinels
from tests.servers.redis_sentinel_process import RedisWithSentinels
from tests.waiting import wait_for

CONFIRMED = Confirmation(replicas=1, wait_ms=300)


@pytest.fixture
def servers() -> Iterator[RedisWithSentinels]:
    with redis_behind_sentinels() as servers:
        yield servers


async def test_the_log_goes_on_at_the_primary_that_the_sentinels_name(servers: RedisWithSentinels) -> None:
    primary, replica = servers.ports
    async with make_clients(servers.url) as clients:
        keys = await open_installation(clients.commands, partitions=2)
        log = RedisLog(clients.commands, clients.blocking, keys, confirmation=CONFIRMED)
        before = [new_document() for _ in range(20)]
        for document in before:
            assert isinstance(await log.append([document_write(document, 0, indexed())]), Appended)
        waiting = asyncio.create_task(log.read(1, wait_ms=60_000))  # a read that waits while its server dies
        servers.kill(primary)
        await wait_for(lambda: asyncio.to_thread(servers.is_primary, replica), "the replica is promoted", 60)
        servers.start_server(primary, "--replicaof", f"127.0.0.1 {replica}")
        after = new_document()
        await _kept(log, document_write(after, 0, indexed()))
        assert await log.versions([*before, after]) == [1] * 21
        with pytest.raises(LogUnavailable):
            await waiting
    async with make_clients(servers.url) as anew:
        assert (await open_installation(anew.commands, partitions=None)).partitions == 2


async def _kept(log: RedisLog, asked: Write) -> None:
    async def is_kept() -> bool:
        try:
            return isinstance(await log.append([asked]), Appended)
        except LogUnavailable:
            return False

    await wait_for(is_kept, "the new primary and its replica have it", 60)
