"""The laws of the facts and their folds, each named after its number in the design; law 12 is checked on the log."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain import commands as c
from domain.counts import Counts, counts_of, differences, tally_changes, task_of
from domain.decider import Decider, Folded, apply, fold, run
from domain.deciders import DOCUMENT, TASK, knowledge_base_decider
from domain.document import DocumentState, Unknown
from domain.errors import ImpossibleEvent, Refused
from domain.knowledge_base import KnowledgeBaseState
from domain.knowledge_base_status import KnowledgeBaseCounts, difference, share_of
from domain.status import DocumentPhase, document_status
from domain.task import TaskState
from events.document import DocumentRemoved, ReprocessingRequested
from events.envelope import Envelope, UnknownEvent, UnknownReason
from events.errors import VersionGap
from events.ids import EventId, TaskId
from events.log import Tally
from tests.examples import examples
from tests.histories import (
    History,
    Said,
    document_histories,
    document_stories,
    envelopes_of,
    histories_of_documents,
    interleavings,
    knowledge_base_stories,
    task_stories,
)
from tests.strategies import DOCUMENTS, KNOWLEDGE_BASE, TASKS

KNOWLEDGE_BASE_DECIDER = knowledge_base_decider(KNOWLEDGE_BASE)
TERMINAL = {DocumentPhase.COMPLETED, DocumentPhase.FAILED, DocumentPhase.CANCELLED, DocumentPhase.SKIPPED}

laws = settings(
    max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def states_of(history: Iterable[Envelope]) -> list[tuple[Envelope, DocumentState, DocumentState]]:
    """Each event of one document with the states before and after it."""
    steps, folded = [], Folded(DOCUMENT.initial)
    for envelope in history:
        after = apply(DOCUMENT.evolve, folded, envelope)
        steps.append((envelope, folded.state, after.state))
        folded = after
    return steps


@laws
@given(document_histories(), st.data())
def test_law_2_prefix_a_fold_may_stop_at_any_point_and_go_on_from_a_stored_snapshot(
    history: History, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(history)))
    snapshot = fold(DOCUMENT, history[:cut])
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(snapshot), type=Folded[DocumentState])

    assert stored == snapshot
    assert fold(DOCUMENT, history[cut:], stored) == fold(DOCUMENT, history)


@laws
@given(document_histories(), st.data())
def test_law_2_prefix_a_run_is_what_its_events_make_one_by_one_whatever_cannot_follow(
    history: History, data: st.DataObject
) -> None:
    start = fold(DOCUMENT, history[: data.draw(st.integers(0, len(history)))])
    others = data.draw(st.lists(st.sampled_from(history), max_size=5)) if history else []
    some = sorted((*history, *others), key=lambda one: (one.version, one.event_id))
    for place in data.draw(st.lists(st.integers(0, len(some)), max_size=3)):
        version = place + 1
        some[place:place] = [_newer_fact(version)] + [replace(one, version=version) for one in some[place : place + 1]]
    one_by_one, refused, taken = start, 0, list[tuple[Envelope, DocumentState]]()
    for envelope in some:
        try:
            after = apply(DOCUMENT.evolve, one_by_one, envelope)
        except (VersionGap, ImpossibleEvent):
            refused += 1
            continue
        if after is not one_by_one:
            taken.append((envelope, after.state))
        one_by_one = after

    went = run(DOCUMENT.evolve, start, some)

    assert (went.start, went.end, went.refused) == (start, one_by_one, refused)
    assert went.states[0] == start.state
    assert list(zip(went.envelopes, went.states[1:], strict=True)) == taken


@laws
@given(task_stories(), knowledge_base_stories())
def test_law_2_prefix_states_of_tasks_and_knowledge_bases_survive_storage(
    task: tuple[Said, ...], knowledge_base: tuple[Said, ...]
) -> None:
    task_state = fold(TASK, envelopes_of(task)).state
    knowledge_base_state = fold(KNOWLEDGE_BASE_DECIDER, envelopes_of(knowledge_base)).state

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(task_state), type=TaskState) == task_state
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(knowledge_base_state), type=KnowledgeBaseState)
    assert stored == knowledge_base_state


@laws
@given(document_histories(), st.data())
def test_law_3_duplicates_an_event_that_is_in_the_state_already_changes_nothing(
    history: History, data: st.DataObject
) -> None:
    folded = Folded(DOCUMENT.initial)
    for place, envelope in enumerate(history):
        folded = apply(DOCUMENT.evolve, folded, envelope)
        again = history[data.draw(st.integers(0, place))]
        assert apply(DOCUMENT.evolve, folded, again) is folded
    assert fold(DOCUMENT, history, folded) is folded


@laws
@given(document_histories().filter(lambda history: len(history) > 1), st.data())
def test_law_4_gaps_an_event_that_is_not_the_next_is_refused(history: History, data: st.DataObject) -> None:
    missing = data.draw(st.integers(0, len(history) - 2))

    with pytest.raises(VersionGap, match=str(missing + 2)):
        fold(DOCUMENT, (*history[:missing], *history[missing + 1 :]))


def counts_by_task(events: Iterable[Envelope]) -> dict[TaskId, Counts]:
    """What a view keeps: counts by task, changed by the differences that the events make."""
    views: defaultdict[TaskId, Counts] = defaultdict(Counts)
    documents: defaultdict[str, Folded[DocumentState]] = defaultdict(lambda: Folded(DOCUMENT.initial))
    for envelope in events:
        before = documents[envelope.stream_id]
        after = documents[envelope.stream_id] = apply(DOCUMENT.evolve, before, envelope)
        for task, change in differences(before.state, after.state).items():
            views[task] += change
    return dict(views)


@laws
@given(histories_of_documents(), st.data())
def test_law_5_independence_the_order_of_different_documents_events_does_not_matter(
    histories: tuple[History, ...], data: st.DataObject
) -> None:
    one_after_the_other = [envelope for history in histories for envelope in history]
    mixed = data.draw(interleavings(histories))

    assert counts_by_task(mixed) == counts_by_task(one_after_the_other)


@laws
@given(histories_of_documents())
def test_law_6_difference_a_task_view_equals_the_one_computed_from_all_its_documents(
    histories: tuple[History, ...],
) -> None:
    shares: defaultdict[TaskId, Counts] = defaultdict(Counts)
    for history in histories:
        left_as = {task: after for _, _, after in states_of(history) if (task := task_of(after)) is not None}
        for task, state in left_as.items():
            shares[task] += counts_of(state)

    assert counts_by_task(envelope for history in histories for envelope in history) == shares


@laws
@given(histories_of_documents())
def test_law_6_difference_the_logs_tally_and_the_view_of_a_task_never_disagree(histories: tuple[History, ...]) -> None:
    tallies: defaultdict[TaskId, Counts] = defaultdict(Counts)
    for history in histories:
        for _, before, after in states_of(history):
            for one in tally_changes(before, after):
                tallies[one.task_id] += _as_counts(one.change)

    for task, view in counts_by_task(envelope for history in histories for envelope in history).items():
        assert tallies[task] == replace(view, queued=0, processing=view.queued + view.processing, progress=0)


def _as_counts(tally: Tally) -> Counts:
    return Counts(0, tally.open_documents, tally.succeeded, tally.failed, tally.cancelled, tally.skipped)


@laws
@given(histories_of_documents())
def test_law_6_difference_a_knowledge_base_view_equals_the_one_computed_from_all_its_documents(
    histories: tuple[History, ...],
) -> None:
    by_difference, whole = KnowledgeBaseCounts(), KnowledgeBaseCounts()
    for history in histories:
        for _, before, after in states_of(history):
            by_difference = by_difference.plus(difference(before, after))
        whole = whole.plus(share_of(fold(DOCUMENT, history).state))

    assert by_difference == whole


@laws
@given(document_histories())
def test_law_7_monotony_progress_never_falls_and_an_end_is_left_on_request_only(history: History) -> None:
    for envelope, state_before, state_after in states_of(history):
        before = document_status(DOCUMENTS[0], state_before, version=0, updated_at_us=0)
        after = document_status(DOCUMENTS[0], state_after, version=0, updated_at_us=0)
        assert after is not None
        if before is None or isinstance(envelope.event, ReprocessingRequested):
            continue
        assert after.progress >= before.progress
        if before.status in TERMINAL:
            assert after.status == before.status or isinstance(envelope.event, DocumentRemoved)


@laws
@given(histories_of_documents(), st.data())
def test_law_8_conservation_the_parts_of_a_task_add_up_at_every_prefix(
    histories: tuple[History, ...], data: st.DataObject
) -> None:
    views: defaultdict[TaskId, Counts] = defaultdict(Counts)
    documents: dict[str, DocumentState] = defaultdict(Unknown)
    worked_on: defaultdict[TaskId, set[str]] = defaultdict(set)
    for envelope in data.draw(interleavings(histories)):
        before = documents[envelope.stream_id]
        after = documents[envelope.stream_id] = DOCUMENT.evolve(before, envelope.event, envelope.recorded_at_us)
        for task, change in differences(before, after).items():
            views[task] += change
            worked_on[task].add(envelope.stream_id)
        for task, view in views.items():
            assert view.documents == len(worked_on[task])
            assert min(msgspec.structs.astuple(view)) >= 0
            assert view.progress <= 1_000 * view.documents


@laws
@given(document_histories(), st.data())
def test_law_9_future_unknown_events_change_nothing_but_their_own_count(history: History, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(history)), max_size=5))
    mixed = list(history)
    for place in sorted(places, reverse=True):
        mixed.insert(place, _of_the_future(data))
    numbered = [replace(envelope, version=version) for version, envelope in enumerate(mixed, start=1)]

    known, folded = fold(DOCUMENT, history), fold(DOCUMENT, numbered)
    assert folded == Folded(known.state, known.version + len(places), len(places))


def _of_the_future(data: st.DataObject) -> Envelope:
    return Envelope(
        event_id=EventId("0" * 32),
        stream_id=DOCUMENTS[0],
        version=1,
        event=UnknownEvent("DocumentAdmired", 1, data.draw(st.sampled_from(list(UnknownReason)))),
        recorded_at_us=0,
        correlation_id=TASKS[0],
    )


def _says_nothing_twice(decider: Decider[Any, Any], story: tuple[Said, ...]) -> None:
    folded = Folded(decider.initial)
    for said in story:
        folded = fold(decider, said.led_to, folded)
        if said.led_to:
            assert decider.decide(said.command, folded.state) == ()


@laws
@given(document_stories(), task_stories(), knowledge_base_stories())
def test_law_10_idempotence_a_command_repeated_on_what_it_led_to_yields_no_event(
    document: tuple[Said, ...], task: tuple[Said, ...], knowledge_base: tuple[Said, ...]
) -> None:
    _says_nothing_twice(DOCUMENT, document)
    _says_nothing_twice(TASK, task)
    _says_nothing_twice(KNOWLEDGE_BASE_DECIDER, knowledge_base)


ON_WISH = c.CancelDocument | c.ChangeDocument | c.EditChunk
"""Commands that may be meant again later: what was cancelled, then retried, can be cancelled again."""


@laws
@given(document_stories())
def test_law_10_idempotence_however_late_a_delivery_comes_again_its_result_enters_once(story: tuple[Said, ...]) -> None:
    folded, carried_out = Folded(DOCUMENT.initial), list[c.DocumentCommand]()
    for said in story:
        folded = fold(DOCUMENT, said.led_to, folded)
        if said.led_to and not isinstance(said.command, ON_WISH):
            carried_out.append(said.command)
        for command in carried_out:
            try:
                assert DOCUMENT.decide(command, folded.state) == ()
            except Refused:
                continue


def test_every_document_command_is_among_those_that_the_laws_are_checked_with() -> None:
    led_somewhere: set[type] = set()

    @settings(max_examples=100, deadline=None, database=None, derandomize=True)
    @given(document_stories())
    def collect(story: tuple[Said, ...]) -> None:
        led_somewhere.update(type(said.command) for said in story if said.led_to)

    collect()
    assert led_somewhere == set(get_args(c.DocumentCommand))


def _newer_fact(version: int) -> Envelope:
    return Envelope(
        event_id=EventId(f"{version:032x}"),
        stream_id=DOCUMENTS[0],
        version=version,
        event=UnknownEvent("DocumentPraised", 1, UnknownReason.UNKNOWN_TYPE),
        recorded_at_us=1,
        correlation_id=TASKS[0],
    )
