"""Whose delivery is next."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from events.ids import EventId, KnowledgeBaseId
from events.inbox import Delivery
from events.steps import Lane, Step
from processors.turns import BULK_FIRST_EVERY, fair_turns, inboxes_in_turn


def delivery(knowledge_base: str, place: int, lane: Lane) -> Delivery:
    return Delivery(
        step=Step.PARSE,
        lane=lane,
        partition=0,
        entry_id=f"{place}-0",
        stream_id=f"doc {place}",
        version=1,
        event_id=EventId(f"{place:032x}"),
        correlation_id="task",
        knowledge_base_id=KnowledgeBaseId(knowledge_base),
    )


SWEEPS = st.integers(0, 10_000)
DELIVERIES = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(Lane)), max_size=40).map(
    lambda picks: [delivery(knowledge_base, place, lane) for place, (knowledge_base, lane) in enumerate(picks)]
)


@given(st.integers(1, 64), SWEEPS)
def test_every_inbox_of_the_step_is_asked_once_a_sweep(partitions: int, sweep: int) -> None:
    asked = inboxes_in_turn(Step.EMBED, partitions, sweep)
    assert len(asked) == len(set(asked)) == 2 * partitions
    assert {key.step for key in asked} == {Step.EMBED}


@given(st.integers(1, 64), SWEEPS)
def test_a_lane_is_asked_as_a_whole_and_interactive_first_but_every_eighth_time(partitions: int, sweep: int) -> None:
    lanes = [key.lane for key in inboxes_in_turn(Step.PARSE, partitions, sweep)]
    first = Lane.BULK if sweep % BULK_FIRST_EVERY == 7 else Lane.INTERACTIVE
    assert lanes[:partitions] == [first] * partitions
    assert set(lanes[partitions:]) == set(Lane) - {first}


@given(st.integers(1, 32), SWEEPS)
def test_every_partition_goes_first_equally_often(partitions: int, start: int) -> None:
    firsts = Counter(
        inboxes_in_turn(Step.PARSE, partitions, sweep)[0].partition for sweep in range(start, start + 3 * partitions)
    )
    assert firsts == dict.fromkeys(range(partitions), 3)


@given(DELIVERIES)
def test_fair_turns_lose_nothing_and_keep_the_order_within_a_knowledge_base_and_lane(taken: list[Delivery]) -> None:
    ordered = fair_turns(taken)
    assert sorted(ordered, key=taken.index) == taken
    for knowledge_base in "abcd":
        for lane in Lane:
            mine = [one for one in taken if one.knowledge_base_id == knowledge_base and one.lane is lane]
            assert [one for one in ordered if one in mine] == mine


@given(DELIVERIES)
def test_within_a_lane_no_knowledge_base_is_two_turns_ahead_while_another_waits(taken: list[Delivery]) -> None:
    for lane in Lane:
        ordered = [one for one in fair_turns(taken) if one.lane is lane]
        totals = Counter(one.knowledge_base_id for one in ordered)
        served: Counter[KnowledgeBaseId] = Counter()
        for one in ordered:
            served[one.knowledge_base_id] += 1
            waiting = [served[other] for other in totals if served[other] < totals[other]]
            assert all(served[one.knowledge_base_id] <= count + 1 for count in waiting)


@given(DELIVERIES)
def test_the_lane_that_was_taken_first_stays_first(taken: list[Delivery]) -> None:
    lanes = [one.lane for one in fair_turns(taken)]
    if taken:
        assert lanes == [taken[0].lane] * lanes.count(taken[0].lane) + [
            lane for lane in lanes if lane is not taken[0].lane
        ]
