"""Bodies: small, the same whenever they are made, and as things stood right behind the fact."""

import json
from typing import Any

import pytest

from domain import commands as c
from events.envelope import Envelope
from events.ids import KnowledgeBaseId
from events.memory import MemoryLog
from tests.webhook_samples import T0_US, webhook_id
from tests.workshop import FIRST_US, Workshop
from webhooks.event_names import EventName, name_of
from webhooks.messages import message_of_test, told, told_of_unreadable

MESSAGE_BYTES_MAX = 4_096


class Story:
    """A knowledge base in which everything happened that anybody can be told of."""

    def __init__(self) -> None:
        self.log = MemoryLog(partitions=1, clock_us=lambda: FIRST_US)
        self.workshop = Workshop(self.log)

    async def lived(self) -> "Story":
        workshop = self.workshop
        self.knowledge_base = await workshop.create("handbook")
        await workshop.tell(self.knowledge_base, c.ChangeKnowledgeBase(name="manual"))
        _, (document,) = await workshop.through(self.knowledge_base)
        self.task, (failed, cancelled, skipped) = await workshop.submit(self.knowledge_base, 3, filename="磨坊.txt")
        await workshop.fail(failed)
        await workshop.work(cancelled, c.CancelDocument(reason="no longer wanted"))
        await workshop.tell_task(self.task, c.CancelTask(reason="no longer wanted"))
        await workshop.work(skipped, c.CancelDocument(reason="no longer wanted"))
        await workshop.finish(self.task)
        await workshop.work(document, c.RemoveDocument(reason="done with it"))
        await workshop.tell(self.knowledge_base, c.DeleteKnowledgeBase(reason="done with it"))
        return self

    async def facts(self) -> list[Envelope]:
        return [one for one in await self.log.read(0) if isinstance(one, Envelope)]

    async def messages(self) -> list[tuple[KnowledgeBaseId | None, Any]]:
        found = []
        for fact in await self.facts():
            name = name_of(fact.event)
            if name is not None:
                message = told(name, fact, await self.log.history(fact.stream_id))
                assert len(message.body) < MESSAGE_BYTES_MAX
                found.append((message.knowledge_base_id, json.loads(message.body)))
        return found


async def test_every_fact_that_has_a_name_is_told_of_with_its_owner() -> None:
    story = await Story().lived()
    messages = await story.messages()
    assert {owner for owner, _ in messages} == {story.knowledge_base}
    told_of = {message["type"] for _, message in messages}
    assert told_of == {name.value for name in EventName} - {EventName.DOCUMENT_SKIPPED.value}


async def test_a_message_tells_how_it_stood_right_behind_the_fact_whatever_came_later() -> None:
    story = await Story().lived()
    by_type = {message["type"]: message["data"] for _, message in await story.messages()}
    assert by_type["knowledge_base.created"]["name"] == "handbook"
    assert by_type["knowledge_base.changed"]["name"] == by_type["knowledge_base.deleted"]["name"] == "manual"
    assert by_type["document.accepted"]["status"] == "queued"
    assert by_type["document.completed"]["status"] == "completed"
    assert by_type["document.completed"]["counts"] == {"pages": 1, "chunks": 3, "tokens": 9}
    assert by_type["document.failed"]["error"] == {"code": "no_text", "message": "no text in it", "step": "parse"}
    assert by_type["document.failed"]["filename"] == "磨坊.txt"
    assert by_type["document.cancelled"]["status"] == "cancelled"
    assert by_type["document.removed"]["status"] == "deleted"
    assert by_type["task.submitted"]["status"] == by_type["task.cancelled"]["status"] == "open"
    assert by_type["task.finished"]["status"] == "failed"
    assert by_type["task.finished"]["documents"] == {
        "total": 3,
        "completed": 0,
        "failed": 1,
        "cancelled": 2,
        "skipped": 0,
    }


async def test_the_same_facts_make_the_same_bytes() -> None:
    first, second = await Story().lived(), await Story().lived()
    assert await first.messages() == await second.messages()
    fact = (await first.facts())[-1]
    name, history = name_of(fact.event), await first.log.history(fact.stream_id)
    assert name is not None
    assert told(name, fact, history).body == told(name, fact, history).body


async def test_the_timestamp_is_when_the_fact_was_recorded() -> None:
    story = await Story().lived()
    fact, (_, message) = (await story.facts())[0], (await story.messages())[0]
    assert fact.recorded_at_us == FIRST_US + 1_000
    assert message["timestamp"] == "2023-11-14T22:13:20.001000Z"


async def test_of_a_fact_without_a_readable_history_its_stream_is_told_and_nobodys_owner() -> None:
    story = await Story().lived()
    fact = next(one for one in await story.facts() if name_of(one.event) is EventName.TASK_FINISHED)
    message = told_of_unreadable(EventName.TASK_FINISHED, fact)
    assert message.knowledge_base_id is None
    assert json.loads(message.body)["data"] == {"stream_id": fact.stream_id}


def test_a_test_says_that_it_is_one() -> None:
    message = json.loads(message_of_test(webhook_id(1), T0_US))
    assert (message["type"], message["data"]) == ("webhook.test", {"webhook_id": webhook_id(1)})


@pytest.mark.parametrize("name", EventName)
def test_names_have_the_form_that_the_specification_asks_for(name: EventName) -> None:
    assert all(part.replace("_", "").isalnum() for part in name.value.split("."))
