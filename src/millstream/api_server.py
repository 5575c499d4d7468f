"""The API as a server process: uvicorn around the application, stopped by an event instead of by uvicorn's signals."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from millstream.app import running_app
from millstream.settings import Settings
from millstream.supervisor import listen
from projections.sse import TRANSPORT

HEADERS_BYTES_MAX = 32_768
KEEP_ALIVE_S = 15


class Connection(HttpToolsProtocol):
    """Shows event streams the transport that they write to: ASGI alone cannot cut a client off."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: {"transport": self.transport}}


class _Server(uvicorn.Server):
    """Leaves signals to the role: uvicorn would raise them again after the drain, and the exit code would not be 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_api(settings: Settings, stop: asyncio.Event, *, inherited: socket.socket | None = None) -> None:
    """Serves until `stop` is set, then lets requests end within the drain time. Raises Stop."""
    listener = inherited or listen(settings.host, settings.port)
    async with running_app(settings, stop) as app:
        config = uvicorn.Config(
            app,
            http=Connection,
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=settings.drain_s_max,
            h11_max_incomplete_event_size=HEADERS_BYTES_MAX,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        stopped.cancel()
        await serving
