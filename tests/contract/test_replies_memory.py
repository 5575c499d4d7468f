"""Answers that are given again, in memory, keep the contract."""

import time

import pytest

from ingest.replies import MemoryReplies, Replies
from tests.contract.replies_contract import RepliesContract


class TestMemoryReplies(RepliesContract):
    @pytest.fixture
    def replies(self) -> Replies:
        return MemoryReplies(lambda: time.time_ns() // 1_000_000)
