"""Which facts a subscription is told of."""

import pytest

from events.errors import InvalidId
from events.ids import KnowledgeBaseId
from tests.strategies import KNOWLEDGE_BASE
from tests.webhook_samples import T0_US, kept, subscription
from webhooks.event_names import EventName
from webhooks.subscription import DisabledReason, derived_webhook_id, disabled, new_webhook_id, parse_webhook_id

OTHER = KnowledgeBaseId("kb_00" + "0" * 32)
NOW_MS = T0_US // 1_000


def test_without_names_and_knowledge_bases_it_is_told_of_everything() -> None:
    for name in EventName:
        assert subscription().wants(name, KNOWLEDGE_BASE, NOW_MS)


def test_it_is_told_of_the_names_that_it_asks_for() -> None:
    one = subscription(events=[EventName.TASK_FINISHED])
    assert one.wants(EventName.TASK_FINISHED, KNOWLEDGE_BASE, NOW_MS)
    assert not one.wants(EventName.TASK_CANCELLED, KNOWLEDGE_BASE, NOW_MS)


def test_it_is_told_about_the_knowledge_bases_that_it_names() -> None:
    one = subscription(knowledge_bases=[KNOWLEDGE_BASE])
    assert one.wants(EventName.TASK_FINISHED, KNOWLEDGE_BASE, NOW_MS)
    assert not one.wants(EventName.TASK_FINISHED, OTHER, NOW_MS)
    assert not one.wants(EventName.TASK_FINISHED, None, NOW_MS), "what nobody can tell the owner of"


def test_it_is_told_of_facts_from_its_creation_on() -> None:
    one = subscription(created_at_us=T0_US)
    assert one.wants(EventName.TASK_FINISHED, KNOWLEDGE_BASE, NOW_MS)
    assert not one.wants(EventName.TASK_FINISHED, KNOWLEDGE_BASE, NOW_MS - 1)


def test_a_disabled_one_is_told_nothing() -> None:
    off = disabled(kept(), DisabledReason.REQUESTED, 5).subscription
    assert not off.is_enabled
    assert not off.wants(EventName.TASK_FINISHED, KNOWLEDGE_BASE, NOW_MS)


def test_ids_have_one_form() -> None:
    assert parse_webhook_id(new_webhook_id("a" * 32)) == "hook_" + "a" * 32
    assert parse_webhook_id(derived_webhook_id("key", "me")) == derived_webhook_id("key", "me")
    assert derived_webhook_id("key", "me") != derived_webhook_id("key", "you")
    for text in ("hook_", "hook_" + "A" * 32, "hook_" + "a" * 33, "kb_" + "a" * 32, "hook_" + "a" * 32 + "\n"):
        with pytest.raises(InvalidId):
            parse_webhook_id(text)
