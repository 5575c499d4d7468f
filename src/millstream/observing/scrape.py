"""What a scrape is answered, and where: `/metrics` of the API, and of every role on a port of its own."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from millstream.observing.exposition import CONTENT_TYPE, exposed
from millstream.observing.process import look_at_process
from millstream.observing.registry import Registry
from millstream.quiet_server import QuietServer
from millstream.settings import Settings
from millstream.supervisor import listen

KEPT_S: Final = 1.0
"""Figures of the installation are read from Redis at most once a second, however many ask."""

Look = Callable[[], Awaitable[Registry]]


class Scrape:
    """One a process. `look` reads what lies outside of it; `before` puts gauges that nobody counts."""

    def __init__(
        self,
        figures: Registry,
        *,
        role: str,
        process: str,
        look: Look | None = None,
        before: Callable[[Registry], None] = lambda _figures: None,
    ) -> None:
        self._figures = figures
        self._role = role
        self._process = process
        self._look = look
        self._before = before
        self._lock = asyncio.Lock()
        self._looked: tuple[float, Registry] | None = None

    async def __call__(self) -> bytes:
        """The text, of now."""
        look_at_process(self._figures, role=self._role, name=self._process)
        self._before(self._figures)
        beyond = () if self._look is None else (await self._fresh(self._look),)
        return exposed(self._figures, *beyond)

    async def _fresh(self, look: Look) -> Registry:
        async with self._lock:
            now_s = time.monotonic()
            if self._looked is None or now_s - self._looked[0] > KEPT_S:
                self._looked = now_s, await look()
            return self._looked[1]


def metrics_route(scrape: Callable[[], Awaitable[bytes]]) -> Route:
    """`/metrics`."""

    async def metrics(_request: Request) -> Response:
        return Response(await scrape(), headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})

    return Route("/metrics", metrics, name="metrics")


@asynccontextmanager
async def serving_metrics(settings: Settings, scrape: Callable[[], Awaitable[bytes]]) -> AsyncIterator[None]:
    """Serves `/metrics` on the port of the settings meanwhile, without a key; nothing where that is 0. Raises Stop."""
    if settings.metrics_port == 0:
        yield
        return
    listener = listen(settings.metrics_host, settings.metrics_port)
    config = uvicorn.Config(
        Starlette(routes=[metrics_route(scrape)]),
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=1,
        limit_concurrency=32,
    )
    server = QuietServer(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    structlog.get_logger().info("metrics_served", address=f"{settings.metrics_host}:{settings.metrics_port}")
    try:
        yield
    finally:
        server.should_exit = True
        await serving
