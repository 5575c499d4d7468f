"""What persons change of documents and chunks."""

import pytest
from msgspec.structs import replace

from domain import commands as c
from domain.deciders import DOCUMENT
from domain.document import DocumentState, Edit, Indexed, Unknown, record_of
from domain.document_status import document_status
from domain.editing import EDITED_CHARS_MAX, EDITS_MAX
from domain.errors import RefusalCode, Refused
from domain.knowledge_base_status import share_of
from events import document as d
from events.envelope import Event
from events.steps import Step
from tests import facts
from tests.strategies import DOCUMENTS

INDEXED: list[Event] = [
    facts.ACCEPTED,
    facts.PARSED,
    facts.CHUNKED,
    facts.FIRST_BATCH,
    facts.LAST_BATCH,
    facts.EMBEDDED,
    facts.INDEXED,
]


def after(*events: Event) -> DocumentState:
    state: DocumentState = Unknown()
    for event in events:
        state = DOCUMENT.evolve(state, event, 1)
    return state


def decided(state: DocumentState, *commands: c.DocumentCommand) -> tuple[DocumentState, list[Event]]:
    events: list[Event] = []
    for command in commands:
        for event in DOCUMENT.decide(command, state):
            state = DOCUMENT.evolve(state, event, 2)
            events.append(event)
    return state, events


@pytest.mark.parametrize("events", [INDEXED[:1], INDEXED[:3], INDEXED, [facts.ACCEPTED, facts.CANCELLED]])
def test_what_is_said_of_a_document_changes_whatever_is_being_done_to_it(events: list[Event]) -> None:
    state, told = decided(after(*events), c.ChangeDocument(metadata={"year": 2031}), c.ChangeDocument(enabled=False))

    assert told == [d.DocumentChanged(metadata={"year": 2031}), d.DocumentChanged(enabled=False)]
    record = record_of(state)  # type: ignore[arg-type]
    assert (record.about.metadata, record.enabled, record.changes) == ({"year": 2031}, False, 2)


def test_what_is_so_already_is_no_event() -> None:
    change = c.ChangeDocument(metadata={"year": 2031}, enabled=False)
    edit = c.EditChunk(chunk_id="a", text="new", enabled=False)
    _, told = decided(after(*INDEXED), change, change, edit, edit, c.EditChunk(chunk_id="b", enabled=True))

    assert [type(event) for event in told] == [d.DocumentChanged, d.ChunkEdited]


def test_an_edit_keeps_what_is_left_out_and_goes_when_all_is_as_it_was_cut() -> None:
    state, _ = decided(after(*INDEXED), c.EditChunk(chunk_id="a", text="new"), c.EditChunk(chunk_id="a", enabled=False))
    assert record_of(state).edits == (Edit("a", "new", enabled=False),)  # type: ignore[arg-type]
    state, _ = decided(state, c.EditChunk(chunk_id="a", text=None))
    assert record_of(state).edits == (Edit("a", None, enabled=False),)  # type: ignore[arg-type]
    state, _ = decided(state, c.EditChunk(chunk_id="a", enabled=True))
    assert record_of(state).edits == ()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("events", "of_document", "of_chunk"),
    [
        ([], RefusalCode.UNKNOWN_DOCUMENT, RefusalCode.UNKNOWN_DOCUMENT),
        ([facts.ACCEPTED], None, RefusalCode.DOCUMENT_IN_PROGRESS),
        ([facts.ACCEPTED, facts.CANCELLED], None, RefusalCode.STEP_NOT_REACHED),
        ([facts.SKIPPED], RefusalCode.DOCUMENT_ENDED, RefusalCode.DOCUMENT_ENDED),
        ([facts.ACCEPTED, facts.REMOVED], RefusalCode.DOCUMENT_REMOVED, RefusalCode.DOCUMENT_REMOVED),
    ],
)
def test_what_makes_no_sense_is_refused(
    events: list[Event], of_document: RefusalCode | None, of_chunk: RefusalCode | None
) -> None:
    commands = ((c.ChangeDocument(enabled=False), of_document), (c.EditChunk(chunk_id="a", text="new"), of_chunk))
    for command, expected in commands:
        code = None
        try:
            DOCUMENT.decide(command, after(*events))
        except Refused as refused:
            code = refused.code
        assert code == expected


def test_edits_are_limited_in_number_and_length() -> None:
    state = after(*INDEXED)
    assert isinstance(state, Indexed)
    many = tuple(Edit(f"{number}", None, enabled=False) for number in range(EDITS_MAX))
    full = replace(state, record=replace(state.record, edits=many))
    for known, text in ((full, "new"), (state, "x" * (EDITED_CHARS_MAX + 1))):
        with pytest.raises(Refused) as refused:
            DOCUMENT.decide(c.EditChunk(chunk_id="new", text=text), known)
        assert refused.value.code is RefusalCode.TOO_MANY_EDITS


def test_rows_that_were_made_of_another_state_are_told_as_stale_and_lost_edits_by_name() -> None:
    events = [*INDEXED[:-1], facts.started(Step.INDEX), d.DocumentChanged(enabled=False)]
    state = after(*events)
    for changes, is_stale in ((0, True), (1, False), (None, False)):
        (indexed,) = DOCUMENT.decide(
            c.RecordIndexed(attempt=1, generation=1, chunks=3, edits_lost=("a",), changes=changes), state
        )
        assert indexed == d.DocumentIndexed(generation=1, chunks=3, edits_lost=("a",), is_stale=is_stale)
    status = document_status(DOCUMENTS[0], DOCUMENT.evolve(state, indexed, 3), version=1, updated_at_us=0)
    assert status is not None
    assert (status.searchable, status.enabled, status.edits_lost) == (False, False, ("a",))


def test_what_is_switched_off_is_not_counted_as_found() -> None:
    state, _ = decided(after(*INDEXED), c.EditChunk(chunk_id="a", enabled=False))
    chunks = share_of(after(*INDEXED)).chunks
    assert (share_of(state).searchable, share_of(state).chunks) == (1, chunks - 1)
    state, _ = decided(state, c.ChangeDocument(enabled=False))
    assert (share_of(state).searchable, share_of(state).chunks, share_of(state).completed) == (0, 0, 1)
