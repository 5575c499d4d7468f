"""HTTP of webhooks, as far as it changes something or shows a secret."""

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.access import principal_of
from ingest import webhooks
from ingest.body import read_json
from ingest.idempotency import idempotency_key
from ingest.redelivery import RedeliverBody, redeliver, redeliver_many
from ingest.webhooks import ChangeWebhookBody, CreateWebhookBody, WebhookServices
from webhooks.delivery import parse_delivery_id
from webhooks.shown import CallbackSecret, delivery_status
from webhooks.signing import callback_secret
from webhooks.subscription import WebhookId, parse_webhook_id

PREFIX: Final = "/api/v1/webhooks"


class DeletedWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """It is gone."""

    webhook_id: WebhookId
    status: str = "deleted"


_create_decoder = msgspec.json.Decoder(CreateWebhookBody)
_change_decoder = msgspec.json.Decoder(ChangeWebhookBody)
_redeliver_decoder = msgspec.json.Decoder(RedeliverBody)
_encoder = msgspec.json.Encoder()


def webhook_routes(services: WebhookServices) -> list[Route]:
    """Errors are raised; `answers.exception_handlers` turns them into problem documents."""
    return [*_subscription_routes(services), *_message_routes(services)]


def _subscription_routes(services: WebhookServices) -> list[Route]:
    bytes_max = services.json_bytes_max

    async def post_webhook(request: Request) -> Response:
        key = idempotency_key(request.headers)
        body = await read_json(request, _create_decoder, bytes_max=bytes_max)
        created = await webhooks.create(services, body, key, principal_of(request.scope))
        return _json(created, 200 if created.secret is None else 201, {"Location": created.links["self"]})

    async def patch_webhook(request: Request) -> Response:
        body = await read_json(request, _change_decoder, bytes_max=bytes_max)
        return _json(await webhooks.change(services, _webhook(request), body, principal_of(request.scope)), 200)

    async def delete_webhook(request: Request) -> Response:
        webhook = _webhook(request)
        await webhooks.delete(services, webhook, principal_of(request.scope))
        return _json(DeletedWebhook(webhook_id=webhook), 200)

    async def post_rotate(request: Request) -> Response:
        key = idempotency_key(request.headers)
        return _json(await webhooks.rotate(services, _webhook(request), key, principal_of(request.scope)), 200)

    async def get_callback_secret(request: Request) -> Response:
        actor = principal_of(request.scope).actor
        return _json(CallbackSecret(callback_secret(services.installation_secret, actor)), 200)

    one = f"{PREFIX}/{{webhook_id}}"
    return [
        Route(f"{PREFIX}/callback-secret", get_callback_secret, name="get_callback_secret"),
        Route(PREFIX, post_webhook, methods=["POST"], name="create_webhook"),
        Route(one, patch_webhook, methods=["PATCH"], name="change_webhook"),
        Route(one, delete_webhook, methods=["DELETE"], name="delete_webhook"),
        Route(f"{one}/rotate-secret", post_rotate, methods=["POST"], name="rotate_webhook_secret"),
    ]


def _message_routes(services: WebhookServices) -> list[Route]:
    async def post_test(request: Request) -> Response:
        key = idempotency_key(request.headers)
        sent = await webhooks.send_test(services, _webhook(request), key, principal_of(request.scope))
        return _json(delivery_status(sent), 202)

    async def post_redeliver(request: Request) -> Response:
        webhook = _webhook(request)
        delivery = parse_delivery_id(request.path_params["delivery_id"], services.deliveries.partitions)
        again = await redeliver(services, webhook, delivery, principal_of(request.scope))
        return _json(delivery_status(again), 202)

    async def post_redeliver_many(request: Request) -> Response:
        body = await read_json(request, _redeliver_decoder, bytes_max=services.json_bytes_max)
        return _json(await redeliver_many(services, _webhook(request), body, principal_of(request.scope)), 202)

    one = f"{PREFIX}/{{webhook_id}}"
    delivery = f"{one}/deliveries/{{delivery_id}}"
    return [
        Route(f"{one}/test", post_test, methods=["POST"], name="test_webhook"),
        Route(f"{one}/redeliver", post_redeliver_many, methods=["POST"], name="redeliver_many"),
        Route(f"{delivery}/redeliver", post_redeliver, methods=["POST"], name="redeliver"),
    ]


def _webhook(request: Request) -> WebhookId:
    return parse_webhook_id(request.path_params["webhook_id"])


def _json(body: Any, status: int, headers: dict[str, str] | None = None) -> Response:
    sent = {"Cache-Control": "no-store", **(headers or {})}
    return Response(_encoder.encode(body), status_code=status, headers=sent, media_type="application/json")
