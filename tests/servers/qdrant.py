"""Fixtures: a Qdrant server, where one is named, and a name for what a test writes there."""

import asyncio
import os
import secrets
from collections.abc import Iterator

import pytest

from tests.servers.qdrant_server import URL, client_of


@pytest.fixture
def qdrant_url() -> str:
    """http://host:6333 of a server whose collections `test-…` may come and go."""
    url = os.environ.get(URL)
    if not url:
        pytest.skip(f"no Qdrant server: {URL} names none")
    return url


@pytest.fixture
def qdrant_collection(qdrant_url: str) -> Iterator[str]:
    """A name of this test alone; what begins with it is removed behind it."""
    name = f"test-{secrets.token_hex(6)}"
    yield name
    asyncio.run(_remove(qdrant_url, f"{name}-"))


async def _remove(url: str, beginning: str) -> None:
    client = client_of(url)
    for collection in (await client.get_collections()).collections:
        if collection.name.startswith(beginning):
            await client.delete_collection(collection.name)
    await client.close()
