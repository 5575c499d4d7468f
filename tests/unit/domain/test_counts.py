"""What a document counts as, and what its changes do to the counts of tasks and knowledge bases."""

import pytest

from domain.counts import Counts, category_of, counts_of, differences, progress_of, tally_changes, task_of
from domain.deciders import DOCUMENT
from domain.document import DocumentState, Unknown
from domain.knowledge_base_status import KnowledgeBaseCounts, difference, share_of
from events.envelope import Event
from events.log import Tally, TallyChange
from events.steps import Step
from tests.facts import (
    ACCEPTED,
    CANCELLED,
    INDEXED,
    OTHER_TASK_ID,
    REMOVED,
    SKIPPED,
    TASK_ID,
    UNTIL_CHUNKED,
    UNTIL_EMBEDDED,
    UNTIL_ENDED,
    UNTIL_GONE,
    UNTIL_INDEXED,
    UNTIL_PARSED,
    failed,
    reprocessing,
    retried,
    started,
)
from tests.specification import given

RUNNING = (ACCEPTED, started(Step.PARSE))


def after(*past: Event) -> DocumentState:
    return given(DOCUMENT, *past).state


CATEGORIES = {
    "accepted": ((ACCEPTED,), "queued"),
    "being parsed": (RUNNING, "processing"),
    "to be parsed again": ((*RUNNING, retried(Step.PARSE)), "processing"),
    "parsed": (UNTIL_PARSED, "processing"),
    "chunked": (UNTIL_CHUNKED, "processing"),
    "embedded": (UNTIL_EMBEDDED, "processing"),
    "indexed": (UNTIL_INDEXED, "completed"),
    "failed": (UNTIL_ENDED["failed"], "failed"),
    "cancelled": (UNTIL_ENDED["cancelled"], "cancelled"),
    "skipped": ((SKIPPED,), "skipped"),
    "begun again": ((*UNTIL_INDEXED, reprocessing(Step.PARSE)), "queued"),
    "begun again in the middle": ((*UNTIL_INDEXED, reprocessing(Step.EMBED)), "processing"),
    "removed": (UNTIL_GONE["removed"], "completed"),
    "removed while open": ((*RUNNING, REMOVED), "cancelled"),
    "erased": (UNTIL_GONE["erased"], "completed"),
}


@pytest.mark.parametrize(("past", "category"), CATEGORIES.values(), ids=CATEGORIES)
def test_every_state_counts_as(past: tuple[Event, ...], category: str) -> None:
    counts = counts_of(after(*past))

    assert category_of(after(*past)) == category
    assert counts.documents == 1
    assert getattr(counts, category) == 1


def test_a_document_that_does_not_exist_counts_nowhere() -> None:
    assert category_of(Unknown()) is None
    assert task_of(Unknown()) is None
    assert counts_of(Unknown()) == Counts()
    assert differences(Unknown(), Unknown()) == {}
    assert share_of(Unknown()) == KnowledgeBaseCounts()


def test_whatever_has_ended_is_whole_however_far_it_came() -> None:
    for past in UNTIL_ENDED.values():
        assert counts_of(after(*past)).progress == 1_000
    assert progress_of(after(*UNTIL_ENDED["failed"])) == 200
    assert counts_of(after(*UNTIL_CHUNKED)).progress == 300


def test_a_change_moves_a_document_from_one_count_to_another() -> None:
    assert differences(Unknown(), after(ACCEPTED)) == {TASK_ID: Counts(queued=1)}
    assert differences(after(ACCEPTED), after(*RUNNING)) == {TASK_ID: Counts(queued=-1, processing=1)}
    ended = differences(after(*UNTIL_EMBEDDED), after(*UNTIL_EMBEDDED, started(Step.INDEX), INDEXED))
    assert ended == {TASK_ID: Counts(processing=-1, completed=1, progress=100)}


def test_a_change_that_counts_nowhere_makes_no_difference() -> None:
    assert differences(after(*UNTIL_PARSED), after(*UNTIL_PARSED, started(Step.CHUNK))) == {}
    assert tally_changes(after(ACCEPTED), after(*RUNNING)) == ()


def test_a_document_that_changes_hands_enters_the_new_task_and_stays_in_the_old_one_as_it_ended() -> None:
    before, begun_again = after(*UNTIL_INDEXED), after(*UNTIL_INDEXED, reprocessing(Step.EMBED))

    assert differences(before, begun_again) == {OTHER_TASK_ID: Counts(processing=1, progress=300)}
    assert tally_changes(before, begun_again) == (TallyChange(OTHER_TASK_ID, Tally(open_documents=1)),)


@pytest.mark.parametrize(
    ("before", "event", "change"),
    [
        (RUNNING, CANCELLED, Tally(open_documents=-1, cancelled=1)),
        (RUNNING, REMOVED, Tally(open_documents=-1, cancelled=1)),
        (RUNNING, failed(Step.PARSE), Tally(open_documents=-1, failed=1)),
        ((*UNTIL_EMBEDDED, started(Step.INDEX)), INDEXED, Tally(open_documents=-1, succeeded=1)),
        ((), ACCEPTED, Tally(open_documents=1)),
        ((), SKIPPED, Tally(skipped=1)),
    ],
    ids=["cancelled", "removed", "failed", "indexed", "accepted", "skipped"],
)
def test_the_logs_tally_knows_how_a_document_ended(before: tuple[Event, ...], event: Event, change: Tally) -> None:
    assert tally_changes(after(*before), after(*before, event)) == (TallyChange(TASK_ID, change),)


@pytest.mark.parametrize("past", UNTIL_ENDED.values(), ids=UNTIL_ENDED)
def test_removing_what_has_ended_leaves_its_task_as_it_was(past: tuple[Event, ...]) -> None:
    assert differences(after(*past), after(*past, REMOVED)) == {}
    assert tally_changes(after(*past), after(*past, REMOVED)) == ()


def test_counts_add_up_and_down() -> None:
    one, other = Counts(1, 2, 3, 4, 5, 6, 7), Counts(7, 6, 5, 4, 3, 2, 1)

    assert one + other == Counts(8, 8, 8, 8, 8, 8, 8)
    assert (one + other) - other == one
    assert one.documents == 21


def test_a_knowledge_base_counts_the_documents_that_exist_and_what_searches_find() -> None:
    assert share_of(after(ACCEPTED)) == KnowledgeBaseCounts(queued=1, size_bytes=1_234)
    assert share_of(after(*UNTIL_INDEXED)) == KnowledgeBaseCounts(completed=1, searchable=1, chunks=3, size_bytes=1_234)
    assert share_of(after(SKIPPED)) == KnowledgeBaseCounts(skipped=1)
    for past in UNTIL_GONE.values():
        assert share_of(after(*past)) == KnowledgeBaseCounts()


def test_a_document_that_is_worked_on_again_stays_searchable_all_the_while() -> None:
    failed_again = (*UNTIL_INDEXED, reprocessing(Step.PARSE), started(Step.PARSE, 2), failed(Step.PARSE))

    assert share_of(after(*failed_again)) == KnowledgeBaseCounts(failed=1, searchable=1, chunks=3, size_bytes=1_234)


def test_removing_a_document_takes_its_whole_share_out_of_the_knowledge_base() -> None:
    before = after(*UNTIL_INDEXED)

    assert difference(before, after(*UNTIL_INDEXED, REMOVED)) == KnowledgeBaseCounts().minus(share_of(before))
