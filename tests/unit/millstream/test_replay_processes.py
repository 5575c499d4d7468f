"""How many processes a replay is worth."""

import multiprocessing
import os

import pytest

from millstream.replay_processes import EVENTS_MIN, PROCESSES_BY_DEFAULT_MAX, processes_at_hand, processes_for
from millstream.replay_wanted import Planned, Wanted
from projections.as_of import Moment


def planned(*events: int) -> list[Planned]:
    return [Planned(partition, count, count, 1) for partition, count in enumerate(events)]


def test_a_short_history_is_folded_by_the_process_that_was_asked() -> None:
    assert processes_for(None, planned(EVENTS_MIN // 2, EVENTS_MIN // 2 - 1)) == 1


def test_a_long_one_by_a_process_a_core() -> None:
    assert processes_for(None, planned(*[EVENTS_MIN] * 500)) == min(os.cpu_count() or 1, PROCESSES_BY_DEFAULT_MAX)


def test_never_by_more_than_there_are_partitions_with_events() -> None:
    assert processes_for(None, planned(EVENTS_MIN, 0, 0)) == 1
    assert processes_for(8, planned(1, 1, 0)) == 2
    assert processes_for(8, planned(0, 0)) == 1


def test_as_many_as_a_person_asks_for() -> None:
    assert processes_for(1, planned(EVENTS_MIN, EVENTS_MIN)) == 1
    assert processes_for(2, planned(1, 1, 1)) == 2


@pytest.mark.parametrize("wanted", [Wanted(processes=1), Wanted(is_dry_run=True), Wanted(as_of=Moment(1, 0))])
def test_none_is_begun_where_one_does_it_all(wanted: Wanted) -> None:
    with processes_at_hand(wanted) as pool:
        assert pool is None
    assert multiprocessing.active_children() == []


def test_those_that_were_begun_and_are_not_wanted_end() -> None:
    with processes_at_hand(Wanted(processes=2)) as pool:
        assert pool is not None
    assert multiprocessing.active_children() == []
