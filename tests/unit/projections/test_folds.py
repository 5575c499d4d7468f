"""Laws of the folds, at the level of rows: what the projector writes, whatever the pages and their order."""

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.commands import SubmitTask
from domain.counts import Counts, counts_of, differences, task_of
from domain.decider import Folded
from domain.deciders import TASK
from domain.document import Unknown, filename_of
from domain.first_document import FirstDocument
from domain.handle import prepare
from domain.knowledge_base_status import KnowledgeBaseCounts, share_of
from events.document import ReprocessingRequested
from events.envelope import Envelope, Position, UnknownEvent, UnknownReason
from events.ids import DocumentId, EventId, TaskId, document_id
from events.log import Unreadable
from projections import tasks
from projections.documents import DocumentRow
from projections.knowledge_bases import KnowledgeBaseRow
from projections.projection import KNOWLEDGE_BASES, TABLES, RowKey, row_id_of
from projections.projection import TASKS as TASK_TABLE
from projections.rows import decode_row, encode_row, entries_of
from projections.tasks import FINISHED_INDEX, TaskRow
from projections.throughput import ThroughputRow
from tests.examples import examples
from tests.histories import (
    History,
    context_for,
    envelopes_of,
    histories_of_documents,
    interleavings,
    knowledge_base_stories,
    task_stories,
)
from tests.projecting import Rows, pages_of
from tests.strategies import KNOWLEDGE_BASE, TASKS

cuts = st.lists(st.integers(0, 200), max_size=6)
mixed = histories_of_documents().flatmap(interleavings)


laws = settings(max_examples=examples(20), deadline=None)


def worlds() -> st.SearchStrategy[History]:
    """Documents, a task and a knowledge base in one log."""
    return st.tuples(
        histories_of_documents(documents_max=3),
        task_stories().map(envelopes_of),
        knowledge_base_stories().map(envelopes_of),
    ).flatmap(lambda parts: interleavings((*parts[0], parts[1], parts[2])))


def submission(documents: int) -> History:
    command = SubmitTask(knowledge_base_id=KNOWLEDGE_BASE, documents=documents)
    prepared = prepare(TASK, TASKS[0], Folded(TASK.initial), [command], context_for(TASKS[0], first=10**9))
    assert prepared.write is not None
    return prepared.write.envelopes


def until_handed_over(history: History) -> History:
    """The part in which the document belongs to the task that it came in with."""
    for place, envelope in enumerate(history):
        if isinstance(envelope.event, ReprocessingRequested):
            return history[:place]
    return history


loyal = (
    histories_of_documents()
    .map(lambda parts: tuple(map(until_handed_over, parts)))
    .flatmap(lambda parts: st.tuples(st.just(len(parts)), interleavings(parts)))
)
"""How many documents there are, and the events of all while they belong to the task that they came in with."""


@laws
@given(worlds(), cuts)
def test_rows_do_not_depend_on_where_pages_of_the_log_end(events: History, places: list[int]) -> None:
    one_by_one = Rows().fold_pages([[event] for event in events])
    in_pages = Rows().fold_pages(pages_of(events, places))
    assert in_pages.encoded() == one_by_one.encoded()
    assert in_pages.entries == one_by_one.entries
    assert (in_pages.refused, in_pages.unknown, in_pages.unreadable) == (0, 0, 0)


@laws
@given(histories_of_documents().flatmap(lambda parts: st.tuples(interleavings(parts), interleavings(parts))))
def test_law_5_documents_interleaved_in_any_order_give_the_same_rows(orders: tuple[History, History]) -> None:
    one, other = (Rows().fold_pages([events]) for events in orders)
    assert one.encoded() == other.encoded()
    assert one.entries == other.entries


@laws
@given(mixed, cuts)
def test_law_6_task_counts_by_difference_are_those_of_single_steps(events: History, places: list[int]) -> None:
    expected: dict[TaskId, Counts] = defaultdict(Counts)
    single = Rows()
    for event in events:
        before = {key: row for key, row in single.rows.items() if isinstance(row, DocumentRow)}
        single.fold([event])
        for key, row in single.rows.items():
            if isinstance(row, DocumentRow) and row is not before.get(key):
                known = before.get(key)
                state = Unknown() if known is None else known.folded.state
                for task, change in differences(state, row.folded.state).items():
                    expected[task] = expected[task] + change
    paged = Rows().fold_pages(pages_of(events, places))
    found = {TaskId(key.id): row.counts for key, row in paged.rows.items() if isinstance(row, TaskRow)}
    assert {task: counts for task, counts in found.items() if counts != Counts()} == {
        task: counts for task, counts in expected.items() if counts != Counts()
    }


@laws
@given(mixed)
def test_a_task_is_named_by_the_first_document_of_its_request_whatever_came_first(events: History) -> None:
    rows = Rows().fold_pages([events])
    states = {key.id: row.folded.state for key, row in rows.rows.items() if isinstance(row, DocumentRow)}
    for key, row in rows.rows.items():
        if not isinstance(row, TaskRow):
            continue
        own = sorted(DocumentId(document) for document, state in states.items() if task_of(state) == key.id)
        first = document_id(TaskId(key.id), 0)
        assert row.first is not None
        if first in own:
            assert row.first == FirstDocument(first, filename_of(states[first]))
        elif own and row.first.document_id in own:
            assert row.first == FirstDocument(own[0], filename_of(states[own[0]]))


