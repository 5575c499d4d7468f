"""The inboxes in memory keep the contract."""

import pytest

from events.log import Appended
from events.memory import MemoryLog
from events.memory_inbox import MemoryInbox
from events.steps import Step
from tests.contract.inbox_contract import InboxContract
from tests.contract.log_world import LogWorld, MemoryWorld, inbox_key
from tests.event_samples import accepted, new_document, new_knowledge_base, new_task, write


class TestMemoryInbox(InboxContract):
    @pytest.fixture
    def world(self) -> LogWorld:
        return MemoryWorld()


async def test_a_consumer_that_never_beat_is_dead_when_it_has_not_asked_for_long() -> None:
    now_us = [1_000_000]
    log = MemoryLog(partitions=1, clock_us=lambda: now_us[0])
    inbox = MemoryInbox(log)
    knowledge_base, task = new_knowledge_base(), new_task()
    wanted = write(new_document(), 0, accepted(task, knowledge_base), knowledge_base=knowledge_base, task=task)
    assert isinstance(await log.append([wanted]), Appended)
    held = await inbox.take([inbox_key(Step.PARSE)], consumer="a", count=1)
    now_us[0] += 1_001_000
    claimed = await inbox.claim_from_dead([inbox_key(Step.PARSE)], consumer="b", count=1, silent_ms_min=1_000)
    assert claimed == held
