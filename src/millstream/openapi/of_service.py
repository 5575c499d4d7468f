"""Operations: the change feed, and the service itself."""

from collections.abc import Mapping
from typing import Final

from domain.knowledge_base_status import KnowledgeBaseStatus
from domain.status import TaskStatus
from events.ids import PARTITIONS_MAX
from events.type_codes import EVENT_TYPES
from ingest.problems import ProblemCode
from millstream.health import Alive, Readiness
from millstream.openapi.operation import EVENT_STREAM, JSON, Access, Answer, Header, Operation, Parameter, Tag
from millstream.openapi.parameters import IF_NONE_MATCH, LIMIT, OF_KNOWLEDGE_BASE, RESUMED, TEXT, whole
from projections.archive_overview import ArchiveOverview, Asked
from projections.event_feed import END, EventPage
from projections.everything import Snapshot
from projections.frames import Gone
from projections.routes_archive import Verified, VerifyDamage, VerifyFailed, VerifyProgress
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
    "get_archive": Operation(
        summary="Look at the archive",
        description=(
            "Of each partition: what lies in segments of the blob store, how far the log is ahead of that, what keeps "
            "archived events in memory, and when it was verified last."
        ),
        tag=Tag.OPERATIONS,
        answers=(Answer(description="The archive.", structs=(ArchiveOverview,)),),
    ),
    "archive_now": Operation(
        summary="Archive what is in the log",
        description=(
            "Everything that is in the log now is due, however young and few. The projector takes it within seconds "
            "and goes on by itself; `waiting_events` of `GET /archive` says how far it is."
        ),
        tag=Tag.OPERATIONS,
        is_idempotent=True,
        answers=(Answer(status=202, description="It is asked for.", structs=(Asked,)),),
        problems=frozenset({ProblemCode.ARCHIVE_NOT_KEPT}),
    ),
    "verify_archive": Operation(
        summary="Verify the archive",
        description=(
            "Reads every byte of every segment and checks each hash, the chain between segments and where log and "
            "archive meet. Nothing is changed but when it was verified last. One at a time in a process; closing the "
            "connection ends it."
        ),
        tag=Tag.OPERATIONS,
        is_idempotent=True,
        parameters=(
            Parameter(
                name="partition",
                schema=whole(0, PARTITIONS_MAX - 1),
                description="This one alone; without it all, one after the other.",
            ),
        ),
        answers=(
            Answer(
                description="Server-sent events; `end` or `error` is the last.",
                media_type=EVENT_STREAM,
                events={
                    "progress": VerifyProgress,
                    "damage": VerifyDamage,
                    "end": Verified,
                    "error": VerifyFailed,
                },
            ),
        ),
        problems=frozenset({ProblemCode.ARCHIVE_BUSY}),
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
