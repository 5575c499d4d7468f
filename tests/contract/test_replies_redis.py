"""Answers that are given again, on Redis, keep the contract."""

import pytest

from events.keys import Keys
from events.redis_clients import Clients
from ingest.redis_replies import RedisReplies
from ingest.replies import Replies
from tests.contract.replies_contract import RepliesContract

pytest_plugins = ("tests.servers.redis",)


class TestRedisReplies(RepliesContract):
    @pytest.fixture
    def replies(self, redis_clients: Clients) -> Replies:
        return RedisReplies(redis_clients.commands, Keys(4))
