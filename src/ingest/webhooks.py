"""Registering, changing and deleting webhooks; new secrets; messages by hand."""

from collections.abc import Callable, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from domain.access import Principal
from domain.amounts import counted
from domain.errors import RefusalCode, Refused
from events.errors import InvalidId
from events.ids import KnowledgeBaseId, parse_knowledge_base_id
from events.log import EventLog
from ingest.body import refuse_controls
from ingest.called_urls import CheckUrl, checked_url
from ingest.idempotency import key_sha256, parts_sha256
from ingest.problems import invalid
from outbound.urls import URL_CHARACTERS_MAX
from webhooks.deliveries import DeliveryStore
from webhooks.delivery import Channel, Delivery, delivery_id, home_partition
from webhooks.event_names import TEST, EventName
from webhooks.messages import message_of_test
from webhooks.settings import WebhookSettings
from webhooks.shown import ShownWebhook, WebhookStatus, may_see, shown_webhook, webhook_status
from webhooks.signing import SECRET_BYTES, Secrets, new_secret, rotated
from webhooks.subscription import (
    Disabled,
    DisabledReason,
    Kept,
    Subscription,
    WebhookId,
    derived_webhook_id,
    must_be_enabled,
    new_webhook_id,
    unknown_webhook,
)
from webhooks.subscriptions import Full, SubscriptionStore

KNOWLEDGE_BASES_MAX: Final = 1_000
DESCRIPTION_CHARS_MAX: Final = 500

Url = Annotated[str, Meta(min_length=1, max_length=URL_CHARACTERS_MAX)]
Names = Annotated[list[EventName], Meta(min_length=1, max_length=len(EventName))]
KnowledgeBases = Annotated[list[str], Meta(min_length=1, max_length=KNOWLEDGE_BASES_MAX)]
Description = Annotated[str, Meta(max_length=DESCRIPTION_CHARS_MAX)]


class CreateWebhookBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Asks for a webhook; without `events` it is told of all, without `knowledge_bases` about all that the key sees."""

    url: Url
    events: Names | None = None
    knowledge_bases: KnowledgeBases | None = None
    description: Description = ""


class ChangeWebhookBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only what is given is changed; null asks for all."""

    url: Url | UnsetType = UNSET
    events: Names | UnsetType | None = UNSET
    knowledge_bases: KnowledgeBases | UnsetType | None = UNSET
    description: Description | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class WebhookServices(msgspec.Struct, frozen=True, kw_only=True):
    """`unique` makes 32 hex digits never used before, `random_bytes` secrets; `clock_us` is unix µs."""

    log: EventLog
    subscriptions: SubscriptionStore
    deliveries: DeliveryStore
    check_url: CheckUrl
    unique: Callable[[], str]
    random_bytes: Callable[[int], bytes]
    clock_us: Callable[[], int]
    installation_secret: bytes
    settings: WebhookSettings
    json_bytes_max: int

    def __repr__(self) -> str:
        return "WebhookServices(…)"


async def create(
    services: WebhookServices, body: CreateWebhookBody, key: str | None, principal: Principal
) -> ShownWebhook:
    """`key` is the Idempotency-Key. Raises Rejected, Refused (too_many_webhooks, idempotency_key_reused)."""
    url = await checked_url(services.check_url, body.url, "/url")
    refuse_controls(body.description, "/description", allowed="\n\r\t")
    named = await _checked_knowledge_bases(services, body.knowledge_bases, principal)
    now_us = await services.subscriptions.now_us()
    asked = Subscription(
        id=new_webhook_id(services.unique()) if key is None else derived_webhook_id(key, principal.actor),
        url=url,
        actor=principal.actor,
        created_at_us=now_us,
        updated_at_us=now_us,
        events=_names(body.events),
        knowledge_bases=named,
        description=body.description,
        request_sha256=None if key is None else parts_sha256([msgspec.json.encode(body).decode()]),
    )
    secrets = Secrets(current=new_secret(services.random_bytes(SECRET_BYTES)))
    wanted = Kept(subscription=asked, secrets=secrets)
    kept = await services.subscriptions.create(wanted, count_max=services.settings.subscriptions_max)
    if isinstance(kept, Full):
        raise Refused(
            RefusalCode.TOO_MANY_WEBHOOKS,
            f"the limit is reached with {counted(kept.count, 'webhook')}; delete one first",
        )
    if kept.subscription.request_sha256 != asked.request_sha256:
        raise Refused(
            RefusalCode.IDEMPOTENCY_KEY_REUSED,
            "this Idempotency-Key came with another request before; use a new key for a new request",
        )
    return shown_webhook(kept, now_us, with_secret=kept.secrets == secrets)


