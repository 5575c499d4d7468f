"""One message to one endpoint: its id, its bytes, what became of each attempt, and what follows from the last. Pure."""

import hashlib
import re
import zlib
from enum import StrEnum
from typing import Final, NewType

import msgspec

from domain.errors import RefusalCode, Refused
from events.errors import InvalidId
from events.ids import TaskId, uuid8_hex
from webhooks.schedule import Schedule
from webhooks.subscription import WebhookId

DeliveryId = NewType("DeliveryId", str)
"""`msg_`, two hex digits of the partition, 32 hex digits. It is the message's `webhook-id`."""

Channel = NewType("Channel", str)
"""Where messages queue up behind one another: a subscription's id, or a digest of the origin of callbacks."""

ATTEMPTS_KEPT: Final = 32
"""Attempts that a delivery remembers; more come of being sent anew by hand."""

_ORIGIN: Final = re.compile(r"[A-Za-z]+://[^/?#]*")
_ID: Final = re.compile(r"msg_([0-9a-f]{2})[0-9a-f]{32}")


class DeliveryState(StrEnum):
    """Pending ones are sent when they are due; a failed one is sent again by hand alone."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One try: the status that came back, or the code of the error. `body` are the first bytes of the answer."""

    number: int
    at_us: int
    took_ms: int
    status_code: int | None = None
    error: str | None = None
    detail: str = ""
    body: str = ""

    @property
    def is_success(self) -> bool:
        return self.status_code is not None and 200 <= self.status_code <= 299

    @property
    def is_gone(self) -> bool:
        """The endpoint wants no more messages, ever."""
        return self.status_code == 410

    @property
    def may_ask_to_wait(self) -> bool:
        """Whether Retry-After of this answer counts."""
        return self.status_code in {429, 503}


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """The delivery is a task's callback: its outcome is a fact of the task."""

    url: str
    actor: str
    task_id: TaskId


class Delivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`tries` are the attempts since it was made or sent anew; `error` says why it ended without one more.

    `revision` counts the changes of what is kept, by the store: two who change it at once are told apart by it.
    """

    id: DeliveryId
    channel: Channel
    type: str
    event_id: str
    created_at_us: int
    body: bytes
    state: DeliveryState = DeliveryState.PENDING
    tries: int = 0
    attempts: tuple[Attempt, ...] = ()
    next_attempt_at_us: int | None = None
    ended_at_us: int | None = None
    error: str | None = None
    callback: Callback | None = None
    revision: int = 0

    @property
    def member(self) -> str:
        """Its place in lists: they sort by time."""
        return f"{self.created_at_us:016x}.{self.id}"

    @property
    def partition(self) -> int:
        return partition_of(self.id)

    @property
    def next_number(self) -> int:
        """Of the attempt that comes next, from 1, over all rounds."""
        return self.attempts[-1].number + 1 if self.attempts else 1


class Ended(msgspec.Struct, frozen=True):
    """The last attempt arrived, or none follows."""

    delivery: Delivery


class Again(msgspec.Struct, frozen=True):
    """Another attempt follows in `delay_s`."""

    delivery: Delivery
    delay_s: float


def after_attempt(
    delivery: Delivery, attempt: Attempt, schedule: Schedule, *, retry_after_s: float | None, random: float, now_us: int
) -> Ended | Again:
    """What follows from an attempt. `random` is in [0, 1)."""
    tries = delivery.tries + 1
    tried = msgspec.structs.replace(
        delivery,
        tries=tries,
        attempts=(*delivery.attempts, attempt)[-ATTEMPTS_KEPT:],
        next_attempt_at_us=None,
        error=None,
    )
    if attempt.is_success:
        return Ended(_ended(tried, DeliveryState.DELIVERED, now_us))
    asked_s = retry_after_s if attempt.may_ask_to_wait else None
    delay_s = None if attempt.is_gone else schedule.delay_s(tries, random, asked_s)
    if delay_s is None:
        return Ended(_ended(tried, DeliveryState.FAILED, now_us))
    return Again(msgspec.structs.replace(tried, next_attempt_at_us=now_us + round(delay_s * 1_000_000)), delay_s)


def given_up(delivery: Delivery, error: str, now_us: int) -> Delivery:
    """Ended without an attempt; `error` says why."""
    failed = msgspec.structs.replace(delivery, next_attempt_at_us=None, error=error)
    return _ended(failed, DeliveryState.FAILED, now_us)


def sent_anew(delivery: Delivery, now_us: int) -> Delivery:
    """Due at once, under the same id, with the whole schedule before it; a pending one loses its wait."""
    return msgspec.structs.replace(
        delivery, state=DeliveryState.PENDING, tries=0, next_attempt_at_us=now_us, ended_at_us=None, error=None
    )


def delivery_id(webhook: WebhookId | Channel, event_id: str, partition: int) -> DeliveryId:
    """The same for each attempt, and for whoever reads the log again: receivers tell repeats by it."""
    return DeliveryId(f"msg_{partition:02x}{uuid8_hex('webhook', webhook, event_id)}")


def parse_delivery_id(text: str, partitions: int) -> DeliveryId:
    """Raises InvalidId."""
    matched = _ID.fullmatch(text)
    if matched is None or int(matched[1], 16) >= partitions:
        raise InvalidId("not an id of the form msg_ followed by 34 hex digits")
    return DeliveryId(text)


def partition_of(delivery: DeliveryId) -> int:
    """Where it is kept. Raises InvalidId."""
    matched = _ID.fullmatch(delivery)
    if matched is None:
        raise InvalidId("not an id of the form msg_ followed by 34 hex digits")
    return int(matched[1], 16)


def home_partition(webhook: WebhookId, partitions: int) -> int:
    """Where a message is kept that no fact led to."""
    return zlib.crc32(webhook.encode()) % partitions


def callback_channel(url: str) -> Channel:
    """One for each origin: an endpoint that hangs delays nobody else."""
    origin = _ORIGIN.match(url)
    text = url if origin is None else origin[0].lower()
    return Channel("call_" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32])


def unknown_delivery() -> Refused:
    return Refused(RefusalCode.UNKNOWN_DELIVERY, "there is no delivery with this id")


def _ended(delivery: Delivery, state: DeliveryState, now_us: int) -> Delivery:
    return msgspec.structs.replace(delivery, state=state, ended_at_us=now_us)
