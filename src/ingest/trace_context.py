"""A request that belongs to a trace hands it to the events that it leads to."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send

from events.trace_context import parse_trace_parent, traced_by
from ingest.request_headers import headers_of


class TraceContextMiddleware:
    """Takes the client's `traceparent` where it has the form that it must have."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        offered = headers_of(scope).get("traceparent", "") if scope["type"] == "http" else ""
        return self._traced(offered, scope, receive, send) if offered else self._app(scope, receive, send)

    async def _traced(self, offered: str, scope: Scope, receive: Receive, send: Send) -> None:
        with traced_by(parse_trace_parent(offered)):
            await self._app(scope, receive, send)
