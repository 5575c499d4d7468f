"""Operations: webhooks, and what became of their messages."""

from collections.abc import Mapping
from typing import Final

from ingest.problems import ProblemCode
from ingest.redelivery import RedeliverBody
from ingest.webhook_routes import DeletedWebhook
from ingest.webhooks import ChangeWebhookBody, CreateWebhookBody
from millstream.openapi.operation import Answer, JsonBody, Operation, Parameter, Tag
from millstream.openapi.parameters import LOCATION, PAGED, one_of
from millstream.openapi.problems import URL_PROBLEMS
from projections.lists import Listing
from webhooks.delivery import DeliveryState
from webhooks.shown import CallbackSecret, DeliveryDetail, DeliveryStatus, Redelivered, ShownWebhook, WebhookStatus

UNKNOWN: Final = frozenset({ProblemCode.UNKNOWN_WEBHOOK})
SENT_ANEW: Final = UNKNOWN | {ProblemCode.WEBHOOK_DISABLED}
ONCE: Final = "`secret` verifies the messages (Standard Webhooks): it is shown this once."

OPERATIONS: Final[Mapping[str, Operation]] = {
    "create_webhook": Operation(
        summary="Register a webhook",
        description=(
            f"{ONCE} Facts from now on are sent to `url`, signed, until it answers 2xx: again after 5 s, 5 min, "
            "30 min, 2 h, 5 h, 10 h and 10 h. 410 disables the webhook; redirects are failures."
        ),
        tag=Tag.WEBHOOKS,
        body=JsonBody(
            struct=CreateWebhookBody,
            examples={
                "everything": {"url": "https://example.com/hooks/millstream"},
                "ends": {
                    "url": "https://example.com/hooks/millstream",
                    "events": ["task.finished", "document.failed"],
                    "description": "tells the back office",
                },
            },
        ),
        answers=(
            Answer(status=201, description="The webhook.", structs=(ShownWebhook,), headers=(LOCATION,)),
            Answer(
                description="The Idempotency-Key came before: the same webhook, without `secret`.",
                structs=(ShownWebhook,),
                headers=(LOCATION,),
            ),
        ),
        problems=URL_PROBLEMS | {ProblemCode.TOO_MANY_WEBHOOKS, ProblemCode.UNKNOWN_KNOWLEDGE_BASE},
        is_idempotent=True,
    ),
    "list_webhooks": Operation(
        summary="List webhooks",
        description="Newest first, the disabled ones too.",
        tag=Tag.WEBHOOKS,
        parameters=PAGED,
        answers=(Answer(description="One page.", structs=(Listing[WebhookStatus],)),),
    ),
    "get_webhook": Operation(
        summary="Read a webhook",
        tag=Tag.WEBHOOKS,
        answers=(Answer(description="The webhook, without its secret.", structs=(WebhookStatus,)),),
        problems=UNKNOWN,
    ),
    "change_webhook": Operation(
        summary="Change a webhook",
        description=(
            "Only what is given is changed. `enabled: true` lets a disabled one begin again; what was not sent "
            "meanwhile is redelivered by hand."
        ),
        tag=Tag.WEBHOOKS,
        body=JsonBody(struct=ChangeWebhookBody, examples={"off": {"enabled": False}, "all facts": {"events": None}}),
        answers=(Answer(description="The webhook as it is now.", structs=(WebhookStatus,)),),
        problems=URL_PROBLEMS | UNKNOWN | {ProblemCode.UNKNOWN_KNOWLEDGE_BASE},
    ),
    "delete_webhook": Operation(
        summary="Delete a webhook",
        description="Nothing is sent any more; its deliveries are forgotten behind the answer.",
        tag=Tag.WEBHOOKS,
        answers=(Answer(description="It is gone.", structs=(DeletedWebhook,)),),
        problems=UNKNOWN,
    ),
    "rotate_webhook_secret": Operation(
        summary="Give a webhook a new secret",
        description=f"{ONCE} For a day messages carry two signatures, by the new secret and by the one before.",
        tag=Tag.WEBHOOKS,
        answers=(
            Answer(
                description="The webhook with its new secret; without it where the Idempotency-Key came before.",
                structs=(ShownWebhook,),
            ),
        ),
        problems=UNKNOWN,
        is_idempotent=True,
    ),
    "get_callback_secret": Operation(
        summary="Read the secret of callbacks",
        description="What callbacks (`callback_url` of an upload) of your tasks are signed with: one for each key.",
        tag=Tag.WEBHOOKS,
        answers=(Answer(description="The secret.", structs=(CallbackSecret,)),),
    ),
    "test_webhook": Operation(
        summary="Send a test message",
        description="A `webhook.test`, due at once and tried by the schedule like any other.",
        tag=Tag.WEBHOOKS,
        answers=(Answer(status=202, description="Its delivery.", structs=(DeliveryStatus,)),),
        problems=SENT_ANEW,
        is_idempotent=True,
    ),
    "list_deliveries": Operation(
        summary="List deliveries",
        description="Newest first. What arrived is kept for a week, what failed for thirty days.",
        tag=Tag.WEBHOOKS,
        parameters=(
            Parameter(name="status", schema=one_of(DeliveryState), description="Only in this state."),
            *PAGED,
        ),
        answers=(Answer(description="One page.", structs=(Listing[DeliveryStatus],)),),
        problems=UNKNOWN,
    ),
    "get_delivery": Operation(
        summary="Read a delivery",
        description="With every attempt, and the message as it is sent.",
        tag=Tag.WEBHOOKS,
        answers=(Answer(description="The delivery.", structs=(DeliveryDetail,)),),
        problems=UNKNOWN | {ProblemCode.UNKNOWN_DELIVERY},
    ),
    "redeliver": Operation(
        summary="Send a message anew",
        description="Due at once, under the same `webhook-id`, with the whole schedule before it.",
        tag=Tag.WEBHOOKS,
        is_idempotent=True,
        answers=(Answer(status=202, description="Its delivery.", structs=(DeliveryStatus,)),),
        problems=SENT_ANEW | {ProblemCode.UNKNOWN_DELIVERY},
    ),
    "redeliver_many": Operation(
        summary="Send failed messages anew",
        description="Those made since a time, up to 1,000 a call, the newest first.",
        tag=Tag.WEBHOOKS,
        body=JsonBody(struct=RedeliverBody, examples={"of a day": {"since": "2026-11-23T00:00:00Z"}}),
        is_idempotent=True,
        answers=(Answer(status=202, description="How many are due again.", structs=(Redelivered,)),),
        problems=SENT_ANEW,
    ),
}
