"""A span for each call of the API; what it leads to, in whatever process, belongs to it."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from events.trace_context import trace_parent, traced_by
from millstream.observing.requests import route_of
from millstream.observing.traces import Traces, end_request, parent_of

PATHS: Final = ("/api/", "/mcp")
"""Not the page, nor probes and scrapes: nobody looks for those in a trace."""


class TracingMiddleware:
    """Stands behind `ingest.trace_context`, which has read the client's `traceparent`; there only where traces are on.

    A span ends when the answer begins: an upload's when it is accepted, an event stream's when it is open.
    """

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self._app = app
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PATHS):
            await self._app(scope, receive, send)
            return
        span = self._traces.request(trace_parent(), method=scope["method"], path=scope["path"])
        has_begun = False

        async def noted(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start" and not has_begun:
                has_begun = True
                end_request(span, route=route_of(scope), status=message["status"])
            await send(message)

        try:
            with traced_by(parent_of(span)):
                await self._app(scope, receive, noted)
        finally:
            if not has_begun:
                end_request(span, route=route_of(scope), status=None)
