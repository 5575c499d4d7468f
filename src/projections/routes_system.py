"""HTTP of the flow of the mill: GET /system."""

from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from events.inbox import Inbox
from events.log import EventLog
from projections.parameters import Parameters
from projections.standing import AskStanding
from projections.system import MINUTES_DEFAULT, MINUTES_MAX, System
from projections.views import ViewStore
from projections.webhook_flow import AskWebhooks


def system_routes(
    event_log: EventLog,
    views: ViewStore,
    inbox: Inbox,
    *,
    clock_us: Callable[[], int],
    webhooks: AskWebhooks | None = None,
    standing: AskStanding | None = None,
) -> list[Route]:
    """Raises InvalidQuery and LogUnavailable."""
    system = System(event_log, views, inbox, clock_us=clock_us, webhooks=webhooks, standing=standing)

    async def get_system(request: Request) -> Response:
        asked = Parameters(request.query_params.multi_items(), known=frozenset({"minutes"}))
        flow = await system.flow(asked.integer("minutes", 1, MINUTES_MAX, MINUTES_DEFAULT))
        return Response(msgspec.json.encode(flow), media_type="application/json", headers={"Cache-Control": "no-store"})

    return [Route("/api/v1/system", get_system, name="get_system")]
