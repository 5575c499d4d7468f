"""What a client sees of a subscription and of a delivery: one form for every answer. Pure."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from domain.access import Principal
from domain.instant import utc
from events.ids import KnowledgeBaseId
from webhooks.delivery import Attempt, Delivery, DeliveryId, DeliveryState
from webhooks.subscription import DisabledReason, Kept, Subscription, WebhookId

PATH = "/api/v1/webhooks"


class WebhookState(StrEnum):
    """Whether messages are sent."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class DisabledStatus(msgspec.Struct, frozen=True):
    """Since when nothing is sent, and why."""

    reason: DisabledReason
    at: datetime


class WebhookStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription. `events` and `knowledge_bases` None: all. Its secret is never among it."""

    webhook_id: WebhookId
    url: str
    events: tuple[str, ...] | None
    knowledge_bases: tuple[KnowledgeBaseId, ...] | None
    description: str
    status: WebhookState
    disabled: DisabledStatus | None
    previous_secret_until: datetime | None
    created_at: datetime
    created_by: str
    updated_at: datetime
    links: dict[str, str]


class ShownWebhook(WebhookStatus, frozen=True, kw_only=True):
    """`secret` verifies its messages. It is shown this once; None: the request is a repeated one."""

    secret: str | None


class AttemptStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One try: what came back, or the code of the error. `body` is the start of the answer."""

    attempt: int
    at: datetime
    took_ms: int
    status_code: int | None
    error: str | None
    detail: str
    body: str


class DeliveryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one endpoint; `delivery_id` is its `webhook-id`. `error` says why it ended without an attempt."""

    delivery_id: DeliveryId
    webhook_id: WebhookId
    type: str
    event_id: str
    status: DeliveryState
    attempts: int
    last_attempt: AttemptStatus | None
    next_attempt_at: datetime | None
    created_at: datetime
    ended_at: datetime | None
    error: str | None
    links: dict[str, str]


class DeliveryDetail(DeliveryStatus, frozen=True, kw_only=True):
    """With every attempt that is remembered, and the message as it is sent."""

    history: tuple[AttemptStatus, ...]
    message: msgspec.Raw


class Redelivered(msgspec.Struct, frozen=True, kw_only=True):
    """How many are due again. `has_more`: ask once more for those that are left."""

    redelivered: int
    has_more: bool


class CallbackSecret(msgspec.Struct, frozen=True):
    """What callbacks of the tasks of whoever asks are signed with."""

    secret: str

    def __repr__(self) -> str:
        return "CallbackSecret(…)"


def may_see(principal: Principal, subscription: Subscription) -> bool:
    """Who is bound to knowledge bases sees subscriptions to these alone."""
    if principal.knowledge_bases is None:
        return True
    named = subscription.knowledge_bases
    return named is not None and principal.knowledge_bases.issuperset(named)


def webhook_status(kept: Kept, now_us: int) -> WebhookStatus:
    return WebhookStatus(**_fields(kept, now_us))


def shown_webhook(kept: Kept, now_us: int, *, with_secret: bool) -> ShownWebhook:
    """For the answer that shows the secret."""
    return ShownWebhook(**_fields(kept, now_us), secret=kept.secrets.current if with_secret else None)


def delivery_status(delivery: Delivery) -> DeliveryStatus:
    return DeliveryStatus(**_delivery_fields(delivery))


def delivery_detail(delivery: Delivery) -> DeliveryDetail:
    return DeliveryDetail(
        **_delivery_fields(delivery),
        history=tuple(map(attempt_status, delivery.attempts)),
        message=msgspec.Raw(delivery.body),
    )


def attempt_status(attempt: Attempt) -> AttemptStatus:
    return AttemptStatus(
        attempt=attempt.number,
        at=utc(attempt.at_us),
        took_ms=attempt.took_ms,
        status_code=attempt.status_code,
        error=attempt.error,
        detail=attempt.detail,
        body=attempt.body,
    )


def _fields(kept: Kept, now_us: int) -> dict[str, Any]:
    one, secrets = kept.subscription, kept.secrets
    path = f"{PATH}/{one.id}"
    overlaps = len(secrets.at(now_us)) > 1
    return {
        "webhook_id": one.id,
        "url": one.url,
        "events": one.events,
        "knowledge_bases": one.knowledge_bases,
        "description": one.description,
        "status": WebhookState.ENABLED if one.disabled is None else WebhookState.DISABLED,
        "disabled": None if one.disabled is None else DisabledStatus(one.disabled.reason, utc(one.disabled.at_us)),
        "previous_secret_until": utc(secrets.previous_until_us) if overlaps else None,
        "created_at": utc(one.created_at_us),
        "created_by": one.actor,
        "updated_at": utc(one.updated_at_us),
        "links": {"self": path, "deliveries": f"{path}/deliveries"},
    }


def _delivery_fields(delivery: Delivery) -> dict[str, Any]:
    attempts = delivery.attempts
    return {
        "delivery_id": delivery.id,
        "webhook_id": WebhookId(delivery.channel),
        "type": delivery.type,
        "event_id": delivery.event_id,
        "status": delivery.state,
        "attempts": attempts[-1].number if attempts else 0,
        "last_attempt": attempt_status(attempts[-1]) if attempts else None,
        "next_attempt_at": _instant(delivery.next_attempt_at_us),
        "created_at": utc(delivery.created_at_us),
        "ended_at": _instant(delivery.ended_at_us),
        "error": delivery.error,
        "links": {"self": f"{PATH}/{delivery.channel}/deliveries/{delivery.id}"},
    }


def _instant(at_us: int | None) -> datetime | None:
    return None if at_us is None else utc(at_us)
