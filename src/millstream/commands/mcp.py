"""`millstream mcp`: what assistants start to search and ingest."""

import asyncio

import click

from millstream.commands.output import server_url


@click.command()
@server_url
def mcp(url: str) -> None:
    """Serve the Model Context Protocol over standard input and output, for an assistant that starts this command.

    Tools search, read, ingest and answer in the service at --url; `POST /mcp` there serves the same over HTTP.
    """
    from millstream.client_async import async_http
    from millstream.settings import load_settings
    from millstream.telemetry import configure_logging

    configure_logging(load_settings().settings, role="mcp")
    http = async_http(url)
    # Behind what may be wrong with settings and key: the protocol's library takes seconds to import.
    from millstream.mcp.over_stdio import serve_stdio

    asyncio.run(serve_stdio(http))
