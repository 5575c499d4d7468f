"""An API that serves workers over gRPC keeps the contract of the inboxes under the Redis user that is meant for it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest_asyncio

from events.redis_border import execute
from events.redis_clients import Clients, make_clients
from events.redis_inbox import RedisInbox
from events.redis_log import RedisLog
from tests.contract.inbox_contract import InboxContract
from tests.contract.log_world import EVENTS_PER_STREAM_MAX, LogWorld, RedisWorld
from tests.servers.redis_process import RedisProcess

pytest_plugins = ("tests.servers.redis",)

USERS: Final = Path(__file__).parents[2] / "deploy" / "redis" / "users.acl"
USER: Final = "millstream-api-grpc"


class TestInboxForWorkersElsewhere(InboxContract):
    @pytest_asyncio.fixture
    async def world(self, redis_server: RedisProcess, redis_clients: Clients) -> AsyncIterator[LogWorld]:
        """Time passes by an administrator's hand, all else is done by the user."""
        (rules,) = [line.split()[2:] for line in USERS.read_text(encoding="utf-8").splitlines() if f" {USER} " in line]
        await execute(redis_clients.commands, "ACL", "SETUSER", USER, "reset", *rules)
        own = redis_server.url.replace("unix://", f"unix://{USER}:PASSWORD-OF-API-GRPC@")
        async with make_clients(own) as clients:
            world = RedisWorld(redis_clients)
            both = clients.commands, clients.blocking, world.keys
            world.log = RedisLog(*both, events_per_stream_max=EVENTS_PER_STREAM_MAX)
            world.inbox = RedisInbox(*both)
            yield world
        await execute(redis_clients.commands, "ACL", "DELUSER", USER)
