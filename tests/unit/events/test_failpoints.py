"""Failpoints: what a rule says, that each fires once, and that every place lies in the code."""

import re
from pathlib import Path

import pytest

from events.failpoints import Action, FailpointReached, Failpoints, Place, Rule, UnknownFailpoint, parse_rules

SOURCES = Path(__file__).resolve().parents[3] / "src"


def test_rules_are_read_from_one_line() -> None:
    assert parse_rules("worker.parsed=kill9; api.appended=raise@2;projector.folded=sleep:1.5") == (
        Rule(Place.WORKER_PARSED, Action.KILL, 0.0, 1),
        Rule(Place.API_APPENDED, Action.RAISE, 0.0, 2),
        Rule(Place.PROJECTOR_FOLDED, Action.SLEEP, 1.5, 1),
    )


@pytest.mark.parametrize(
    "text",
    ["worker.parsed", "nowhere=kill9", "worker.parsed=explode", "worker.parsed=kill9@0", "worker.parsed=sleep",
     "worker.parsed=kill9:3", "worker.parsed=sleep:99999"],
)  # fmt: skip
def test_what_is_no_rule_is_refused_with_what_would_be_one(text: str) -> None:
    with pytest.raises(UnknownFailpoint):
        parse_rules(text)


def test_nothing_happens_where_nothing_is_armed(tmp_path: Path) -> None:
    for place in Place:
        Failpoints((), tmp_path).reach(place)
    assert list(tmp_path.iterdir()) == []


def test_a_rule_fires_at_its_passage_and_never_again() -> None:
    armed = Failpoints(parse_rules("worker.taken=raise@3"))
    armed.reach(Place.WORKER_TAKEN)
    armed.reach(Place.WORKER_FETCHED)
    armed.reach(Place.WORKER_TAKEN)
    with pytest.raises(FailpointReached, match=r"worker\.taken"):
        armed.reach(Place.WORKER_TAKEN)
    armed.reach(Place.WORKER_TAKEN)


def test_processes_that_share_a_directory_fire_a_rule_once(tmp_path: Path) -> None:
    rules = parse_rules("worker.taken=raise")
    with pytest.raises(FailpointReached):
        Failpoints(rules, tmp_path).reach(Place.WORKER_TAKEN)
    assert (tmp_path / "worker.taken").exists(), "a test can see that it fired"
    Failpoints(rules, tmp_path).reach(Place.WORKER_TAKEN)


def test_every_place_is_somewhere_in_the_code() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES.rglob("*.py") if path.name != "failpoints.py")
    assert set(re.findall(r"failpoint\(Place\.(\w+)\)", code)) == {place.name for place in Place}
