"""Operations: tasks, their documents, histories and streams."""

from collections.abc import Mapping
from typing import Final

from domain.document import STEPS_IN_ORDER
from domain.status import DocumentStatus, TaskPhase, TaskStatus
from ingest.accepted import AcceptedTask
from ingest.problems import ProblemCode
from ingest.routes import CancelBody
from millstream.openapi.operation import EVENT_STREAM, Answer, JsonBody, Operation, Parameter, Tag
from millstream.openapi.parameters import (
    ETAG,
    FRESHNESS,
    IF_NONE_MATCH,
    LOCATION,
    OF_KNOWLEDGE_BASE,
    PAGED,
    RESUMED,
    UNTIL,
    WAIT,
    one_of,
)
from projections.lists import Listing
from projections.task_history import RecordedFact, TaskAsOf

UNKNOWN: Final = frozenset({ProblemCode.UNKNOWN_TASK})
NOT_MODIFIED: Final = Answer(
    status=304, description="What you have still holds.", media_type="", headers=(ETAG, *FRESHNESS)
)

STEP: Final = {"type": "string", "enum": [one.value for one in STEPS_IN_ORDER]}

OPERATIONS: Final[Mapping[str, Operation]] = {
    "list_tasks": Operation(
        summary="List tasks",
        description="Newest first.",
        tag=Tag.TASKS,
        parameters=(
            OF_KNOWLEDGE_BASE,
            Parameter(name="status", schema=one_of(TaskPhase), description="Only in this status."),
            *PAGED,
        ),
        answers=(Answer(description="One page.", structs=(Listing[TaskStatus],), headers=FRESHNESS),),
    ),
    "get_task": Operation(
        summary="Read a task",
        description="With `wait` the answer comes as soon as the task changes, or, with `until=ended`, has ended.",
        tag=Tag.TASKS,
        parameters=(WAIT, UNTIL, IF_NONE_MATCH),
        answers=(
            Answer(description="The task.", structs=(TaskStatus,), headers=(ETAG, *FRESHNESS)),
            NOT_MODIFIED,
        ),
        problems=UNKNOWN,
    ),
    "list_task_documents": Operation(
        summary="List the documents of a task",
        description="In the order of the request that brought them.",
        tag=Tag.TASKS,
        parameters=PAGED,
        answers=(Answer(description="One page.", structs=(Listing[DocumentStatus],), headers=FRESHNESS),),
        problems=UNKNOWN,
    ),
    "list_task_events": Operation(
        summary="Read the history of a task",
        description=(
            "Every fact about the task and its documents, in order, with who and what caused it. With `at`: the task "
            "as a client would have seen it then."
        ),
        tag=Tag.TASKS,
        parameters=(
            *PAGED,
            Parameter(
                name="at",
                schema={
                    "anyOf": [
                        {"type": "string", "format": "date-time"},
                        {"type": "string", "pattern": "^[0-9]{1,3}-[0-9]{1,15}-[0-9]{1,15}$"},
                    ]
                },
                description="A time, or the `position` of a fact.",
                example="2026-11-23T08:00:00Z",
            ),
        ),
        answers=(
            Answer(
                description="One page of facts; with `at` the task as of then.",
                structs=(Listing[RecordedFact], TaskAsOf),
                headers=FRESHNESS,
            ),
        ),
        problems=UNKNOWN,
    ),
    "stream_task": Operation(
        summary="Follow a task",
        description=(
            "Server-sent events. First the present state: `event: status` (a TaskStatus) and an `event: document` (a "
            "DocumentStatus) for each document, then one event a change. `id` is the place to resume from. A finished "
            "task sends its state, then `event: end`, and closes. A comment every 15 s says that the stream lives."
        ),
        tag=Tag.TASKS,
        parameters=RESUMED,
        answers=(
            Answer(
                description="Events, until the task has finished.",
                media_type=EVENT_STREAM,
                events={"status": TaskStatus, "document": DocumentStatus, "end": None},
            ),
        ),
        problems=UNKNOWN,
    ),
    "cancel_task": Operation(
        summary="Cancel a task",
        description="What has ended stays; nothing further of the task is begun.",
        tag=Tag.TASKS,
        body=JsonBody(struct=CancelBody, required=False, examples={"reason": {"reason": "uploaded by mistake"}}),
        is_idempotent=True,
        answers=(Answer(status=202, description="The task as it is now.", structs=(AcceptedTask,)),),
        problems=UNKNOWN | {ProblemCode.TASK_FINISHED},
    ),
    "retry_task": Operation(
        summary="Try the failed documents of a task again",
        description="Under a new task, each document from the step that failed.",
        tag=Tag.TASKS,
        parameters=(
            Parameter(name="from", schema=STEP, description="An earlier step to begin again at."),
            Parameter(
                name="cancelled",
                schema={"type": "boolean", "default": False},
                description="Whether cancelled documents are taken up too.",
            ),
        ),
        answers=(Answer(status=202, description="The new task.", structs=(AcceptedTask,), headers=(LOCATION,)),),
        problems=UNKNOWN
        | {
            ProblemCode.NOTHING_TO_RETRY,
            ProblemCode.KNOWLEDGE_BASE_DELETED,
            ProblemCode.STEP_NOT_REACHED,
            ProblemCode.DOCUMENT_IN_PROGRESS,
        },
        is_idempotent=True,
    ),
}
