"""HTTP of the reading side: tasks, documents, knowledge bases, their histories and streams.

Errors leave as exceptions (Refused, InvalidId, InvalidQuery, InvalidCursor, TooManyStreams, LogUnavailable); problem
documents are made by whoever mounts the routes.
"""

import asyncio
from functools import partial
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.access import Bound, principal_of
from domain.dead_letters import DeadLetterQuery
from domain.status import DocumentPhase, TaskPhase
from events.ids import parse_document_id, parse_knowledge_base_id, parse_task_id
from events.log import EventLog
from events.steps import Step
from projections.changes import ChangeTailer
from projections.cursors import Cursors
from projections.document_filter import METADATA_FILTERS_MAX, DocumentFilter
from projections.everything import WatchedEverything
from projections.freshness import Freshness
from projections.lists import Lists
from projections.long_poll import Until, told_within
from projections.parameters import Parameters
from projections.queries import Queries
from projections.routes_freshness import dated
from projections.sse import EventStream
from projections.subjects import WatchedKnowledgeBase, WatchedTask
from projections.task_history import TaskHistory
from projections.views import ViewStore
from projections.watching import HEARTBEAT_S, STALL_S, Watch

API: Final = "/api/v1"
NOTHING: Final = frozenset[str]()
PAGED: Final = frozenset({"limit", "cursor"})
METADATA_PREFIX: Final = "metadata."
RESUMED: Final = frozenset({"last_event_id"})

_encoder = msgspec.json.Encoder()


class Services(msgspec.Struct, frozen=True):
    """What the routes work with."""

    lists: Lists
    history: TaskHistory
    watch: Watch


def projection_routes(
    event_log: EventLog,
    views: ViewStore,
    tailer: ChangeTailer,
    cursors: Cursors,
    *,
    heartbeat_s: float = HEARTBEAT_S,
    stall_s: float = STALL_S,
) -> list[Route]:
    """Every route that only reads views and histories. `tailer` is run, and stopped, by whoever mounts them."""
    queries = Queries(event_log, views)
    services = Services(
        lists=Lists(event_log, views, queries, cursors),
        history=TaskHistory(event_log, queries, cursors),
        watch=Watch(queries, views, tailer, heartbeat_s, stall_s),
    )
    freshness = Freshness(event_log, views)
    routes = [
        *_task_routes(services),
        *_knowledge_base_routes(services),
        *_dead_letter_routes(services),
        _stream_route(services),
    ]
    return [route if route.name.startswith("stream_") else dated(route, freshness) for route in routes]


def _task_routes(services: Services) -> list[Route]:
    lists, watch = services.lists, services.watch

    async def list_tasks(request: Request) -> Response:
        asked = _parameters(request, PAGED | {"knowledge_base", "status"})
        knowledge_base = asked.text("knowledge_base")
        listing = await lists.tasks(
            knowledge_base=None if knowledge_base is None else parse_knowledge_base_id(knowledge_base),
            phase=asked.choice("status", TaskPhase),
            bound=_bound(request),
            limit=asked.limit(),
            cursor=asked.text("cursor"),
        )
        return _json(listing)

    async def get_task(request: Request) -> Response:
        task = parse_task_id(request.path_params["task_id"])
        asked, told = _parameters(request, frozenset({"wait", "until"})), _version_told(request)
        wait_s, until = asked.wait_s(), asked.choice("until", Until) or Until.CHANGED
        if not wait_s:
            status = await watch.queries.task(task, told=told)
            return _tagged(request, status, status.version)
        now_s = asyncio.get_running_loop().time
        is_known = partial(_is_known, request)
        frame = await told_within(watch, task, told=told, is_known=is_known, until=until, wait_s=wait_s, now_s=now_s)
        return _tagged(request, msgspec.Raw(frame.data), frame.version)

    async def list_task_documents(request: Request) -> Response:
        asked = _parameters(request, PAGED)
        task = parse_task_id(request.path_params["task_id"])
        return _json(await lists.task_documents(task, limit=asked.limit(), cursor=asked.text("cursor")))

    async def list_task_events(request: Request) -> Response:
        asked = _parameters(request, PAGED | {"at"})
        task = parse_task_id(request.path_params["task_id"])
        if (moment := asked.moment("at")) is not None:
            return _json(await services.history.as_of(task, moment))
        return _json(await services.history.facts(task, limit=asked.limit(), cursor=asked.text("cursor")))

    async def stream_task(request: Request) -> Response:
        asked = _parameters(request, RESUMED)
        subject = WatchedTask(watch.queries, parse_task_id(request.path_params["task_id"]))
        return EventStream(watch, subject, asked.last_event_id(request.headers.get("last-event-id")))

    path = f"{API}/tasks"
    return [
        Route(path, list_tasks, name="list_tasks"),
        Route(f"{path}/{{task_id}}", get_task, name="get_task"),
        Route(f"{path}/{{task_id}}/documents", list_task_documents, name="list_task_documents"),
        Route(f"{path}/{{task_id}}/events", list_task_events, name="list_task_events"),
        Route(f"{path}/{{task_id}}/stream", stream_task, name="stream_task"),
    ]


