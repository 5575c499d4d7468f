"""The application: middleware, every package's routes, health, and what they all work with."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ingest.answers import exception_handlers
from ingest.request_id import RequestIdMiddleware
from ingest.routes import ingest_routes
from ingest.services import EmbeddingModel, IngestServices
from ingest.settings import IngestSettings
from ingest.unread_body import UnreadBodyMiddleware
from knowledge.retriever import Retriever
from knowledge.routes import search_routes
from knowledge.search import SearchScope
from millstream.bootstrap import queries_of, search_scope, views_of
from millstream.guard import Guard
from millstream.methods import refusals
from millstream.problems import PROJECTION_PROBLEMS
from millstream.settings import Settings
from millstream.stores import Stores, clock_us, open_stores
from millstream.warming import in_background, warm_api
from projections.changes import ChangeTailer
from projections.cursors import Cursors
from projections.dead_letters import every_dead_letter
from projections.queries import Queries
from projections.redis_feed import RedisFeed
from projections.routes import projection_routes

ANONYMOUS = "anonymous"
"""The actor of every request as long as there are no keys."""

DEPENDENCY_S_MAX = 2.0
"""How long a dependency may take to answer before the service calls itself not ready."""


@asynccontextmanager
async def running_app(settings: Settings, stop: asyncio.Event) -> AsyncIterator[Starlette]:
    """The application with everything behind it connected; streams end when `stop` is set. Raises Stop."""
    async with open_stores(settings) as stores:
        tailer = ChangeTailer(
            RedisFeed(stores.clients.commands, stores.clients.blocking, stores.keys), views_of(stores)
        )
        tailing = asyncio.create_task(tailer.run(stop))
        try:
            can_search = asyncio.Event()
            async with in_background(warm_api(stores, can_search)):
                yield build_app(stores, tailer, can_search)
        finally:
            stop.set()
            await tailing


def build_app(stores: Stores, tailer: ChangeTailer, can_search: asyncio.Event) -> Starlette:
    """Routes and middleware over open stores; searches wait for `can_search`."""
    settings = stores.settings
    app = Starlette(
        routes=_routes(stores, tailer, can_search),
        middleware=[
            Middleware(RequestIdMiddleware, new_request_id=stores.ids.unique),
            Middleware(UnreadBodyMiddleware),
            Middleware(Guard, allowed_hosts=[settings.host, *settings.allowed_hosts.split(",")]),
        ],
        exception_handlers=exception_handlers(PROJECTION_PROBLEMS),
    )
    # A redirect is no problem document, and an upload would be sent twice.
    app.router.redirect_slashes = False
    return app


def _routes(stores: Stores, tailer: ChangeTailer, can_search: asyncio.Event) -> list[BaseRoute]:
    queries = queries_of(stores)

    async def resolve_scope(_request: Request, knowledge_base_id: str) -> SearchScope:
        await can_search.wait()
        return await search_scope(queries, knowledge_base_id)

    routes = [
        *_health_routes(stores),
        *ingest_routes(_ingest_services(stores, queries), partial(every_dead_letter, queries, views_of(stores))),
        *projection_routes(stores.log, views_of(stores), tailer, Cursors(stores.secret)),
        *search_routes(Retriever(stores.index, stores.embeddings.of), resolve_scope),
    ]
    return [*routes, *refusals(routes)]


def _ingest_services(stores: Stores, queries: Queries) -> IngestServices:
    settings = stores.settings
    return IngestServices(
        log=stores.log,
        blobs=stores.blobs,
        ids=stores.ids,
        clock_us=clock_us,
        actor_of=lambda _request: ANONYMOUS,
        known_embedding=lambda name: _known_embedding(stores, name),
        status_of=queries.knowledge_base,
        settings=IngestSettings(
            upload_bytes_max=settings.upload_bytes_max,
            request_bytes_max=settings.request_bytes_max,
            files_max=settings.files_max,
        ),
    )


def _known_embedding(stores: Stores, name: str) -> EmbeddingModel | None:
    full_name = stores.embeddings.full_name(name)
    dimensions = stores.embeddings.dimensions_of(full_name)
    return None if dimensions is None else EmbeddingModel(full_name, dimensions)


class Dependency(msgspec.Struct, frozen=True):
    """One thing that the service stands on, and how long it took to answer."""

    name: str
    is_ready: bool
    took_ms: float
    detail: str = ""


class Readiness(msgspec.Struct, frozen=True):
    """The answer of /readyz."""

    is_ready: bool
    dependencies: tuple[Dependency, ...]


def _health_routes(stores: Stores) -> list[Route]:
    async def healthz(_request: Request) -> Response:
        return _json({"status": "alive"}, 200)

    async def readyz(_request: Request) -> Response:
        async def ping() -> None:
            await stores.log.head(0)

        async def look() -> None:
            await stores.blobs.stat("readyz")

        found = await asyncio.gather(_dependency("redis", ping), _dependency("blobs", look))
        readiness = Readiness(all(one.is_ready for one in found), tuple(found))
        return _json(readiness, 200 if readiness.is_ready else 503)

    return [Route("/healthz", healthz, name="healthz"), Route("/readyz", readyz, name="readyz")]


async def _dependency(name: str, check: Callable[[], Awaitable[None]]) -> Dependency:
    started_s = time.perf_counter()

    def took_ms() -> float:
        return round((time.perf_counter() - started_s) * 1_000, 1)

    try:
        await asyncio.wait_for(check(), DEPENDENCY_S_MAX)
    except TimeoutError:
        return Dependency(name, False, took_ms(), f"no answer within {DEPENDENCY_S_MAX:.0f} s")
    except Exception as error:
        return Dependency(name, False, took_ms(), str(error))
    return Dependency(name, True, took_ms())


def _json(value: object, status: int) -> Response:
    return Response(
        msgspec.json.encode(value),
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
