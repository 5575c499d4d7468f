"""What benchmarks report: figures, their goals, and which earlier run a run is compared with."""

import sys
from pathlib import Path

import msgspec
import pytest

from bench.figures import Bound, Figure, Goal, Of, Peer, figure_of, note, reported
from bench.promises import PROMISES, at_least, at_most, ratio_at_least
from bench.results import Machine, Result, Run, followed_by
from bench.table import goal_reached, rows_of, told_of

MACHINE = Machine("x86_64", 2, 8.0, "Linux")


def a_run(commit: str, *, load: float = 0.1, figures: list[Figure] | None = None) -> Run:
    return Run(
        date="2026-01-01", commit=commit, load=load, took_seconds=1, machine=MACHINE, versions={}, figures=figures or []
    )


def test_a_figure_is_the_median_of_its_rounds_and_its_ratio_that_of_each_round() -> None:
    found = figure_of("append", "/s", [10, 30, 20], Peer("script", [10, 60, 10]))

    assert (found.value, found.low, found.high, found.rounds) == (20, 10, 30, 3)
    assert (found.peer_value, found.ratio) == (10, 1.0)


def test_rounds_of_different_number_are_compared_by_their_medians() -> None:
    assert figure_of("append", "/s", [10, 30, 20], Peer("script", [40])).ratio == 0.5


@pytest.mark.parametrize(
    ("goal", "share"),
    [
        (at_least(40), 0.5),
        (at_least(20), 1.0),
        (at_most(10), 0.5),
        (at_most(40), 2.0),
        (ratio_at_least(0.8), 2.5),
        (Goal(Bound.AT_MOST, Of.RATIO, 1.0), 0.5),
    ],
)
def test_a_goal_is_reached_by_a_share(goal: Goal, share: float) -> None:
    figure = msgspec.structs.replace(figure_of("f", "ms", [20], Peer("peer", [10])), goal=goal)

    assert figure.share == pytest.approx(share)
    assert goal_reached(figure) is (share >= 1)


def test_a_goal_about_a_peer_who_was_not_measured_is_missed() -> None:
    figure = msgspec.structs.replace(figure_of("f", "ms", [20]), goal=ratio_at_least(1))

    assert figure.share == 0


def test_a_run_is_compared_with_the_last_quiet_run_of_another_commit() -> None:
    quiet, busy = a_run("aaa"), a_run("bbb", load=7)

    once = followed_by(Result(quiet), busy)
    again = followed_by(once, a_run("ccc"))

    assert once.before == quiet
    assert again.before == quiet


def test_a_run_that_is_repeated_keeps_what_it_is_compared_with() -> None:
    earlier = a_run("aaa")

    found = followed_by(Result(a_run("bbb"), earlier), a_run("bbb"))

    assert found.before == earlier


def test_without_a_quiet_run_the_last_one_serves() -> None:
    busy = a_run("aaa", load=9)

    assert followed_by(Result(busy), a_run("bbb")).before == busy


def test_a_row_of_the_table_tells_the_goal_and_the_figure_before() -> None:
    before = figure_of("fold", "/s", [500_000], Peer("bare", [1_000_000]))
    now = msgspec.structs.replace(
        figure_of("fold", "/s", [600_000], Peer("bare", [1_000_000])), goal=ratio_at_least(0.8)
    )

    (row,) = rows_of(Result(a_run("bbb", figures=[now]), a_run("aaa", load=3, figures=[before])))

    assert row == "| fold | 600,000 /s |  | bare: 1,000,000 | 0.60 | ≥ 0.8 x | **0.75 of it** | 0.50 x (`aaa`, busy) |"


def test_what_a_benchmark_noted_is_written_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "figures.json"
    monkeypatch.setattr(sys, "argv", ["append.py", "200", "--json", str(path)])

    with reported():
        note("noted by a test", "ms", 3.5)
        assert sys.argv == ["append.py", "200"]

    assert msgspec.json.decode(path.read_bytes(), type=list[Figure])[-1] == figure_of("noted by a test", "ms", [3.5])


def test_a_benchmark_that_fails_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "figures.json"
    monkeypatch.setattr(sys, "argv", ["append.py", "--json", str(path)])

    with pytest.raises(ZeroDivisionError), reported():
        raise ZeroDivisionError

    assert not path.exists()


def test_every_promise_has_a_command_and_a_name_of_its_own() -> None:
    folder = Path(__file__).parents[3] / "bench"

    assert len({promise.name for promise in PROMISES}) == len(PROMISES)
    assert [promise.name for promise in PROMISES if not (folder / f"{promise.module}.py").is_file()] == []


def test_a_run_tells_how_fast_the_machine_was_and_an_older_one_that_did_not_is_read_all_the_same() -> None:
    told = msgspec.structs.replace(a_run("aaa"), pace_ns=36.4)

    assert "load 0.1, 36 ns an addition, 1 s" in told_of(PROMISES[0], told)
    assert "addition" not in told_of(PROMISES[0], a_run("aaa"))
    older = msgspec.json.encode({name: value for name, value in msgspec.to_builtins(told).items() if name != "pace_ns"})
    assert msgspec.json.decode(older, type=Run).pace_ns == 0.0
