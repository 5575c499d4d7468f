"""The API as a server process: uvicorn around the application, stopped by an event instead of by uvicorn's signals."""

import asyncio
import socket
from typing import Final

import uvicorn

from millstream.app import running_app
from millstream.connection.limits import connection_limits
from millstream.connection.protocol import connections
from millstream.quiet_server import QuietServer
from millstream.settings import Settings
from millstream.supervisor import listen

ANSWER_HEADERS: Final = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
]
"""On every answer, whoever makes it: no browser guesses its type, says where it was, or embeds it in a foreign page."""


async def serve_api(settings: Settings, stop: asyncio.Event, *, inherited: socket.socket | None = None) -> None:
    """Serves until `stop` is set, then lets requests end within the drain time. Raises Stop."""
    listener = inherited or listen(settings.host, settings.port)
    async with running_app(settings, stop) as app:
        config = uvicorn.Config(
            app,
            http=connections(connection_limits(settings)),
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            headers=ANSWER_HEADERS,
            timeout_graceful_shutdown=settings.drain_s_max,
        )
        server = QuietServer(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        stopped.cancel()
        await serving
