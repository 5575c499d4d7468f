"""One call of the application that stands beside this adapter, in this process, its answer read as it comes.

httpx's ASGI transport reads an answer to its end before it gives it back; an event stream has none.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from starlette.types import ASGIApp, Message, Scope

from projections.sse import TRANSPORT, TRANSPORT_BYTES_MAX

HOST: Final = "localhost"
"""What the guard of the HTTP side takes for this machine: no browser sends what comes in here."""


class InnerCall(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked; `path` is percent-encoded where it has to be, `client` is address and port of who asks."""

    method: str
    path: str
    headers: Mapping[str, str]
    client: tuple[str, int]

    def scope(self, app: ASGIApp, transport: "_Transport") -> Scope:
        headers = {"host": HOST, **self.headers}
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
            "server": (HOST, 0),
            "client": self.client,
            "state": {},
            "app": app,
            "extensions": {TRANSPORT: {"transport": transport}},
        }


class InnerAnswer:
    """The answer's head, and its body piece by piece; it may be read once."""

    def __init__(self, status: int, headers: Mapping[str, str], body: AsyncIterator[bytes]) -> None:
        self.status = status
        self.headers = headers
        self.pieces = body

    async def content(self) -> bytes:
        """The whole body."""
        return b"".join([piece async for piece in self.pieces])


@asynccontextmanager
async def inner_answer(
    app: ASGIApp, call: InnerCall, body: AsyncIterator[bytes] | None = None
) -> AsyncIterator[InnerAnswer]:
    """On leaving, the call is broken off as if its client had gone. Raises what the application raises before it
    answers."""
    exchange = _Exchange(body)
    answering = asyncio.create_task(exchange.answer(app, call.scope(app, exchange.transport)))
    try:
        head = await exchange.next_message()
        if head is None:
            await answering
            raise RuntimeError(f"{call.method} {call.path} was not answered")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in head["headers"]}
        yield InnerAnswer(head["status"], headers, exchange.body())
    finally:
        exchange.leave()
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)


class _Transport(asyncio.Transport):
    """What an event stream wants of a connection: to be cut off where its reader takes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.gone = asyncio.Event()

    def get_extra_info(self, _name: str, default: Any = None) -> Any:
        """There is no socket."""
        return default

    def abort(self) -> None:
        self.gone.set()

    def is_closing(self) -> bool:
        return self.gone.is_set()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is buffered: a piece is sent when the one before it was taken."""

    def get_write_buffer_size(self) -> int:
        """Never so little that a piece could be sent without waiting: the time of each is measured."""
        return TRANSPORT_BYTES_MAX


class _Exchange:
    def __init__(self, body: AsyncIterator[bytes] | None) -> None:
        self._asked = body
        self._answered: asyncio.Queue[Message | None] = asyncio.Queue(maxsize=1)
        self._has_left = False
        self.transport = _Transport()

    async def answer(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._send)
        finally:
            await self._send(None)

    def leave(self) -> None:
        """Whoever asked takes nothing more."""
        self._has_left = True
        self.transport.abort()

    async def next_message(self) -> Message | None:
        """None behind the last one."""
        return await self._answered.get()

    async def body(self) -> AsyncIterator[bytes]:
        while (message := await self.next_message()) is not None:
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body", False):
                return

    async def _send(self, message: Message | None) -> None:
        # Nobody makes room any more: the application would end never, and with it the call of who left.
        if not self._has_left:
            await self._answered.put(message)

    async def _receive(self) -> Message:
        if self._asked is not None:
            async for piece in self._asked:
                return _request(piece, more_body=True)
            self._asked = None
            return _request(b"", more_body=False)
        await self.transport.gone.wait()
        return {"type": "http.disconnect"}


def _request(piece: bytes, **more: Any) -> Message:
    return {"type": "http.request", "body": piece, **more}
