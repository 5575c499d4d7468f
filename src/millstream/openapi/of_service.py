"""Operations: the change feed, and the service itself."""

from collections.abc import Mapping
from typing import Final

from domain.knowledge_base_status import KnowledgeBaseStatus
from domain.status import TaskStatus
from events.codec import EVENT_TYPES
from millstream.health import Alive, Readiness
from millstream.openapi.operation import EVENT_STREAM, JSON, Access, Answer, Header, Operation, Parameter, Tag
from millstream.openapi.parameters import IF_NONE_MATCH, LIMIT, OF_KNOWLEDGE_BASE, RESUMED, TEXT, whole
from projections.changes import Gone
from projections.event_feed import END, EventPage
from projections.everything import Snapshot
from projections.system import MINUTES_DEFAULT, MINUTES_MAX, SystemFlow

OPERATIONS: Final[Mapping[str, Operation]] = {
    "list_events": Operation(
        summary="Read the change feed",
        description=(
            "Every fact, in order, a page at a time, behind a cursor that never skips. Facts of one knowledge base "
            "come in the order in which they happened."
        ),
        tag=Tag.EVENTS,
        parameters=(
            Parameter(
                name="after",
                schema=TEXT,
                description=f"`next_cursor` of the page before; `{END}`: only what comes from now on.",
                example=END,
            ),
            Parameter(
                name="types",
                schema={
                    "type": "array",
                    "minItems": 1,
                    "items": {"type": "string", "enum": sorted(EVENT_TYPES)},
                },
                description="Only these types, separated by commas.",
            ),
            OF_KNOWLEDGE_BASE,
            LIMIT,
        ),
        answers=(Answer(description="One page. It always has a cursor: the feed has no end.", structs=(EventPage,)),),
    ),
    "stream_everything": Operation(
        summary="Follow everything",
        description=(
            "Server-sent events: first `snapshot`, a `knowledge_base` for each and a `task` for each that is open (as "
            "many as `snapshot` says), then one event a change of any of them. `id` is the place to resume from."
        ),
        tag=Tag.EVENTS,
        parameters=RESUMED,
        answers=(
            Answer(
                description="Events, as long as the client stays.",
                media_type=EVENT_STREAM,
                events={"snapshot": Snapshot, "knowledge_base": KnowledgeBaseStatus, "task": TaskStatus, "gone": Gone},
            ),
        ),
    ),
    "get_system": Operation(
        summary="Look at the flow of the mill",
        description="Events a second, what each step did and how long that took, what waits, how far the views are.",
        tag=Tag.OPERATIONS,
        parameters=(
            Parameter(
                name="minutes",
                schema=whole(1, MINUTES_MAX, MINUTES_DEFAULT),
                description="How long the window is; the present minute comes on top.",
            ),
        ),
        answers=(Answer(description="The flow.", structs=(SystemFlow,)),),
    ),
    "metrics": Operation(
        summary="Read the metrics",
        description="Those of the installation and of this process, in the text format of Prometheus.",
        tag=Tag.OPERATIONS,
        answers=(Answer(description="The metrics.", media_type="text/plain", schema=TEXT),),
    ),
    "healthz": Operation(
        summary="Whether the service lives",
        tag=Tag.OPERATIONS,
        access=Access.PUBLIC,
        answers=(Answer(description="It does.", structs=(Alive,)),),
    ),
    "readyz": Operation(
        summary="Whether the service can work",
        description="Each thing that it stands on, with its answer and the time that it took.",
        tag=Tag.OPERATIONS,
        access=Access.PUBLIC,
        answers=(
            Answer(description="It can.", structs=(Readiness,)),
            Answer(status=503, description="It cannot: something does not answer.", structs=(Readiness,)),
        ),
    ),
    "openapi_document": Operation(
        summary="Read this document",
        description="OpenAPI 3.1, made from the structs that decode and encode. `/docs` shows it.",
        tag=Tag.OPERATIONS,
        access=Access.PUBLIC,
        parameters=(IF_NONE_MATCH,),
        answers=(
            Answer(
                description="The document.",
                media_type=JSON,
                schema={"type": "object", "required": ["openapi", "info", "paths"]},
                headers=(Header(name="ETag", schema=TEXT, description="Its digest, for `If-None-Match`."),),
            ),
            Answer(
                status=304,
                description="What you have still holds.",
                media_type="",
                headers=(Header(name="ETag", schema=TEXT, description="Its digest."),),
            ),
        ),
    ),
}