@laws
@given(mixed)
def test_law_6_counters_of_a_knowledge_base_are_the_sum_of_its_documents(events: History) -> None:
    rows = Rows().fold_pages([events])
    total = KnowledgeBaseCounts()
    for row in rows.rows.values():
        if isinstance(row, DocumentRow):
            total = total.plus(share_of(row.folded.state))
    found = rows.rows.get(RowKey(KNOWLEDGE_BASES, KNOWLEDGE_BASE))
    assert (found.counts if isinstance(found, KnowledgeBaseRow) else KnowledgeBaseCounts()) == total


@laws
@given(loyal)
def test_law_8_the_parts_add_up_to_the_total_at_every_prefix(world: tuple[int, History]) -> None:
    documents, events = world
    rows = Rows().fold_pages([submission(documents)])
    for prefix_end in range(len(events) + 1):
        if prefix_end:
            rows.fold([events[prefix_end - 1]])
        row = rows.rows[RowKey(TASK_TABLE, TASKS[0])]
        assert isinstance(row, TaskRow)
        status = tasks.status_of(TASKS[0], row)
        assert status is not None
        parts = status.documents
        ended = parts.completed + parts.failed + parts.cancelled + parts.skipped
        assert parts.queued + parts.processing + ended == parts.total == documents
        assert 0 <= status.progress <= 1


@laws
@given(loyal)
def test_law_6_a_task_counts_what_its_documents_are(world: tuple[int, History]) -> None:
    """Once more without any difference: the sum over the present states."""
    rows = Rows().fold_pages([world[1]])
    states = [row.folded.state for row in rows.rows.values() if isinstance(row, DocumentRow)]
    found = rows.rows.get(RowKey(TASK_TABLE, TASKS[0]))
    assert (found.counts if isinstance(found, TaskRow) else Counts()) == sum(map(counts_of, states), Counts())


@laws
@given(worlds(), cuts)
def test_law_3_a_page_folded_twice_changes_nothing(events: History, places: list[int]) -> None:
    rows = Rows()
    for page in pages_of(events, places):
        rows.fold(page)
        before = rows.encoded()
        again = rows.fold(page)
        assert (dict(again.rows), again.indexes, again.changes) == ({}, (), ())
        assert rows.encoded() == before


@laws
@given(worlds())
def test_law_2_rows_survive_their_bytes(events: History) -> None:
    rows = Rows().fold_pages([events])
    for key, row in rows.rows.items():
        decoded = decode_row(key.table, encode_row(row))
        assert decoded == row
        assert encode_row(decoded) == encode_row(row)


@laws
@given(worlds(), cuts)
def test_lists_hold_what_the_rows_say_and_nothing_else(events: History, places: list[int]) -> None:
    rows = Rows().fold_pages(pages_of(events, places))
    assert rows.entries == {entry for key, row in rows.rows.items() for entry in entries_of(key, row)}


@laws
@given(worlds())
def test_a_row_never_moves_within_a_list_by_time(events: History) -> None:
    """It leaves a list and enters it again at the same place, but for the two lists of what ended, by their ends."""
    rows, places = Rows(), dict[tuple[str, str], str]()
    for event in events:
        rows.fold([event])
        for entry in rows.entries:
            if not entry.index.startswith(("dead/", FINISHED_INDEX)):
                row_id = row_id_of(entry.member)
                assert places.setdefault((entry.index, row_id), entry.member) == entry.member


@laws
@given(worlds())
def test_law_9_facts_of_the_future_change_nothing_but_their_count(events: History) -> None:
    rows = Rows().fold_pages([events])
    lists = set(rows.entries)
    for table in TABLES:
        for key in [key for key in rows.rows if key.table == table][:1]:
            row = rows.rows[key]
            if isinstance(row, ThroughputRow):
                continue
            rows.fold([_of_the_future(key.id, row.folded.version + 1)])
            after = rows.rows[key]
            assert not isinstance(after, ThroughputRow)
            assert after.folded.state == row.folded.state
            assert after.updated_at_us == row.updated_at_us
            assert after.folded.unknown_events == row.folded.unknown_events + 1
    assert rows.entries == lists


def test_an_event_past_a_gap_is_counted_and_passed_over() -> None:
    submitted = submission(2)
    rows = Rows().fold_pages([submitted])
    before = rows.encoded()
    rows.fold([_of_the_future(TASKS[0], 7)])
    assert (rows.encoded(), rows.refused) == (before, 1)


def test_an_event_that_cannot_follow_is_counted_and_passed_over() -> None:
    (first,) = submission(2)
    rows = Rows().fold_pages([[first]])
    before = rows.encoded()
    rows.fold([Envelope(**{name: getattr(first, name) for name in first.__struct_fields__} | {"version": 2})])
    assert (rows.encoded(), rows.refused) == (before, 1)


def test_an_unreadable_entry_is_counted_and_passed_over() -> None:
    rows = Rows()
    rows.fold([Unreadable(Position(1, 1, 0), 1, b"\xc1", "no envelope"), *submission(1)])
    assert rows.unreadable == 1
    assert RowKey(TASK_TABLE, TASKS[0]) in rows.rows


def _of_the_future(stream: str, version: int) -> Envelope:
    return Envelope(
        event_id=EventId(f"{version:032x}"),
        stream_id=stream,
        version=version,
        event=UnknownEvent("DocumentPraised", 1, UnknownReason.UNKNOWN_TYPE),
        recorded_at_us=2**60,
        correlation_id=TASKS[0],
    )
