"""Throughput: sums that do not depend on any order, in a ring that does not grow."""

from functools import reduce
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.commands import FailStep
from events.document import StepStarted
from events.ids import partition_of
from events.inbox import InboxKey
from events.memory import MemoryLog
from events.memory_inbox import MemoryInbox
from events.steps import Lane, Step
from projections.memory_views import MemoryViews
from projections.projection import THROUGHPUT
from projections.system import System
from projections.throughput import (
    BUCKETS_MAX,
    MINUTE_US,
    MINUTES_KEPT,
    TOTAL,
    StepThroughput,
    Tallies,
    ThroughputRow,
    bucket_end_ms,
    bucket_of,
    decode,
    encode,
    merged,
    quantile_ms,
    row_key,
    summed,
)
from tests.event_samples import T0_US, envelope, new_document, new_task
from tests.examples import examples
from tests.projecting import project
from tests.workshop import FIRST_US, Workshop

counts = st.integers(0, 5)
durations = st.lists(counts, max_size=4).map(lambda found: (*found, 1))
steps = st.builds(StepThroughput, st.sampled_from(Step), counts, counts, counts, counts, durations, counts)
rows = st.builds(
    ThroughputRow,
    st.sampled_from([7, 7 + MINUTES_KEPT, 7 + 2 * MINUTES_KEPT]),
    st.integers(1, 9),
    st.lists(steps, max_size=3).map(summed),
)


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(rows, min_size=1, max_size=4))
def test_minutes_of_one_place_give_the_same_row_in_whatever_order_they_come(found: list[ThroughputRow]) -> None:
    results = {encode(reduce(merged, order[1:], order[0])) for order in permutations(found)}
    assert len(results) == 1
    row = decode(results.pop())
    same_minute = [one for one in found if one.minute == row.minute]
    assert row.minute == max(one.minute for one in found), "the later one takes the place"
    assert row.events == sum(one.events for one in same_minute)
    assert row.steps == summed(step for one in same_minute for step in one.steps)


@pytest.mark.parametrize(
    ("duration_us", "bucket"), [(-5, 0), (0, 0), (999, 0), (1_000, 1), (2_000, 3), (2_999, 3), (3_000, 4), (4_000, 5)]
)
def test_a_duration_falls_into_half_an_octave(duration_us: int, bucket: int) -> None:
    assert bucket_of(duration_us) == bucket


def test_a_day_falls_into_the_last_bucket() -> None:
    assert bucket_of(86_400_000_000) == BUCKETS_MAX - 1


@given(st.lists(st.integers(1_000, 900_000_000), min_size=1, max_size=50), st.sampled_from([0.5, 0.95]))
@settings(max_examples=examples(30), deadline=None)
def test_a_quantile_is_right_to_a_fifth(found: list[int], share: float) -> None:
    buckets = [0] * BUCKETS_MAX
    for duration_us in found:
        buckets[bucket_of(duration_us)] += 1
    rank = next(place for place in range(len(found)) if place + 1 >= share * len(found))
    exact_ms = sorted(found)[rank] / 1_000
    told = quantile_ms(tuple(buckets), share)
    assert told is not None
    # Durations are cut to whole milliseconds: a third of the shortest.
    assert exact_ms / 1.7 <= told <= exact_ms * 1.25


def test_nothing_ended_has_no_quantile() -> None:
    assert quantile_ms((), 0.5) is None


def test_the_ring_holds_an_hour_and_a_row_is_small() -> None:
    """A row that is written with each commit may not be larger than what it goes with."""
    assert len({row_key(minute) for minute in range(29_000_000, 29_001_000)}) == MINUTES_KEPT
    full = tuple(StepThroughput(step, 10**6, 10**6, 10**6, 10**6, (10**5,) * BUCKETS_MAX) for step in Step)
    assert len(encode(ThroughputRow(29_000_000, 10**6, full))) < 2_200


def test_an_event_counts_in_the_minute_in_which_it_was_recorded() -> None:
    tallies, task = Tallies(), new_task()
    for at_us in (T0_US, T0_US + 1, T0_US + MINUTE_US):
        started = StepStarted(step=Step.PARSE, attempt=1, worker="w")
        tallies.add(envelope(new_document(), 2, started, task=task, recorded_at_us=at_us))
    assert [(row.minute * MINUTE_US <= T0_US, row.events) for row in tallies.rows()] == [(True, 2), (False, 1)]


