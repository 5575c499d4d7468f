"""Which documents are dead letters, and what is shown of them."""

import pytest

from domain.dead_letters import DeadLetterQuery, dead_letter_of
from domain.deciders import DOCUMENT
from events.ids import KnowledgeBaseId
from events.steps import Step
from tests.facts import (
    DOCUMENT_ID,
    OTHER_TASK_ID,
    TASK_ID,
    UNTIL_CHUNKED,
    UNTIL_ENDED,
    UNTIL_GONE,
    UNTIL_INDEXED,
    UNTIL_OPEN,
    failed,
    reprocessing,
    retried,
    started,
)
from tests.specification import given
from tests.strategies import KNOWLEDGE_BASE

AT_EMBED = (*UNTIL_CHUNKED, started(Step.EMBED), retried(Step.EMBED), started(Step.EMBED, 2), failed(Step.EMBED))
ALL = {**{step.value: past for step, past in UNTIL_OPEN.items()}, **UNTIL_ENDED, **UNTIL_GONE}


@pytest.mark.parametrize("name", ALL)
def test_what_failed_is_a_dead_letter_and_nothing_else_is(name: str) -> None:
    state = given(DOCUMENT, *ALL[name]).state
    assert (dead_letter_of(DOCUMENT_ID, state) is not None) == (name == "failed")
    assert DeadLetterQuery().takes(state) == (name == "failed")


def test_a_dead_letter_tells_where_and_why_and_how_often() -> None:
    letter = dead_letter_of(DOCUMENT_ID, given(DOCUMENT, *AT_EMBED).state)
    assert letter is not None
    assert (letter.document_id, letter.task_id, letter.knowledge_base_id) == (DOCUMENT_ID, TASK_ID, KNOWLEDGE_BASE)
    assert (letter.filename, letter.step, letter.code, letter.attempts) == ("年报.pdf", Step.EMBED, "parse_failed", 2)
    assert not letter.searchable
    assert letter.failed_at.microsecond == len(AT_EMBED)


def test_a_dead_letter_of_which_older_chunks_serve_says_so() -> None:
    past = (*UNTIL_INDEXED, reprocessing(Step.EMBED), started(Step.EMBED, 2), failed(Step.EMBED))
    letter = dead_letter_of(DOCUMENT_ID, given(DOCUMENT, *past).state)
    assert letter is not None
    assert letter.searchable
    assert letter.task_id == OTHER_TASK_ID


@pytest.mark.parametrize(
    ("query", "is_meant"),
    [
        (DeadLetterQuery(), True),
        (DeadLetterQuery(code="parse_failed", step=Step.EMBED, knowledge_base_id=KNOWLEDGE_BASE, since_us=1), True),
        (DeadLetterQuery(code="no_text"), False),
        (DeadLetterQuery(step=Step.PARSE), False),
        (DeadLetterQuery(knowledge_base_id=KnowledgeBaseId("kb_another")), False),
        (DeadLetterQuery(since_us=len(AT_EMBED)), True),
        (DeadLetterQuery(since_us=len(AT_EMBED) + 1), False),
    ],
)
def test_a_query_means_what_it_says(query: DeadLetterQuery, is_meant: bool) -> None:
    assert query.takes(given(DOCUMENT, *AT_EMBED).state) == is_meant
