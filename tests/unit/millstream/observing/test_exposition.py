"""Metrics: written as the format asks, bounded, and one meaning for each name."""

import re
import shutil
import subprocess
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.steps import Step
from millstream.observing import catalogue
from millstream.observing.exposition import exposed
from millstream.observing.installation import distribution_of
from millstream.observing.registry import OTHER, Family, Kind, Registry
from projections.throughput import BUCKETS_MAX, StepThroughput, bucket_of
from tests.prometheus_text import read

COUNTER = Family(name="grain_total", kind=Kind.COUNTER, help='Grain, "ground"\nand \\ not.', labels=("mill", "kind"))
GAUGE = Family(name="stones", kind=Kind.GAUGE, help="Stones.")
HISTOGRAM = Family(name="turn_seconds", kind=Kind.HISTOGRAM, help="Turns.", labels=("mill",), bounds=(0.5, 1.0, 60.0))

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.floats(0, 1e18, allow_nan=False)


def filled(*values: float) -> Registry:
    registry = Registry()
    for value in values:
        registry.observe(HISTOGRAM, value, "a")
    return registry


@given(st.dictionaries(st.tuples(texts, texts), numbers, min_size=1, max_size=5))
def test_whatever_is_counted_is_read_again(counted: dict[tuple[str, str], float]) -> None:
    registry = Registry()
    for labels, value in counted.items():
        registry.add(COUNTER, value, *labels)
    found = read(exposed(registry).decode())["grain_total"]
    assert found.type == "counter"
    assert {
        (dict(labels)["mill"], dict(labels)["kind"]): value for (_, labels), value in found.samples.items()
    } == counted


@given(st.lists(st.floats(0, 120), min_size=1, max_size=30))
def test_a_histogram_counts_what_is_no_greater_than_each_bound(observed: list[float]) -> None:
    found = read(exposed(filled(*observed)).decode())["turn_seconds"]
    for bound in (*HISTOGRAM.bounds, inf):
        shown = "+Inf" if bound == inf else f"{bound:g}"
        told = found.samples["turn_seconds_bucket", (("le", shown), ("mill", "a"))]
        assert told == sum(one <= bound for one in observed)
    assert found.samples["turn_seconds_sum", (("mill", "a"),)] == pytest.approx(sum(observed))


def test_a_gauge_moves_both_ways_and_families_stand_in_the_order_of_their_names() -> None:
    registry = filled(0.5)
    registry.add(GAUGE, 3)
    registry.add(GAUGE, -2)
    assert list(read(exposed(registry).decode())) == ["stones", "turn_seconds"]
    assert read(exposed(registry).decode())["stones"].value() == 1


def test_what_has_no_figures_yet_is_not_there() -> None:
    assert exposed(Registry()) == b""


def test_a_stranger_cannot_make_more_series_than_are_allowed() -> None:
    registry = Registry(series_max=10)
    for number in range(1_000):
        registry.add(COUNTER, 1, f"mill-{number}", "k")
        registry.observe(HISTOGRAM, 1, f"mill-{number}")
    found = read(exposed(registry).decode())
    assert len(found["grain_total"].samples) == 11
    assert found["grain_total"].value(mill=OTHER, kind=OTHER) == 990
    assert found["turn_seconds"].count(mill=OTHER) == 990


def test_the_durations_of_the_views_fall_behind_the_bounds_that_they_are_served_with() -> None:
    durations = [0] * BUCKETS_MAX
    took_ms = [0, 1, 2, 3, 4, 5, 63, 64, 1_000, 1_048_575, 1_048_576, 9_999_999]
    for one in took_ms:
        durations[bucket_of(one * 1_000)] += 1
    found = distribution_of(StepThroughput(Step.PARSE, durations=tuple(durations), duration_ms=sum(took_ms)))
    registry = Registry()
    registry.put(catalogue.STEP_SECONDS, found, "parse")
    read(exposed(registry).decode())
    assert len(found.counts) == len(catalogue.STEP_BOUNDS) + 1
    for place, bound in enumerate(catalogue.STEP_BOUNDS):
        assert sum(found.counts[: place + 1]) == sum(one / 1_000 < bound for one in took_ms), bound
    assert found.sum == sum(took_ms) / 1_000


def test_every_metric_has_a_name_of_its_own_that_says_its_unit() -> None:
    names = [family.name for family in catalogue.EVERYTHING]
    assert len(set(names)) == len(names)
    for family in catalogue.EVERYTHING:
        assert re.fullmatch(r"(millstream|process)_[a-z_]+", family.name)
        assert family.help.endswith(".")
        assert family.name.endswith("_total") == (family.kind is Kind.COUNTER)
        assert bool(family.bounds) == (family.kind is Kind.HISTOGRAM)
        assert list(family.bounds) == sorted(set(family.bounds))
        assert family.kind is not Kind.HISTOGRAM or family.name.endswith("_seconds")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (of Prometheus) is not installed")
def test_prometheus_own_checker_finds_nothing_to_complain_of() -> None:
    registry = filled(0.1, 70)
    registry.add(COUNTER, 1, 'a"b\\c\nd', "石磨")
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=exposed(registry), capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr.decode()


def test_the_page_of_metrics_lists_every_metric_and_no_other() -> None:
    page = (Path(__file__).resolve().parents[4] / "docs" / "observability.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `((?:millstream|process)_[a-z_]+)` \| (\w+) \|", page, re.MULTILINE)
    assert sorted(listed) == sorted((family.name, family.kind.value) for family in catalogue.EVERYTHING)
