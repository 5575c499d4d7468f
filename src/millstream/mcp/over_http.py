"""`POST /mcp`: the protocol over streamable HTTP in the API process, one message a request.

Nothing is kept between requests, so any API process answers any of them, and a restart ends no session. What a tool
does it asks of this very application, in this process, with the caller's key: admission, limits, idempotency and
problems are those of the API. `mcp` is imported with the first request; it takes a second, and many never use it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, Final

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from ingest.body import read_json_bytes
from ingest.request_id import request_id_of
from ingest.settings import IngestSettings
from millstream.client_async import inner_http
from millstream.mcp.calls import Calls

PATH: Final = "/mcp"

BODY_BYTES_MAX: Final = IngestSettings().import_bytes_max
"""The largest message is a text to ingest; two of them at a time are as much memory as two imports."""

_PASSED_ON: Final = (b"authorization", b"host")


def mcp_routes(*, has_language_model: bool) -> list[Route]:
    """No part of the described API: the protocol describes itself, by `tools/list`."""
    return [Route(PATH, _Mcp(has_language_model), methods=["POST"], name="mcp", include_in_schema=False)]


class _Mcp:
    """An ASGI application."""

    def __init__(self, has_language_model: bool) -> None:
        self._has_language_model = has_language_model
        self._loading = asyncio.Lock()
        self._server: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_json_bytes(Request(scope, receive), BODY_BYTES_MAX)
        await self._load()
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        # Host and Origin were judged in front of all routes (millstream.guard).
        manager = StreamableHTTPSessionManager(self._server, stateless=True, max_request_body_size=BODY_BYTES_MAX)
        async with manager.run():
            await manager.handle_request(scope, _given_again(body, receive), send)

    async def _load(self) -> None:
        async with self._loading:
            if self._server is None:
                made = await asyncio.to_thread(import_module, "millstream.mcp.server")
                self._server = made.build_server(_calls_of, has_language_model=self._has_language_model)


@asynccontextmanager
async def _calls_of(context: Any) -> AsyncIterator[Calls]:
    """To the application that the message came to, as its sender."""
    scope = context.request.scope
    headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _PASSED_ON}
    url = f"http://{headers.pop('host')}"
    client = tuple(scope.get("client") or ("unknown", 0))
    async with inner_http(scope["app"], url, {**headers, "X-Request-Id": request_id_of(scope)}, client) as http:
        yield Calls(http)


def _given_again(body: bytes, receive: Receive) -> Receive:
    """The body that was read, then what comes behind it."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return messages.pop() if messages else await receive()

    return next_message
