"""The application: middleware, every package's routes, health, and what they all work with."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Route

from events.errors import LogUnavailable
from ingest.answers import exception_handlers
from ingest.body import read_json_bytes
from ingest.redis_replies import RedisReplies
from ingest.request_id import RequestIdMiddleware
from ingest.routes import ingest_routes
from ingest.services import IngestServices
from ingest.settings import IngestSettings
from ingest.trace_context import TraceContextMiddleware
from ingest.tus_version import TusVersionMiddleware
from ingest.unread_body import UnreadBodyMiddleware
from ingest.webhook_routes import webhook_routes
from knowledge.retriever import Retriever
from knowledge.routes import search_routes
from knowledge.routes_answers import answer_routes
from knowledge.search import SearchScope
from millstream.admission.admit import admitted_routes
from millstream.admission.bounds import own_or_unknown
from millstream.admission.entrance import Entrance, door_of, open_entrance
from millstream.admission.key_routes import key_routes
from millstream.answering import answerer_over
from millstream.archiving import archive_settings
from millstream.beside import grpc_beside
from millstream.bootstrap import chunker_for, lists_of, provider_gate, queries_of, search_scope
from millstream.embedding_misfits import tell_of_misfits
from millstream.guard import Guard
from millstream.health import health_routes
from millstream.ingesting import ingest_services, webhook_services
from millstream.loss_watch import watch_for_losses
from millstream.mcp.over_http import mcp_routes
from millstream.methods import with_refusals
from millstream.narrowed_routes import NarrowedRoutes
from millstream.notifying import deliveries_of, subscriptions_of
from millstream.observing.requests import MeasuringMiddleware, named_routes
from millstream.observing.scrape import Scrape, metrics_route, serving_metrics
from millstream.observing.traced_requests import TracingMiddleware
from millstream.observing.traces import Traces, opened_traces
from millstream.observing.wiring import api_scrape, standing_of
from millstream.observing.work import MeasuredAttempts
from millstream.openapi.operations import OPERATIONS
from millstream.openapi.page import docs_routes
from millstream.openapi.routes import contract_routes
from millstream.openapi.strictness import strict
from millstream.page import page_routes
from millstream.problems import PROJECTION_PROBLEMS
from millstream.process_name import process_name
from millstream.reading.changes import changes_over
from millstream.reading.preview import Previews
from millstream.reading.routes import reading_routes
from millstream.reading.routes_changes import changing_routes
from millstream.reading.routes_preview import preview_routes
from millstream.reading.stored import StoredDocuments
from millstream.repeats import repeatable
from millstream.reworking.comparison import Comparison
from millstream.reworking.reindex import Reindexing
from millstream.reworking.reprocess import Reprocessing
from millstream.reworking.routes import reworking_routes
from millstream.settings import Settings
from millstream.stores import Stores, clock_us, open_stores, tell_at_start, views_of
from millstream.warming import in_background, until_searchable, warm_api
from processors.gated_queries import GatedQueries
from processors.provider import ProviderGate
from projections.archive_overview import ArchiveAtAGlance
from projections.changes import ChangeTailer
from projections.cursors import Cursors
from projections.dead_letters import every_dead_letter
from projections.queries import Queries
from projections.redis_feed import RedisFeed
from projections.routes import projection_routes
from projections.routes_archive import archive_routes
from projections.routes_events import event_feed_routes
from projections.routes_system import system_routes
from projections.routes_webhooks import webhook_reading_routes
from projections.streamed import StreamedEvents
from projections.webhook_flow import WebhookCounts


@asynccontextmanager
async def running_app(settings: Settings, stop: asyncio.Event) -> AsyncIterator[Starlette]:
    """The application with everything behind it connected; streams end when `stop` is set. Raises Stop."""
    async with open_stores(settings) as stores:
        await tell_at_start(stores)
        await stores.embeddings.check()
        tailer = ChangeTailer(
            RedisFeed(stores.clients.commands, stores.clients.blocking, stores.keys), views_of(stores)
        )
        with suppress(LogUnavailable):
            # Before anybody watches. Where Redis fails just now, `run` waits for it.
            await tailer.begin()
        tailing = asyncio.create_task(tailer.run(stop))
        name = process_name("api")
        scrape = api_scrape(stores, tailer, process=name)
        try:
            can_search = asyncio.Event()
            async with (
                open_entrance(stores, queries_of(stores), stop) as entrance,
                in_background(warm_api(stores, can_search)),
                in_background(tell_of_misfits(lists_of(stores), stores.embeddings)),
                in_background(watch_for_losses(stores.seen, stores.log, stores.epochs, stop)),
                opened_traces(settings, role="api", process=name) as traces,
                serving_metrics(settings, scrape),
            ):
                app = build_app(stores, tailer, can_search, entrance, scrape, traces)
                observer = MeasuredAttempts(stores.figures, traces)
                async with grpc_beside(app, stores, entrance.admission, observer, stop):
                    yield app
        finally:
            stop.set()
            await tailing


def build_app(
    stores: Stores,
    tailer: ChangeTailer,
    can_search: asyncio.Event,
    entrance: Entrance,
    scrape: Scrape,
    traces: Traces | None = None,
) -> Starlette:
    """Routes and middleware over open stores; searches wait a while for `can_search`. No route is reached past
    `entrance`."""
    settings = stores.settings
    routes = strict(api_routes(stores, tailer, can_search, entrance, scrape, traces), OPERATIONS)
    app = Starlette(
        routes=with_refusals(named_routes(admitted_routes(routes, entrance.admission))),
        middleware=[
            Middleware(MeasuringMiddleware, figures=stores.figures),
            Middleware(TraceContextMiddleware),
            *([] if traces is None else [Middleware(TracingMiddleware, traces=traces)]),
            Middleware(RequestIdMiddleware, new_request_id=stores.ids.unique),
            Middleware(TusVersionMiddleware),
            Middleware(UnreadBodyMiddleware),
            Middleware(Guard, allowed_hosts=[settings.host, *settings.allowed_hosts.split(",")]),
        ],
        exception_handlers=exception_handlers(PROJECTION_PROBLEMS),
    )
    # A redirect is no problem document, and an upload would be sent twice.
    app.router.redirect_slashes = False
    app.router.middleware_stack = NarrowedRoutes(app.router)  # type: ignore[assignment]  # inferred narrower than awaited
    return app


def api_routes(
    stores: Stores,
    tailer: ChangeTailer,
    can_search: asyncio.Event,
    entrance: Entrance,
    scrape: Scrape,
    traces: Traces | None = None,
) -> list[Route]:
    """Every route that is served. Each has an operation in `millstream.openapi`, which says how to add one, and what
    it asks of a key in `millstream.admission.route_access`."""
    queries, searching = queries_of(stores), _searching_in(stores, can_search)
    ingesting = ingest_services(stores, queries, entrance.ring.limits_of)
    served = [
        *health_routes(stores, door_of(stores.settings, entrance.ring)),
        *ingest_routes(ingesting, partial(every_dead_letter, queries, views_of(stores))),
        *projection_routes(stores.log, views_of(stores), tailer, Cursors(stores.secret)),
        *_document_routes(stores, ingesting, queries, searching, traces),
        *event_feed_routes(stores.log, views_of(stores), Cursors(stores.secret)),
        *_operating_routes(stores, scrape),
        *key_routes(entrance.book, entrance.ring, queries),
        *_webhook_routes(stores),
        *_search_routes(stores, queries, searching),
    ]
    settings = IngestSettings()
    replies = RedisReplies(stores.clients.commands, stores.keys)
    routes = repeatable(served, replies, stores.log, new_token=stores.ids.unique, settings=settings)
    return [
        *routes,
        *contract_routes(routes, keys_needed=lambda: not entrance.ring.is_open),
        *docs_routes(),
        *page_routes(),
        *mcp_routes(has_language_model=bool(stores.settings.llm_model)),
    ]


class _Searching(NamedTuple):
    """What searches: the gate to its embedding provider, and who waits until the index can be asked."""

    gate: ProviderGate
    retriever: Retriever
    until_ready: Callable[[], Awaitable[None]]


def _searching_in(stores: Stores, can_search: asyncio.Event) -> _Searching:
    wait_s, gate = stores.settings.search_wait_s_max, provider_gate(stores)
    gated = GatedQueries(stores.embeddings.by, gate, query_s_max=stores.settings.embedding_query_s_max)
    retriever = Retriever(stores.index, gated.by, reranker=stores.models.reranker, embed_s_max=wait_s)
    return _Searching(gate, retriever, partial(until_searchable, can_search, wait_s))


def _document_routes(
    stores: Stores, ingesting: IngestServices, queries: Queries, searching: _Searching, traces: Traces | None
) -> Iterator[Route]:
    """What is stored of documents: read, changed, and processed again."""
    embedding, lists = stores.embeddings.by, lists_of(stores)
    stored = StoredDocuments(stores.log, stores.blobs)
    comparison = Comparison(stores.log, stored, stores.index, chunker_for, embedding, searching.until_ready)
    yield from reading_routes(stored, Cursors(stores.secret))
    yield from reworking_routes(Reprocessing(ingesting, lists, comparison.of), Reindexing(ingesting, lists, queries))
    yield from preview_routes(Previews(ingesting, stored, chunker_for, embedding, searching.gate))
    observer = MeasuredAttempts(stores.figures, traces)
    yield from changing_routes(changes_over(stores, ingesting, stored, searching.gate, observer))


def _operating_routes(stores: Stores, scrape: Scrape) -> Iterator[Route]:
    """What operators look at: the installation as a whole, its metrics, its archive."""
    webhooks = WebhookCounts(subscriptions_of(stores), deliveries_of(stores))
    yield from system_routes(
        stores.log,
        views_of(stores),
        stores.inbox,
        clock_us=clock_us,
        webhooks=webhooks,
        standing=standing_of(stores),
    )
    yield metrics_route(scrape)
    is_kept = stores.settings.archive
    glance = ArchiveAtAGlance(stores.archive, archive_settings(stores.settings), is_kept=is_kept)
    yield from archive_routes(stores.archive, glance)


def _webhook_routes(stores: Stores) -> Iterator[Route]:
    subscriptions, deliveries = subscriptions_of(stores), deliveries_of(stores)
    yield from webhook_routes(webhook_services(stores))
    yield from webhook_reading_routes(subscriptions, deliveries, Cursors(stores.secret), clock_us=clock_us)


def _search_routes(stores: Stores, queries: Queries, searching: _Searching) -> Iterator[Route]:
    async def resolve_scope(request: Request, knowledge_base_id: str) -> SearchScope:
        await searching.until_ready()
        return await search_scope(queries, own_or_unknown(request.scope, knowledge_base_id))

    answerer = answerer_over(searching.retriever, stores)
    yield from search_routes(searching.retriever, resolve_scope, read_json_bytes)
    yield from answer_routes(answerer, resolve_scope, read_json_bytes, StreamedEvents)
