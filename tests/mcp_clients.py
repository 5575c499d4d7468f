"""Sessions of the Model Context Protocol by its own client library, which is imported late: it is slow."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.servers.service_process import environment_with


@asynccontextmanager
async def over_http(url: str, key: str | None = None, mode: str = "auto", **headers: str) -> AsyncIterator[Any]:
    """A session at `url`; `mode` "legacy" begins with the handshake of protocols before 2026."""
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    shown = headers | ({} if key is None else {"Authorization": f"Bearer {key}"})
    async with (
        httpx2.AsyncClient(headers=shown, timeout=60, trust_env=False) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


@asynccontextmanager
async def over_stdio(
    url: str, key: str | None = None, mode: str = "auto", variables: Mapping[str, str] | None = None
) -> AsyncIterator[Any]:
    """A session with a process of ours that speaks to `url`."""
    from mcp import Client
    from mcp.client.stdio import StdioServerParameters

    env = environment_with({**({} if key is None else {"MILLSTREAM_API_KEY": key}), **(variables or {})})
    started = StdioServerParameters(command=sys.executable, args=["-m", "millstream", "mcp", "--url", url], env=env)
    async with Client(started, mode=mode) as client:
        yield client


def words_of(result: Any) -> str:
    """What a model reads of a tool's answer."""
    (content,) = result.content
    assert content.type == "text"
    return str(content.text)
