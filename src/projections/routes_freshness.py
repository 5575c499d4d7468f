"""Headers that say how far behind the log an answer of the views may be."""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from events.ids import partition_of
from projections.freshness import Freshness

LAG_HEADER: Final = "Millstream-Lag-Events"
"""Events that the views do not show yet: of the partition of what was asked for, or of all where it may lie in any."""

AS_OF_HEADER: Final = "Millstream-As-Of"
"""The number of the last event that the views show, where one partition was asked."""

Endpoint = Callable[[Request], Awaitable[Response]]


def dated(route: Route, freshness: Freshness) -> Route:
    """The route with both headers in its answers. What it raises stays without: it tells of no view."""
    endpoint: Endpoint = route.endpoint

    async def answer(request: Request) -> Response:
        response = await endpoint(request)
        lags = await freshness.lags(_partitions(request, freshness.partitions))
        response.headers[LAG_HEADER] = str(sum(lag.events for lag in lags))
        if len(lags) == 1:
            response.headers[AS_OF_HEADER] = str(lags[0].as_of)
        return response

    return Route(route.path, answer, methods=sorted(route.methods or {"GET"}), name=route.name)


def _partitions(request: Request, count: int) -> list[int]:
    """Ids in the path were checked by the endpoint, and so was the one in the query."""
    names = [*request.path_params.values(), *request.query_params.getlist("knowledge_base")]
    return [partition_of(names[0])] if names else list(range(count))
