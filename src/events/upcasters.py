"""Old facts made new: pure steps from plain dict to plain dict, keyed by type and the schema version they read.

A step for `(type, n)` answers the facts as version n + 1 writes them. Steps are never changed once a release has
written their target version; `tests/golden/` holds a file for each version ever written.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

Facts = dict[str, Any]
Upcaster = Callable[[Facts], Facts]


def unchanged(facts: Facts) -> Facts:
    """The later version says what the earlier one said in the same words, and has a word more."""
    return facts


CURRENT_VERSIONS: Final[Mapping[str, int]] = {
    "DocumentFailed": 2,
    "IndexGenerationStarted": 2,
    "ReprocessingRequested": 3,
    "StepFailed": 2,
    "StepStarted": 2,
    "TaskSubmitted": 2,
}
"""Schema version that this program writes, for types past their first; every other type stands at 1."""

UPCASTERS: Final[Mapping[tuple[str, int], Upcaster]] = {
    (name, version): unchanged for name, current in CURRENT_VERSIONS.items() for version in range(1, current)
}


EARLIER_FIELDS: Final[Mapping[tuple[str, int], tuple[str, ...]]] = {}
"""By type and version the fields in the order in which they were written by place, where those of today do not begin
with them. Each version that a step other than `unchanged` leads from has its line here."""


def current_version(event_type: str, versions: Mapping[str, int] = CURRENT_VERSIONS) -> int:
    """The schema version under which this program writes the type."""
    return versions.get(event_type, 1)


def reads_as_today(event_type: str, schema_version: int) -> bool:
    """Whether facts of that version, the current one or older, are today's form as they stand."""
    steps = range(schema_version, current_version(event_type))
    return all(UPCASTERS[event_type, version] is unchanged for version in steps)


def upcast(
    event_type: str,
    schema_version: int,
    facts: Facts,
    *,
    upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
    versions: Mapping[str, int] = CURRENT_VERSIONS,
) -> Facts:
    """Carries facts from the version they were written in to the current one.

    Raises KeyError where a step is missing, which a test excludes for every version below the current one.
    """
    for version in range(schema_version, current_version(event_type, versions)):
        facts = upcasters[event_type, version](facts)
    return facts
