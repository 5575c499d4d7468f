"""A primary that takes writes with so many replicas: whether it takes them is told as the server itself decides it."""

from pathlib import Path

import pytest

from events.errors import NotReplicated
from events.keys import Keys
from events.redis_border import at_the_border
from events.redis_clients import make_clients
from events.redis_replicas import primaries
from tests.servers.redis_process import redis_binary
from tests.servers.redis_sentinel_process import START_S_MAX, RedisWithSentinels
from tests.waiting import poll


@pytest.mark.parametrize(("wanted", "refuses"), [(0, False), (1, False), (2, True)])
async def test_a_primary_with_fewer_replicas_than_it_wants_is_said_to_refuse_writes_and_does(
    tmp_path: Path, wanted: int, refuses: bool
) -> None:
    servers = RedisWithSentinels(redis_binary(), tmp_path)
    primary, replica = servers.ports
    try:
        servers.start_server(primary, "--min-replicas-to-write", str(wanted))
        servers.start_server(replica, "--replicaof", f"127.0.0.1 {primary}")
        poll(servers.is_replicating, "it follows", START_S_MAX)
        async with make_clients(f"redis://127.0.0.1:{primary}") as clients:
            (found,) = await primaries(clients.commands, Keys(1))
            assert (found.replicas, found.refuses_writes) == (1, refuses)
            if refuses:
                with pytest.raises(NotReplicated), at_the_border():
                    await clients.commands.set("a", "b")
            else:
                assert await clients.commands.set("a", "b")
    finally:
        servers.stop()
