"""The reading side over real HTTP: the projections' routes on uvicorn, in this process, on a free port of loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.errors import Refused
from events.errors import InvalidId, LogUnavailable
from events.log import EventLog
from millstream.connection.limits import ConnectionLimits
from millstream.connection.protocol import connections
from projections.changes import ChangeTailer
from projections.cursors import Cursors
from projections.errors import InvalidCursor, InvalidQuery, TooManyStreams
from projections.feed import ChangeFeed
from projections.routes import projection_routes
from projections.views import ViewStore
from tests.waiting import wait_until

STATUS: dict[type[Exception], int] = {
    Refused: 404,
    InvalidId: 404,
    InvalidQuery: 422,
    InvalidCursor: 400,
    TooManyStreams: 503,
    LogUnavailable: 503,
}
"""Problem documents are made elsewhere; here only the kind of error counts."""


async def _answer(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": type(error).__name__}, status_code=STATUS[type(error)])


class ReadApi:
    """A running server. `tailer` counts the open streams, `begun` all that were answered."""

    def __init__(self, url: str, tailer: ChangeTailer) -> None:
        self.url = url
        self.tailer = tailer
        self.begun = 0

    def counting(self, app: ASGIApp) -> ASGIApp:
        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self.begun += (b"content-type", b"text/event-stream; charset=utf-8") in message["headers"]
                await send(message)

            await app(scope, receive, sending)

        return counted


@asynccontextmanager
async def serving(
    event_log: EventLog,
    views: ViewStore,
    feed: ChangeFeed,
    *,
    heartbeat_s: float = 15.0,
    stall_s: float = 15.0,
    streams_max: int = 100,
    send_buffer_bytes: int | None = None,
    port: int = 0,
    extra_routes: Sequence[Route] = (),
) -> AsyncIterator[ReadApi]:
    """Serves until the block is left; streams are closed as a shutdown closes them.

    `send_buffer_bytes` is what the kernel takes in advance for a reader that does not read: megabytes by default.
    """
    tailer, stop = ChangeTailer(feed, views, subscriptions_max=streams_max), asyncio.Event()
    cursors = Cursors(b"the secret of a test, long enough")
    routes = projection_routes(event_log, views, tailer, cursors, heartbeat_s=heartbeat_s, stall_s=stall_s)
    app = Starlette(routes=[*routes, *extra_routes], exception_handlers=dict.fromkeys(STATUS, _answer))
    # Named as TCP, as the product does: else asyncio leaves Nagle's algorithm on, and each answer takes 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        if send_buffer_bytes is not None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        api = ReadApi(f"http://127.0.0.1:{listening.getsockname()[1]}/api/v1", tailer)
        server = uvicorn.Server(
            uvicorn.Config(
                api.counting(app),
                http=connections(ConnectionLimits(connections_max=max(1_000, streams_max))),
                log_level="warning",
                lifespan="off",
            )
        )
        with suppress(LogUnavailable):
            await tailer.begin()
        tailing = asyncio.create_task(tailer.run(stop))
        running = asyncio.create_task(server.serve(sockets=[listening]))
        await wait_until(lambda: server.started, "the server listens")
        try:
            yield api
        finally:
            stop.set()
            await tailing
            server.should_exit = True
            await running
