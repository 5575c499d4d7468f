"""Old facts are carried to the present one step at a time."""

import pytest

from events.codec import EVENT_TYPES
from events.upcasters import CURRENT_VERSIONS, UPCASTERS, Facts, current_version, upcast

VERSIONS = {"Renamed": 3}


def rename(facts: Facts) -> Facts:
    return {"title": facts["name"]}


def default(facts: Facts) -> Facts:
    return {**facts, "language": None}


STEPS = {("Renamed", 1): rename, ("Renamed", 2): default}


@pytest.mark.parametrize(
    ("version", "facts"), [(1, {"name": "a"}), (2, {"title": "a"}), (3, {"title": "a", "language": None})]
)
def test_every_old_version_arrives_at_the_current_one(version: int, facts: Facts) -> None:
    found = upcast("Renamed", version, facts, upcasters=STEPS, versions=VERSIONS)
    assert found == {"title": "a", "language": None}


def test_a_missing_step_is_loud() -> None:
    with pytest.raises(KeyError):
        upcast("Renamed", 1, {"name": "a"}, upcasters={}, versions=VERSIONS)


def test_a_type_that_never_changed_stands_at_its_first_version() -> None:
    assert current_version("DocumentParsed", {}) == 1


def test_no_version_below_the_current_one_lacks_its_step() -> None:
    assert set(CURRENT_VERSIONS) <= set(EVENT_TYPES)
    wanted = {(name, version) for name, current in CURRENT_VERSIONS.items() for version in range(1, current)}
    assert set(UPCASTERS) == wanted
