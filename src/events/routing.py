"""Which inboxes, timers and dead letters follow from an event: one pure function, used by appends and rebuilds."""

from typing import assert_never

import msgspec

from events import document as d
from events import knowledge_base as k
from events import task as t
from events.envelope import Event, UnknownEvent
from events.steps import Step


class ToInbox(msgspec.Struct, frozen=True):
    """A pointer to the event goes into the step's inbox at once."""

    step: Step


class ToInboxAt(msgspec.Struct, frozen=True):
    """A pointer to the event goes into the step's inbox when the time has come (unix µs)."""

    step: Step
    due_at_us: int


class ToInboxWhenTaskEnds(msgspec.Struct, frozen=True):
    """A pointer goes into the step's inbox if the same append leaves no open document in the task's tally."""

    step: Step


class ToDeadLetters(msgspec.Struct, frozen=True):
    """The stream enters the list of dead letters."""


class FromDeadLetters(msgspec.Struct, frozen=True):
    """The stream leaves the list of dead letters, if it was there."""


Route = ToInbox | ToInboxAt | ToInboxWhenTaskEnds | ToDeadLetters | FromDeadLetters


def route(event: Event) -> tuple[Route, ...]:  # noqa: C901  one arm an event type: the table is the point
    """The consequences of one event, in the order in which they are carried out."""
    match event:
        # First, as arms are tried in turn and these are half of all events: 0.3 µs instead of 3. A submission is one of
        # two of an upload.
        case d.StepStarted() | d.ChunksEmbedded() | d.DocumentErased() | t.TaskSubmitted():
            return ()
        case d.DocumentAccepted() | d.DocumentRequested():
            first = Step.PARSE if isinstance(event, d.DocumentAccepted) else Step.FETCH
            due_at_us = event.not_before_us
            return (ToInbox(first) if due_at_us is None else ToInboxAt(first, due_at_us),)
        case d.DocumentFetched():
            return (ToInbox(Step.PARSE),)
        case d.DocumentParsed():
            return (ToInbox(Step.CHUNK),)
        case d.DocumentChunked():
            return (ToInbox(Step.EMBED),)
        case d.DocumentEmbedded():
            return (ToInbox(Step.INDEX),)
        case d.DocumentIndexed(is_stale=True):
            return (ToInboxWhenTaskEnds(Step.FINISH), ToInbox(Step.REVISE))
        case d.DocumentIndexed() | d.DocumentSkipped() | d.DocumentCancelled():
            return (ToInboxWhenTaskEnds(Step.FINISH),)
        case d.DocumentFailed():
            return (ToDeadLetters(), ToInboxWhenTaskEnds(Step.FINISH))
        case d.StepFailed():
            return (ToInboxAt(event.step, event.retry_at_us),)
        case d.ReprocessingRequested():
            return (FromDeadLetters(), ToInbox(event.from_step))
        case d.ChunkEdited() | d.DocumentChanged():
            return (ToInbox(Step.REVISE),)
        case d.DocumentRemoved():
            return (FromDeadLetters(), ToInbox(Step.ERASE), ToInboxWhenTaskEnds(Step.FINISH))
        case k.KnowledgeBaseDeleted():
            return (ToInbox(Step.ERASE),)
        case t.TaskCancelled() | t.TaskFinished() | t.CallbackDelivered() | t.CallbackFailed():
            return ()
        case k.KnowledgeBaseCreated() | k.KnowledgeBaseChanged():
            return ()
        case k.IndexGenerationStarted() | k.IndexGenerationActivated() | k.IndexGenerationAbandoned():
            return ()
        case UnknownEvent():
            return ()
        case _:
            assert_never(event)
