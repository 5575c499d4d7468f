"""Every event type has its consequences written down here, so that a change of the table is a change of two places."""

import pytest

from events.document import DocumentAccepted, DocumentIndexed
from events.envelope import UnknownEvent, UnknownReason
from events.routing import (
    FromDeadLetters,
    Route,
    ToDeadLetters,
    ToInbox,
    ToInboxAt,
    ToInboxWhenTaskEnds,
    route,
)
from events.steps import Step
from events.type_codes import EVENT_TYPES
from tests.event_samples import accepted, new_knowledge_base, new_task
from tests.golden.event_examples import EXAMPLES, TIME_US

ROUTES: dict[str, tuple[Route, ...]] = {
    "DocumentAccepted": (ToInboxAt(Step.PARSE, TIME_US),),
    "DocumentRequested": (ToInboxAt(Step.FETCH, TIME_US),),
    "DocumentFetched": (ToInbox(Step.PARSE),),
    "DocumentSkipped": (ToInboxWhenTaskEnds(Step.FINISH),),
    "StepStarted": (),
    "DocumentParsed": (ToInbox(Step.CHUNK),),
    "DocumentChunked": (ToInbox(Step.EMBED),),
    "ChunksEmbedded": (),
    "DocumentEmbedded": (ToInbox(Step.INDEX),),
    "DocumentIndexed": (ToInboxWhenTaskEnds(Step.FINISH),),
    "StepFailed": (ToInboxAt(Step.EMBED, TIME_US),),
    "DocumentFailed": (ToDeadLetters(), ToInboxWhenTaskEnds(Step.FINISH)),
    "ReprocessingRequested": (FromDeadLetters(), ToInbox(Step.CHUNK)),
    "ChunkEdited": (ToInbox(Step.REVISE),),
    "DocumentChanged": (ToInbox(Step.REVISE),),
    "DocumentCancelled": (ToInboxWhenTaskEnds(Step.FINISH),),
    "DocumentRemoved": (FromDeadLetters(), ToInbox(Step.ERASE), ToInboxWhenTaskEnds(Step.FINISH)),
    "DocumentErased": (),
    "TaskSubmitted": (),
    "TaskCancelled": (),
    "TaskFinished": (),
    "CallbackDelivered": (),
    "CallbackFailed": (),
    "KnowledgeBaseCreated": (),
    "KnowledgeBaseChanged": (),
    "IndexGenerationStarted": (),
    "IndexGenerationActivated": (),
    "IndexGenerationAbandoned": (),
    "KnowledgeBaseDeleted": (ToInbox(Step.ERASE),),
}


def test_the_table_is_complete() -> None:
    assert set(ROUTES) == set(EVENT_TYPES)


@pytest.mark.parametrize("event_type", list(EVENT_TYPES))
def test_an_event_leads_where_the_table_says(event_type: str) -> None:
    assert route(EXAMPLES[event_type, 1]) == ROUTES[event_type]


def test_a_document_that_was_changed_while_its_rows_were_written_is_looked_at_again() -> None:
    event = DocumentIndexed(generation=1, chunks=3, is_stale=True)
    assert route(event) == (ToInboxWhenTaskEnds(Step.FINISH), ToInbox(Step.REVISE))


def test_a_document_without_a_time_is_parsed_at_once() -> None:
    event: DocumentAccepted = accepted(new_task(), new_knowledge_base())
    assert route(event) == (ToInbox(Step.PARSE),)


def test_an_event_from_the_future_leads_nowhere() -> None:
    assert route(UnknownEvent("X", 1, UnknownReason.UNKNOWN_TYPE)) == ()
