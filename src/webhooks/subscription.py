"""A subscription: who is told of which facts, and whether messages are sent there at present. Pure."""

import re
from enum import StrEnum
from typing import Final, NewType

import msgspec

from domain.errors import RefusalCode, Refused
from events.errors import InvalidId
from events.ids import KnowledgeBaseId, uuid8_hex
from webhooks.event_names import EventName
from webhooks.signing import Secrets

WebhookId = NewType("WebhookId", str)
"""`hook_` and 32 hex digits."""

_ID: Final = re.compile(r"hook_[0-9a-f]{32}")


class DisabledReason(StrEnum):
    """Why nothing is sent."""

    REQUESTED = "requested"
    """Somebody switched it off."""
    GONE = "gone"
    """The endpoint answered 410."""
    FAILING = "failing"
    """Nothing arrived there for days."""


class Disabled(msgspec.Struct, frozen=True):
    """Since when, and why."""

    reason: DisabledReason
    at_us: int


class Subscription(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Facts with these names (None: all) about these knowledge bases (None: all) are sent to `url`.

    Names are kept as text: one that a newer program knows must not make this one stumble. Times are unix µs by the
    store's clock, by which the log takes facts too. `request_sha256` is over the request that an Idempotency-Key came
    with.
    """

    id: WebhookId
    url: str
    actor: str
    created_at_us: int
    updated_at_us: int
    events: tuple[str, ...] | None = None
    knowledge_bases: tuple[KnowledgeBaseId, ...] | None = None
    description: str = ""
    disabled: Disabled | None = None
    request_sha256: str | None = None

    @property
    def is_enabled(self) -> bool:
        return self.disabled is None

    def asks_for(self, name: EventName) -> bool:
        """Whether it wants facts of this name at all."""
        return self.is_enabled and (self.events is None or name.value in self.events)

    def wants(self, name: EventName, knowledge_base: KnowledgeBaseId | None, recorded_at_ms: int) -> bool:
        """Whether it is to be told of a fact that the log took at a time (unix ms); not of what it had before."""
        if not self.asks_for(name) or recorded_at_ms < self.created_at_us // 1_000:
            return False
        return self.knowledge_bases is None or knowledge_base in self.knowledge_bases


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription with its secrets, as stores keep it."""

    subscription: Subscription
    secrets: Secrets


def parse_webhook_id(text: str) -> WebhookId:
    """Raises InvalidId."""
    if not _ID.fullmatch(text):
        raise InvalidId("not an id of the form hook_ followed by 32 hex digits")
    return WebhookId(text)


def new_webhook_id(unique: str) -> WebhookId:
    """`unique` are 32 hex digits never used before."""
    return WebhookId(f"hook_{unique}")


def derived_webhook_id(idempotency_key: str, actor: str) -> WebhookId:
    """The same key of the same caller always names the same subscription."""
    return WebhookId(f"hook_{uuid8_hex('hook', actor, idempotency_key)}")


def disabled(kept: Kept, reason: DisabledReason, at_us: int) -> Kept:
    """As it is where it is disabled already: the first reason stands."""
    subscription = kept.subscription
    if subscription.disabled is not None:
        return kept
    changed = msgspec.structs.replace(subscription, disabled=Disabled(reason, at_us), updated_at_us=at_us)
    return Kept(subscription=changed, secrets=kept.secrets)


def unknown_webhook() -> Refused:
    """The same for one that never was and for one that the caller may not see."""
    return Refused(RefusalCode.UNKNOWN_WEBHOOK, "there is no webhook with this id")


def must_be_enabled(subscription: Subscription) -> None:
    """Raises Refused."""
    if not subscription.is_enabled:
        raise Refused(RefusalCode.WEBHOOK_DISABLED, "this webhook is disabled; enable it first")
