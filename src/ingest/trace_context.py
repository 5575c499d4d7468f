"""A request that belongs to a trace hands it to the events that it leads to."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from events.trace_context import parse_trace_parent, traced_by


class TraceContextMiddleware:
    """Takes the client's `traceparent` where it has the form that it must have."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        offered = Headers(scope=scope).get("traceparent", "") if scope["type"] == "http" else ""
        if not offered:
            await self._app(scope, receive, send)
            return
        with traced_by(parse_trace_parent(offered)):
            await self._app(scope, receive, send)
