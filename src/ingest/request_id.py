"""Every request has an id: in the answer's X-Request-Id, in problem documents, and on every line of the log."""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest.request_headers import headers_of

_VALID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""Anything else could forge lines of a log or be reflected into a page."""

_KEY: Final = "request_id"
_HEADER: Final = b"x-request-id"
UNASSIGNED: Final = "unassigned"
"""Seen only where an application is put together without the middleware."""


class RequestIdMiddleware:
    """Takes the client's X-Request-Id where it is harmless, makes one otherwise, and puts it on the answer."""

    def __init__(self, app: ASGIApp, new_request_id: Callable[[], str]) -> None:
        self._app = app
        self._new_request_id = new_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_from(headers_of(scope).get("x-request-id", ""), self._new_request_id)
        scope.setdefault("state", {})[_KEY] = request_id

        def send_with_id(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                others = [one for one in message["headers"] if one[0] != _HEADER]
                message["headers"] = [*others, (_HEADER, request_id.encode())]
            return send(message)

        # `bound_contextvars` looks through all that is bound, twice.
        bound = structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            structlog.contextvars.reset_contextvars(**bound)


def request_id_from(offered: str, new_request_id: Callable[[], str]) -> str:
    """What the client offers where it is harmless, else a new one."""
    return offered if _VALID.fullmatch(offered) else new_request_id()


def request_id_of(scope: MutableMapping[str, Any]) -> str:
    """The id of the request that this scope belongs to."""
    request_id: str = scope.get("state", {}).get(_KEY, UNASSIGNED)
    return request_id
