"""The reading side with everything behind it on a real Redis, and its event streams as a test reads them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import msgspec

from events.keys import Keys
from events.redis_clients import Clients
from events.redis_log import RedisLog
from projections.projector import run_projectors
from projections.redis_feed import RedisFeed
from projections.redis_views import RedisViews
from tests.projecting import project
from tests.servers.read_api import ReadApi, serving
from tests.workshop import Workshop

PARTITIONS = 2


class Event(msgspec.Struct, frozen=True):
    """One server-sent event; a comment has the name `comment`."""

    name: str
    data: Any
    id: str | None


class World:
    def __init__(self, clients: Clients) -> None:
        self.keys = Keys(PARTITIONS)
        self.log = RedisLog(clients.commands, clients.blocking, self.keys)
        self.views = RedisViews(clients.commands, self.keys)
        self.feed = RedisFeed(clients.commands, clients.blocking, self.keys)
        self.workshop = Workshop(self.log)

    def serving(self, **settings: Any) -> AbstractAsyncContextManager[ReadApi]:
        return serving(self.log, self.views, self.feed, **settings)

    @asynccontextmanager
    async def projecting(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        running = asyncio.create_task(run_projectors(self.log, self.views, holder="test", stop=stop))
        try:
            yield
        finally:
            stop.set()
            await running

    async def project(self) -> None:
        await project(self.log, self.views)


@asynccontextmanager
async def stream(
    api: ReadApi, path: str, *, headers: dict[str, str] | None = None
) -> AsyncIterator[tuple[httpx.Response, AsyncIterator[Event]]]:
    async with (
        httpx.AsyncClient(timeout=20) as client,
        client.stream("GET", api.url + path, headers=headers) as response,
    ):
        yield response, _events(response)


async def _events(response: httpx.Response) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line.startswith(":"):
            yield Event("comment", line, None)
        elif line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            if "data" in fields:
                yield Event(fields.get("event", "message"), msgspec.json.decode(fields["data"]), fields.get("id"))
            fields = {}


async def until(events: AsyncIterator[Event], is_it: Callable[[Event], bool]) -> list[Event]:
    """All events up to the one that is meant."""
    seen: list[Event] = []
    async with asyncio.timeout(20):
        async for event in events:
            seen.append(event)
            if is_it(event):
                return seen
    raise AssertionError(f"the stream ended before: {seen}")


def is_end(event: Event) -> bool:
    return event.name == "end"


def is_state(event: Event) -> bool:
    """What is watched itself, the last of what a change tells."""
    return event.name == "status" and event.id is not None
