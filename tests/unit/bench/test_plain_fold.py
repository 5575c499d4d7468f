"""The loop that our fold is measured beside says of every history what the domain says of it: it leaves nothing out."""

from hypothesis import HealthCheck, given, settings

from bench.fold import FOLDS, differences, fold_of_states
from bench.plain_fold import BY_NAME, plain_fold
from domain.decider import Folded, apply
from events.codec import encode
from events.type_codes import EVENT_TYPES
from tests.examples import examples
from tests.histories import (
    History,
    document_histories,
    envelopes_of,
    knowledge_base_stories,
    task_stories,
)

histories = settings(
    max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def expect_the_same(history: History) -> None:
    payloads = [encode(envelope) for envelope in history]
    states = fold_of_states(payloads)
    assert not differences(plain_fold(payloads), states)
    for stream, folded in states.items():
        one_by_one, evolve = FOLDS[stream[0]]
        for envelope in history:
            one_by_one = apply(evolve, one_by_one, envelope)
        assert Folded(one_by_one.state, one_by_one.version, one_by_one.unknown_events) == folded


def test_it_handles_every_type_of_event() -> None:
    assert set(BY_NAME) == set(EVENT_TYPES)


@histories
@given(document_histories())
def test_documents_end_as_the_domain_says(history: History) -> None:
    expect_the_same(history)


@histories
@given(task_stories().map(envelopes_of))
def test_tasks_end_as_the_domain_says(history: History) -> None:
    expect_the_same(history)


@histories
@given(knowledge_base_stories().map(envelopes_of))
def test_knowledge_bases_end_as_the_domain_says(history: History) -> None:
    expect_the_same(history)
