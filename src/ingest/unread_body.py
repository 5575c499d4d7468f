"""An answer that comes before the request's body was read must still reach a client that is busy sending.

Closing a connection with unread bytes in it makes the kernel send a reset, which can overtake the answer: the client
sees a broken pipe instead of its 413. So the answer is sent whole, then what still comes is thrown away for a while
(nginx calls it a lingering close), and then the connection closes.
"""

import asyncio
from collections.abc import Awaitable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest.request_headers import headers_of

LINGER_BYTES_MAX: Final = 32 * 1024 * 1024
"""What is thrown away at most; a client that sends on after its answer came has had its chance."""

LINGER_S_MAX: Final = 5.0

LINGER_EXPECTING_S_MAX: Final = 1.0
"""Where the client asked to be told to go on, and was not: most send nothing, none has to wait (RFC 9110, 10.1.1)."""


class UnreadBodyMiddleware:
    """Ends answered requests whose body was not read to its end; the others pass untouched."""

    def __init__(
        self, app: ASGIApp, *, linger_bytes_max: int = LINGER_BYTES_MAX, linger_s_max: float = LINGER_S_MAX
    ) -> None:
        self._app = app
        self._linger_bytes_max = linger_bytes_max
        self._linger_s_max = linger_s_max

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http" or not _has_body(headers_of(scope)):
            return self._app(scope, receive, send)
        body = _Body(receive, waits_for_continue=headers_of(scope).get("expect", "").lower() == "100-continue")

        async def send_and_linger(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
                await send(message)
            elif message.get("more_body", False):
                await send(message)
            else:
                await send({**message, "more_body": True})
                await self._linger(body)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        def send_answer(message: Message) -> Awaitable[None]:
            return send_and_linger(message) if body.is_pending else send(message)

        return self._app(scope, body.receive, send_answer)

    async def _linger(self, body: "_Body") -> None:
        # The answer has begun, so that reading on sends no 100 any more.
        linger_s_max = (
            min(self._linger_s_max, LINGER_EXPECTING_S_MAX) if body.waits_for_continue else self._linger_s_max
        )
        left = self._linger_bytes_max
        try:
            async with asyncio.timeout(linger_s_max):
                while body.is_pending and left > 0:
                    left -= len((await body.receive()).get("body", b""))
        except TimeoutError:
            return


class _Body:
    """Knows whether the last byte of a request was handed over."""

    def __init__(self, receive: Receive, *, waits_for_continue: bool) -> None:
        self._receive = receive
        self.waits_for_continue = waits_for_continue
        self.is_pending = True

    async def receive(self) -> Message:
        self.waits_for_continue = False
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self.is_pending = False
        return message


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
