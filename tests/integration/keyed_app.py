"""The whole API in this process, on a real Redis and a free port, with the keys that a test makes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from millstream.app import running_app
from millstream.settings import Settings
from tests.integration.ingest_app import serving

PAPER = ("paper.txt", b"The miller dresses the stones every fortnight.", "text/plain")


class KeyedApp:
    """One API process. Requests carry the key that is given, none by default."""

    def __init__(self, port: int, client: httpx.AsyncClient, app: Starlette) -> None:
        self.port = port
        self.client = client
        self.app = app

    async def call(self, method: str, path: str, key: str | None = None, **options: Any) -> httpx.Response:
        headers = {**options.pop("headers", {}), **bearer(key)}
        return await self.client.request(method, path, headers=headers, **options)

    async def make_key(self, by: str | None = None, **asked: Any) -> str:
        """The key itself."""
        answer = await self.call("POST", "/keys", by, json={"name": "a key", "scopes": ["admin"], **asked})
        assert answer.status_code == 201, answer.text
        key: str = answer.json()["api_key"]
        return key

    async def make_knowledge_base(self, key: str | None, name: str) -> str:
        answer = await self.call("POST", "/knowledge-bases", key, json={"name": name})
        assert answer.status_code == 201, answer.text
        found: str = answer.json()["knowledge_base_id"]
        return found

    async def upload(self, key: str | None, knowledge_base: str, content: Any = PAPER) -> httpx.Response:
        return await self.call("POST", f"/knowledge-bases/{knowledge_base}/documents", key, files={"file": content})


def bearer(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def id_of(key: str) -> str:
    return key.split("_")[1]


@asynccontextmanager
async def keyed_apps(url: str, data_dir: Path, count: int = 1, **settings: Any) -> AsyncIterator[list[KeyedApp]]:
    """So many API processes of one installation."""
    stop = asyncio.Event()
    made = Settings(redis_url=url, data_dir=str(data_dir), embedding="hash", partitions=2, **settings)
    async with AsyncExitStack() as stack:
        apps = []
        for _ in range(count):
            app = await stack.enter_async_context(running_app(made, stop))
            port = await stack.enter_async_context(serving(app))
            base_url = f"http://127.0.0.1:{port}/api/v1"
            client = httpx.AsyncClient(base_url=base_url, timeout=30, trust_env=False)
            apps.append(KeyedApp(port, await stack.enter_async_context(client), app))
        try:
            yield apps
        finally:
            stop.set()