def _knowledge_base_routes(services: Services) -> list[Route]:
    lists, watch = services.lists, services.watch

    async def list_knowledge_bases(request: Request) -> Response:
        asked = _parameters(request, PAGED | {"name"})
        listing = await lists.knowledge_bases(
            name=asked.name(), bound=_bound(request), limit=asked.limit(), cursor=asked.text("cursor")
        )
        return _json(listing)

    async def get_knowledge_base(request: Request) -> Response:
        _parameters(request, NOTHING)
        status = await watch.queries.knowledge_base(parse_knowledge_base_id(request.path_params["kb_id"]))
        return _tagged(request, status, status.version)

    async def list_documents(request: Request) -> Response:
        asked = Parameters(
            request.query_params.multi_items(),
            known=PAGED | {"status", "q", "since", "until"},
            prefix=METADATA_PREFIX,
        )
        wanted = DocumentFilter(
            phase=asked.choice("status", DocumentPhase),
            name_part=asked.name("q"),
            metadata=asked.prefixed(METADATA_PREFIX, count_max=METADATA_FILTERS_MAX),
            since_us=asked.instant_us("since"),
            until_us=asked.instant_us("until"),
        )
        listing = await lists.documents(
            parse_knowledge_base_id(request.path_params["kb_id"]),
            wanted=wanted,
            limit=asked.limit(),
            cursor=asked.text("cursor"),
        )
        return _json(listing)

    async def get_document(request: Request) -> Response:
        _parameters(request, NOTHING)
        knowledge_base = parse_knowledge_base_id(request.path_params["kb_id"])
        document = parse_document_id(request.path_params["document_id"])
        status = await watch.queries.document_in(knowledge_base, document)
        return _tagged(request, status, status.version)

    async def stream_knowledge_base(request: Request) -> Response:
        asked = _parameters(request, RESUMED)
        subject = WatchedKnowledgeBase(watch.queries, parse_knowledge_base_id(request.path_params["kb_id"]))
        return EventStream(watch, subject, asked.last_event_id(request.headers.get("last-event-id")))

    path = f"{API}/knowledge-bases"
    return [
        Route(path, list_knowledge_bases, name="list_knowledge_bases"),
        Route(f"{path}/{{kb_id}}", get_knowledge_base, name="get_knowledge_base"),
        Route(f"{path}/{{kb_id}}/documents", list_documents, name="list_documents"),
        Route(f"{path}/{{kb_id}}/documents/{{document_id}}", get_document, name="get_document"),
        Route(f"{path}/{{kb_id}}/stream", stream_knowledge_base, name="stream_knowledge_base"),
    ]


def _dead_letter_routes(services: Services) -> list[Route]:
    async def list_dead_letters(request: Request) -> Response:
        asked = _parameters(request, PAGED | {"code", "step", "knowledge_base", "since"})
        knowledge_base = asked.text("knowledge_base")
        query = DeadLetterQuery(
            code=asked.code(),
            step=asked.choice("step", Step),
            knowledge_base_id=None if knowledge_base is None else parse_knowledge_base_id(knowledge_base),
            since_us=asked.instant_us("since"),
        )
        listing = await services.lists.dead_letters(
            query, bound=_bound(request), limit=asked.limit(), cursor=asked.text("cursor")
        )
        return _json(listing)

    return [Route(f"{API}/dead-letters", list_dead_letters, name="list_dead_letters")]


def _stream_route(services: Services) -> Route:
    async def stream_everything(request: Request) -> Response:
        asked = _parameters(request, RESUMED)
        subject = WatchedEverything(services.lists, services.watch.queries.partitions, _bound(request))
        return EventStream(services.watch, subject, asked.last_event_id(request.headers.get("last-event-id")))

    return Route(f"{API}/stream", stream_everything, name="stream_everything")


def _bound(request: Request) -> Bound:
    return principal_of(request.scope).knowledge_bases


def _parameters(request: Request, known: frozenset[str]) -> Parameters:
    return Parameters(request.query_params.multi_items(), known=known)


def _is_known(request: Request, version: int) -> bool:
    """A long poll waits for a change of what the caller has: without a tag, of what would be answered now."""
    return "if-none-match" not in request.headers or _matches(request, version)


def _matches(request: Request, version: int) -> bool:
    """If-None-Match compares weakly (RFC 9110, section 13.1.2)."""
    return any(tag in {"*", f'"{version}"'} for tag in _tags(request))


def _version_told(request: Request) -> int:
    """The newest version whose tag the caller has, 0 without one."""
    named = (tag.strip('"') for tag in _tags(request))
    return max(
        (int(version) for version in named if version.isascii() and version.isdigit() and len(version) < 16), default=0
    )


def _tags(request: Request) -> list[str]:
    given = request.headers.get("if-none-match", "").split(",")
    return [tag.strip().removeprefix("W/") for tag in given]


def _tagged(request: Request, status: msgspec.Struct | msgspec.Raw, version: int) -> Response:
    headers = {"ETag": f'"{version}"', "Cache-Control": "no-cache"}
    if _matches(request, version):
        return Response(status_code=304, headers=headers)
    return Response(_encoder.encode(status), media_type="application/json", headers=headers)


def _json(answer: msgspec.Struct) -> Response:
    return Response(_encoder.encode(answer), media_type="application/json", headers={"Cache-Control": "no-store"})
