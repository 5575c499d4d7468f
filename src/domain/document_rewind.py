"""A document that begins again at a step keeps what was known before that step."""

from msgspec import UNSET
from msgspec.structs import replace

from domain.document import (
    Accepted,
    Activity,
    Cancelled,
    Chunked,
    DocumentState,
    Embedded,
    Failed,
    Indexed,
    Open,
    Parsed,
    Queued,
    Reached,
    Requested,
)
from domain.document_stages import forgiven
from domain.errors import ImpossibleEvent
from events import document as facts
from events.steps import Step


def reprocessed(state: DocumentState, event: facts.ReprocessingRequested, at_us: int) -> Open | None:
    """Back to where a step starts from, under another task. Raises ImpossibleEvent where the document never got there;
    None for one that is under way, or no more."""
    if not isinstance(state, Indexed | Failed | Cancelled):
        return None
    reached: Reached = state if isinstance(state, Indexed) else state.reached
    rewound = reached_before(reached, event.from_step, Queued(at_us))
    if rewound is None:
        raise ImpossibleEvent(f"a document at {type(reached).__name__} cannot begin again at {event.from_step}")
    record = rewound.record
    about = replace(record.about, task_id=event.task_id)
    record = replace(
        record,
        about=about,
        earlier_tasks=(*record.earlier_tasks, record.about.task_id),
        stages=forgiven(record.stages, event.from_step),
        chunking=record.chunking if event.chunking is UNSET else event.chunking,
    )
    return replace(rewound, record=record)


def reached_before(reached: Reached, step: Step, activity: Activity) -> Open | None:
    """The state from which `step` starts, with what was known by then; None where the document never got so far."""
    record = reached.record
    match step:
        case Step.FETCH if isinstance(reached, Requested):
            return replace(reached, activity=activity)
        case Step.PARSE if not isinstance(reached, Requested):
            return Accepted(record=record, activity=activity)
        case Step.CHUNK if not isinstance(reached, Requested | Accepted):
            return Parsed(record=record, text=reached.text, activity=activity)
        case Step.EMBED if isinstance(reached, Chunked):
            return replace(reached, activity=activity)
        case Step.EMBED if isinstance(reached, Embedded | Indexed):
            return Chunked(record=record, text=reached.text, chunks=reached.chunks, activity=activity)
        case Step.INDEX if isinstance(reached, Embedded | Indexed):
            return Embedded(
                record=record,
                text=reached.text,
                chunks=reached.chunks,
                batches=reached.batches,
                vectors=reached.vectors,
                activity=activity,
            )
        case _:
            return None
