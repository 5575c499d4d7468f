"""HTTP of webhooks, as far as it only reads: subscriptions, their deliveries, and each attempt."""

from collections.abc import Callable
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.access import principal_of
from projections.cursors import Cursors
from projections.lists import Listing
from projections.parameters import Parameters
from webhooks.deliveries import DeliveryStore
from webhooks.delivery import Channel, DeliveryState, parse_delivery_id, unknown_delivery
from webhooks.shown import delivery_detail, delivery_status, may_see, webhook_status
from webhooks.subscription import Kept, WebhookId, parse_webhook_id, unknown_webhook
from webhooks.subscriptions import SubscriptionStore

PREFIX: Final = "/api/v1/webhooks"
NOTHING: Final = frozenset[str]()
PAGED: Final = frozenset({"limit", "cursor"})

_encoder = msgspec.json.Encoder()


def webhook_reading_routes(
    subscriptions: SubscriptionStore, deliveries: DeliveryStore, cursors: Cursors, *, clock_us: Callable[[], int]
) -> list[Route]:
    """Raises Refused, InvalidId, InvalidQuery, InvalidCursor, LogUnavailable."""

    async def list_webhooks(request: Request) -> Response:
        asked = Parameters(request.query_params.multi_items(), known=PAGED)
        limit, cursor = asked.limit(), asked.text("cursor")
        after = None if cursor is None else cursors.open("webhooks", cursor)
        principal = principal_of(request.scope)
        seen = [one for one in (await subscriptions.everything()).kept if may_see(principal, one.subscription)]
        newest = sorted(seen, key=_member, reverse=True)
        page = [one for one in newest if after is None or _member(one) < after][: limit + 1]
        next_cursor = cursors.seal("webhooks", _member(page[limit - 1])) if len(page) > limit else None
        now_us = clock_us()
        rows = tuple(webhook_status(one, now_us) for one in page[:limit])
        return _json(Listing(rows, len(newest), next_cursor))

    async def get_webhook(request: Request) -> Response:
        Parameters(request.query_params.multi_items(), known=NOTHING)
        return _json(webhook_status(await _visible(subscriptions, request), clock_us()))

    async def list_deliveries(request: Request) -> Response:
        asked = Parameters(request.query_params.multi_items(), known=PAGED | {"status"})
        state = asked.choice("status", DeliveryState)
        webhook = (await _visible(subscriptions, request)).subscription.id
        scope, limit, cursor = f"deliveries:{webhook}&{state or ''}", asked.limit(), asked.text("cursor")
        page = await deliveries.page(
            Channel(webhook),
            tuple(DeliveryState) if state is None else (state,),
            before=None if cursor is None else cursors.open(scope, cursor),
            limit=limit + 1,
        )
        found = page.deliveries
        next_cursor = cursors.seal(scope, found[limit - 1].member) if len(found) > limit else None
        return _json(Listing(tuple(map(delivery_status, found[:limit])), page.total, next_cursor))

    async def get_delivery(request: Request) -> Response:
        Parameters(request.query_params.multi_items(), known=NOTHING)
        webhook = (await _visible(subscriptions, request)).subscription.id
        found = await deliveries.find(parse_delivery_id(request.path_params["delivery_id"], deliveries.partitions))
        if found is None or found.channel != Channel(webhook):
            raise unknown_delivery()
        return _json(delivery_detail(found))

    one = f"{PREFIX}/{{webhook_id}}"
    return [
        Route(PREFIX, list_webhooks, name="list_webhooks"),
        Route(one, get_webhook, name="get_webhook"),
        Route(f"{one}/deliveries", list_deliveries, name="list_deliveries"),
        Route(f"{one}/deliveries/{{delivery_id}}", get_delivery, name="get_delivery"),
    ]


async def _visible(subscriptions: SubscriptionStore, request: Request) -> Kept:
    webhook: WebhookId = parse_webhook_id(request.path_params["webhook_id"])
    kept = await subscriptions.find(webhook)
    if kept is None or not may_see(principal_of(request.scope), kept.subscription):
        raise unknown_webhook()
    return kept


def _member(kept: Kept) -> str:
    return f"{kept.subscription.created_at_us:016x}.{kept.subscription.id}"


def _json(answer: msgspec.Struct) -> Response:
    return Response(_encoder.encode(answer), media_type="application/json", headers={"Cache-Control": "no-store"})
