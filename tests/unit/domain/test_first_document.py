"""Which document a task is named by."""

from itertools import permutations

from domain.deciders import DOCUMENT
from domain.document import filename_of
from domain.first_document import FirstDocument, first_of
from events.ids import TaskId, document_id
from tests.facts import UNTIL_INDEXED
from tests.specification import given
from tests.strategies import TASKS

ACCEPTED = given(DOCUMENT, UNTIL_INDEXED[0]).state
FILENAME = filename_of(ACCEPTED)


def named(task: TaskId, ordinals: tuple[int, ...], *, of: TaskId) -> FirstDocument | None:
    known = None
    for ordinal in ordinals:
        known = first_of(task, known, document_id(of, ordinal), ACCEPTED)
    return known


def test_it_is_the_first_of_the_request_in_whatever_order_they_are_seen() -> None:
    found = {named(TASKS[0], order, of=TASKS[0]) for order in permutations(range(4))}
    assert found == {FirstDocument(document_id(TASKS[0], 0), FILENAME)}


def test_a_task_that_works_on_documents_of_another_is_named_by_the_least() -> None:
    found = {named(TASKS[0], order, of=TASKS[1]) for order in permutations(range(4))}
    assert {one.document_id for one in found if one} == {min(document_id(TASKS[1], one) for one in range(4))}


def test_what_is_seen_again_without_another_name_is_the_same_object() -> None:
    known = named(TASKS[0], (0,), of=TASKS[0])
    assert known is not None
    assert first_of(TASKS[0], known, known.document_id, ACCEPTED) is known
