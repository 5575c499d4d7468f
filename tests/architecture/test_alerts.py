"""Alerts and dashboard: made of metrics that are served, each alert with what to do about it."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from millstream.observing import catalogue
from millstream.observing.registry import Family, Kind
from tests.architecture.schemas import read_yaml

ROOT: Final = Path(__file__).resolve().parents[2]
RULES: Final = ROOT / "deploy" / "prometheus" / "rules.yml"
RULES_TEST: Final = RULES.with_name("rules_test.yml")
DASHBOARD: Final = ROOT / "deploy" / "grafana" / "millstream.json"
RUNBOOK: Final = ROOT / "docs" / "operations.md"

_METRIC: Final = re.compile(r"\b((?:millstream|process)_[a-z0-9_]+)(?:\{([^}]*)\})?")
needs_promtool: Final = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (of Prometheus) is not installed"
)


def rules() -> list[dict[str, Any]]:
    groups = read_yaml(RULES)[0]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def expressions() -> list[str]:
    shown = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    assert len(shown) >= 20
    return [*shown, *(rule["expr"] for rule in rules())]


def samples_of(family: Family) -> Iterator[tuple[str, set[str]]]:
    """The names that samples have, with their labels."""
    if family.kind is Kind.HISTOGRAM:
        yield f"{family.name}_bucket", {*family.labels, "le"}
        yield f"{family.name}_sum", set(family.labels)
        yield f"{family.name}_count", set(family.labels)
    else:
        yield family.name, set(family.labels)


SERVED: Final = {name: labels for family in catalogue.EVERYTHING for name, labels in samples_of(family)}
BY_PROMETHEUS: Final = {"job", "instance"}


@pytest.mark.parametrize("expression", expressions())
def test_every_expression_asks_for_metrics_and_labels_that_are_served(expression: str) -> None:
    asked = _METRIC.findall(expression)
    asked = [one for one in asked if one[0] != "millstream_"]
    recorded = re.findall(r"\bmillstream:[a-z0-9_:]+", expression)
    assert asked or recorded
    known = {rule["record"] for rule in rules() if "record" in rule}
    assert set(recorded) <= known
    labels: set[str] = set()
    for name, matchers in asked:
        assert name in SERVED, name
        labels |= SERVED[name]
        matched = set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", matchers))
        assert matched <= SERVED[name] | BY_PROMETHEUS, name
    for group in re.findall(r"\bby \(([^)]*)\)", expression):
        grouped = {one.strip() for one in group.split(",")}
        # An alert may call a group of consumers after the step that it serves.
        assert grouped <= labels | ({"step"} if "label_replace" in expression else set())


@pytest.mark.parametrize("expression", expressions())
def test_no_figure_of_the_installation_is_summed_over_the_processes_that_all_tell_it(expression: str) -> None:
    of_all = {name for family in catalogue.INSTALLATION for name, _ in samples_of(family)}
    for name, _ in _METRIC.findall(expression):
        if name in of_all:
            within = re.split(rf"\b{name}\b", expression)[0]
            aggregations = re.findall(r"\b(sum|max|avg|min|absent)\b", within)
            assert aggregations, expression
            assert aggregations[-1] in {"max", "absent"}, expression


@pytest.mark.parametrize("name", sorted(alerts()))
def test_each_alert_says_what_is_wrong_and_the_page_what_to_do(name: str) -> None:
    alert = alerts()[name]
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert alert["annotations"]["summary"].endswith(".")
    path, _, anchor = alert["annotations"]["runbook"].partition("#")
    assert (ROOT / path, anchor) == (RUNBOOK, name.lower())
    sections = re.split(r"^### ", RUNBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    told = [section for section in sections if section.startswith(f"{name}\n")]
    assert len(told) == 1
    assert len(told[0]) > 150, "a heading is no help at three in the morning"


def test_the_page_tells_of_no_alert_that_is_gone() -> None:
    told = re.findall(r"^### (Millstream\w+)$", RUNBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(told) == sorted(alerts())


def test_what_an_alert_goes_by_is_on_the_dashboard() -> None:
    shown = {name for panel in panels() for target in panel.get("targets", ()) for name in metrics_of(target["expr"])}
    asked = {name: metrics_of(alert["expr"]) for name, alert in alerts().items()}
    assert {name: missing for name, metrics in asked.items() if (missing := metrics - shown)} == {}
    assert "millstream_partitions_halted" in shown


def metrics_of(expression: str) -> set[str]:
    """Those of this service; how often its processes start is on the dashboard of whatever starts them."""
    return {name for name, _ in _METRIC.findall(expression) if name.startswith("millstream_")}


def test_the_dashboard_s_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())


@needs_promtool
def test_prometheus_takes_the_rules_and_they_fire_when_they_should() -> None:
    for verb, path in (("check", RULES), ("test", RULES_TEST)):
        checked = subprocess.run(
            ["promtool", verb, "rules", path.name], cwd=path.parent, capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
