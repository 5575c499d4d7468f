"""Subscriptions and deliveries as tests need them: deterministic, short to write."""

from collections.abc import Sequence
from itertools import count
from typing import Final

from events.envelope import Position
from events.ids import KnowledgeBaseId, TaskId
from webhooks.delivery import Attempt, Callback, Channel, Delivery, callback_channel, delivery_id
from webhooks.event_names import EventName
from webhooks.signing import SECRET_BYTES, Secrets, new_secret
from webhooks.subscription import Kept, Subscription, WebhookId

T0_US: Final = 1_700_000_000_000_000
SECRET: Final = new_secret(bytes(range(SECRET_BYTES)))
OTHER_SECRET: Final = new_secret(bytes(range(1, SECRET_BYTES + 1)))

_numbers = count(1)


def webhook_id(number: int) -> WebhookId:
    return WebhookId(f"hook_{number:032x}")


def subscription(
    number: int = 1,
    *,
    url: str = "http://127.0.0.1:9/hook",
    events: Sequence[EventName] | None = None,
    knowledge_bases: Sequence[KnowledgeBaseId] | None = None,
    created_at_us: int = 0,
) -> Subscription:
    return Subscription(
        id=webhook_id(number),
        url=url,
        actor="tests",
        created_at_us=created_at_us,
        updated_at_us=created_at_us,
        events=None if events is None else tuple(one.value for one in events),
        knowledge_bases=None if knowledge_bases is None else tuple(knowledge_bases),
    )


def kept(number: int = 1, *, url: str = "http://127.0.0.1:9/hook", created_at_us: int = 0) -> Kept:
    told = subscription(number, url=url, created_at_us=created_at_us)
    return Kept(subscription=told, secrets=Secrets(current=SECRET))


def delivery(
    number: int = 1,
    *,
    partition: int = 0,
    created_at_us: int = T0_US,
    event: int | None = None,
    callback: Callback | None = None,
) -> Delivery:
    """Of the n-th subscription; each is of an event of its own, unless one is named."""
    event_id = f"{next(_numbers) if event is None else event:032x}"
    channel = Channel(webhook_id(number)) if callback is None else callback_channel(callback.url)
    return Delivery(
        id=delivery_id(channel, event_id, partition),
        channel=channel,
        type="task.finished",
        event_id=event_id,
        created_at_us=created_at_us,
        body=b'{"type":"task.finished"}',
        next_attempt_at_us=created_at_us,
        callback=callback,
    )


def callback(
    url: str = "http://127.0.0.1:9/call", task: str = "task_00" + "0" * 12 + "7" + "0" * 3 + "8" + "0" * 15
) -> Callback:
    return Callback(url=url, actor="tests", task_id=TaskId(task))


def attempt(number: int = 1, status_code: int | None = 200, *, at_us: int = T0_US, error: str | None = None) -> Attempt:
    return Attempt(number=number, at_us=at_us, took_ms=12, status_code=status_code, error=error)


def position(ms: int) -> Position:
    return Position(1, ms, 0)