async def change(
    services: WebhookServices, webhook: WebhookId, body: ChangeWebhookBody, principal: Principal
) -> WebhookStatus:
    """Raises Rejected and Refused."""
    await visible(services.subscriptions, webhook, principal)
    url = body.url if body.url is UNSET else await checked_url(services.check_url, body.url, "/url")
    if body.description is not UNSET:
        refuse_controls(body.description, "/description", allowed="\n\r\t")
    named = body.knowledge_bases
    checked = UNSET if named is UNSET else await _checked_knowledge_bases(services, named, principal)
    now_us = await services.subscriptions.now_us()

    def changed(kept: Kept) -> Kept:
        before = _must_see(kept, principal)
        given = {
            "url": url,
            "events": UNSET if body.events is UNSET else _names(body.events),
            "knowledge_bases": checked,
            "description": body.description,
            "disabled": _disabled(before, body.enabled, now_us),
        }
        fields = {name: value for name, value in given.items() if value is not UNSET}
        after = msgspec.structs.replace(before, **fields)
        if after != before:
            after = msgspec.structs.replace(after, updated_at_us=now_us)
        return Kept(subscription=after, secrets=kept.secrets)

    kept = await services.subscriptions.change(webhook, changed)
    if kept is None:
        raise unknown_webhook()
    if body.enabled is True:
        await services.subscriptions.succeeded(webhook)
    return webhook_status(kept, now_us)


async def rotate(services: WebhookServices, webhook: WebhookId, key: str | None, principal: Principal) -> ShownWebhook:
    """A new secret; the one before signs too for the overlap. The same Idempotency-Key rotates once."""
    rotation = None if key is None else key_sha256(f"{principal.actor}\0{key}")
    random_bytes = services.random_bytes(SECRET_BYTES)
    now_us = await services.subscriptions.now_us()
    until_us = now_us + services.settings.rotation_overlap_s * 1_000_000

    def changed(kept: Kept) -> Kept:
        one = _must_see(kept, principal)
        if rotation is not None and kept.secrets.rotation == rotation:
            return kept
        secrets = rotated(kept.secrets, random_bytes, until_us=until_us, rotation=rotation)
        return Kept(subscription=msgspec.structs.replace(one, updated_at_us=now_us), secrets=secrets)

    kept = await services.subscriptions.change(webhook, changed)
    if kept is None:
        raise unknown_webhook()
    return shown_webhook(kept, now_us, with_secret=kept.secrets.current == new_secret(random_bytes))


async def delete(services: WebhookServices, webhook: WebhookId, principal: Principal) -> None:
    """What waits for it is not sent, and its deliveries are forgotten behind the answer. Raises Refused."""
    await visible(services.subscriptions, webhook, principal)
    if not await services.subscriptions.delete(webhook):
        raise unknown_webhook()


async def send_test(services: WebhookServices, webhook: WebhookId, key: str | None, principal: Principal) -> Delivery:
    """A message of its own, due at once. Raises Refused (unknown_webhook, webhook_disabled)."""
    kept = await visible(services.subscriptions, webhook, principal)
    must_be_enabled(kept.subscription)
    now_us = await services.subscriptions.now_us()
    event_id = services.unique() if key is None else key_sha256(f"{principal.actor}\0{key}")[:32]
    partition = home_partition(webhook, services.deliveries.partitions)
    return await services.deliveries.add(
        Delivery(
            id=delivery_id(webhook, event_id, partition),
            channel=Channel(webhook),
            type=TEST,
            event_id=event_id,
            created_at_us=now_us,
            next_attempt_at_us=now_us,
            body=message_of_test(webhook, now_us),
        )
    )


async def visible(subscriptions: SubscriptionStore, webhook: WebhookId, principal: Principal) -> Kept:
    """Raises Refused where there is none, or none for who asks."""
    kept = await subscriptions.find(webhook)
    if kept is None:
        raise unknown_webhook()
    _must_see(kept, principal)
    return kept


def _must_see(kept: Kept, principal: Principal) -> Subscription:
    if not may_see(principal, kept.subscription):
        raise unknown_webhook()
    return kept.subscription


def _names(given: Sequence[EventName] | None) -> tuple[str, ...] | None:
    """Each once, in the order of the enumeration."""
    return None if given is None else tuple(name.value for name in EventName if name in given)


def _disabled(before: Subscription, enabled: bool | UnsetType, now_us: int) -> Disabled | UnsetType | None:
    if enabled is UNSET:
        return UNSET
    if enabled:
        return None
    return before.disabled or Disabled(DisabledReason.REQUESTED, now_us)


async def _checked_knowledge_bases(
    services: WebhookServices, named: Sequence[str] | None, principal: Principal
) -> tuple[KnowledgeBaseId, ...] | None:
    """Those that exist for who asks. A key that is bound asks for its own where it names none."""
    if named is None:
        return None if principal.knowledge_bases is None else tuple(sorted(principal.knowledge_bases))
    found = [_parsed(text, ordinal) for ordinal, text in enumerate(named)]
    try:
        versions = await services.log.versions(found)
    except InvalidId:
        versions = [0] * len(found)
    for one, version in zip(found, versions, strict=True):
        if version == 0 or not principal.may_see(one):
            raise Refused(RefusalCode.UNKNOWN_KNOWLEDGE_BASE, "there is no knowledge base with this id")
    return tuple(dict.fromkeys(found))


def _parsed(text: str, ordinal: int) -> KnowledgeBaseId:
    try:
        return parse_knowledge_base_id(text)
    except InvalidId as error:
        raise invalid(f"/knowledge_bases/{ordinal}", str(error)) from error
