"""The protocol over standard input and output, for clients that start a process. It asks a service over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.stdio import stdio_server

from millstream.client_async import AsyncHttp
from millstream.mcp.calls import Calls
from millstream.mcp.server import build_server


async def serve_stdio(http: AsyncHttp) -> None:
    """Until standard input ends. Nothing but the protocol goes to standard output."""

    @asynccontextmanager
    async def calls_of(_context: Any) -> AsyncIterator[Calls]:
        yield Calls(http)

    # Whether the service has a language model its answer tells: without one it is `no_language_model`.
    server = build_server(calls_of, has_language_model=True)
    async with http, stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())