class World:
    def __init__(self) -> None:
        self.log = MemoryLog(partitions=2, clock_us=lambda: FIRST_US)
        self.views = MemoryViews(partitions=2, clock_ms=lambda: 1_000)
        self.workshop = Workshop(self.log)
        self.now_us = FIRST_US + 1_000_000
        self.system = System(self.log, self.views, MemoryInbox(self.log), clock_us=lambda: self.now_us)


async def test_the_flow_of_the_mill_tells_what_each_step_did_and_what_waits() -> None:
    world = World()
    for partition in range(2):
        knowledge_base = await world.workshop.create(partition=partition)
        await world.workshop.through(knowledge_base)
        _, (retried, failed, _waiting) = await world.workshop.submit(knowledge_base, 3)
        await world.workshop.start(retried)
        again = FailStep(step=Step.PARSE, attempt=1, code="timeout", message="slow", retry_at_us=FIRST_US)
        await world.workshop.work(retried, again)
        await world.workshop.fail(failed)
    events = [(await world.log.head(partition)).number for partition in range(2)]
    before = await world.system.flow()
    assert (before.lag_events, before.events_per_s) == (sum(events), 0)
    await project(world.log, world.views)
    flow = await world.system.flow()
    assert flow.lag_events == 0
    assert [one.events for one in flow.partitions] == events
    assert sum(one.events for one in flow.minutes) == sum(events)
    assert flow.events_per_s == round(sum(events) / flow.window_s, 3)
    by_step = {one.step: one for one in flow.steps}
    parse = by_step[Step.PARSE]
    assert (parse.started, parse.succeeded, parse.retried, parse.failed) == (6, 2, 2, 2)
    inboxes = MemoryInbox(world.log)
    keys = [InboxKey(partition, Step.PARSE, lane) for partition in range(2) for lane in Lane]
    assert parse.waiting == sum([(await inboxes.depth(key)).waiting for key in keys]) > 0
    assert (by_step[Step.INDEX].started, by_step[Step.INDEX].succeeded) == (2, 2)
    assert by_step[Step.FINISH].succeeded == 2
    assert by_step[Step.FINISH].duration_p50_ms is None, "it records no start"
    # A workshop's attempts take a tick or two of a millisecond.
    assert 1 <= (parse.duration_p50_ms or 0) <= 3


async def test_a_minute_of_an_hour_ago_is_none_of_the_present_window() -> None:
    world = World()
    knowledge_base = await world.workshop.create()
    await world.workshop.through(knowledge_base)
    await project(world.log, world.views)
    held = [row async for row in world.views.scan_rows(partition_of(knowledge_base), 1, THROUGHPUT)]
    assert [name for name, _ in held if name != TOTAL.id] == [row_key(FIRST_US // MINUTE_US).id]
    world.now_us += MINUTES_KEPT * MINUTE_US
    flow = await world.system.flow()
    assert sum(one.events for one in flow.minutes) == 0
    assert all(one.started == 0 for one in flow.steps)


async def test_the_total_counts_what_left_the_ring_long_ago_and_is_the_same_when_it_is_folded_again() -> None:
    world = World()
    for _ in range(2):
        # The ring has no place for both: the second comes hours after the first.
        world.workshop.let_pass(5 * MINUTES_KEPT * MINUTE_US)
        await world.workshop.through(await world.workshop.create())
        await project(world.log, world.views)
    live = await world.system.totals()
    steps = {one.step: one for one in live.steps}
    parse = steps[Step.PARSE]
    assert (parse.started, parse.succeeded, sum(parse.durations)) == (2, 2, 2)
    assert parse.duration_ms >= 2, "each took a tick of a millisecond at least"
    assert steps[Step.FINISH].succeeded == 2
    assert live.events == sum([(await world.log.head(partition)).number for partition in range(2)])
    anew = System(
        world.log, again := MemoryViews(partitions=2, clock_ms=lambda: 1_000), MemoryInbox(world.log), clock_us=int
    )
    await project(world.log, again)
    assert await anew.totals() == live


@given(st.integers(0, 10**12))
def test_a_bucket_ends_behind_every_duration_in_it(duration_us: int) -> None:
    bucket = bucket_of(duration_us)
    assert duration_us // 1_000 < bucket_end_ms(bucket)
    assert bucket == 0 or duration_us // 1_000 >= bucket_end_ms(bucket - 1) - 1e-6
