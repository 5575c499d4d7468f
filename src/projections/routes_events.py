"""HTTP of the change feed: GET /events."""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.access import principal_of
from events.ids import parse_knowledge_base_id
from events.log import EventLog
from events.type_codes import EVENT_TYPES
from projections.cursors import Cursors
from projections.errors import InvalidQuery
from projections.event_feed import EventFeed, EventFilter
from projections.owners import Owners
from projections.parameters import Parameters
from projections.queries import Queries
from projections.views import ViewStore

KNOWN: Final = frozenset({"after", "types", "knowledge_base", "limit"})


def event_feed_routes(event_log: EventLog, views: ViewStore, cursors: Cursors) -> list[Route]:
    """Raises InvalidQuery, InvalidCursor, Refused and InvalidId, as the other reading routes do."""
    feed = EventFeed(event_log, Queries(event_log, views), Owners(event_log, views), cursors)

    async def list_events(request: Request) -> Response:
        asked = Parameters(request.query_params.multi_items(), known=KNOWN)
        knowledge_base = asked.text("knowledge_base")
        wanted = EventFilter(
            types=_types(asked.text("types")),
            knowledge_base=None if knowledge_base is None else parse_knowledge_base_id(knowledge_base),
            bound=principal_of(request.scope).knowledge_bases,
        )
        page = await feed.read(wanted, after=asked.text("after"), limit=asked.limit())
        return Response(msgspec.json.encode(page), media_type="application/json", headers={"Cache-Control": "no-store"})

    return [Route("/api/v1/events", list_events, name="list_events")]


def _types(named: str | None) -> frozenset[str]:
    if named is None:
        return frozenset()
    types = frozenset(part.strip() for part in named.split(","))
    unknown = sorted(types - EVENT_TYPES.keys())
    if unknown:
        raise InvalidQuery("/types", f"{unknown[0]!r} is no type; there are {', '.join(sorted(EVENT_TYPES))}")
    return types
