"""Figures of one process by family and labels, kept in memory: counted here, written down in `exposition`.

A family takes so many sets of label values and no more: what comes beyond is counted together under `other`, so that
whoever sends what nobody foresaw cannot make memory or the monitoring grow.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import accumulate
from math import inf
from typing import Final

import msgspec

SERIES_MAX: Final = 1_000
"""Sets of label values of one family: 256 partitions or 90 routes with their answers fit in."""

OTHER: Final = "other"

Labels = tuple[str, ...]


class Kind(StrEnum):
    """The types of the text format; a summary cannot be added up over processes, so there is none."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """One metric: its name ends in its unit, counters in `_total`. `bounds` (of a histogram alone) rise, in that unit;
    the last bucket, without end, comes by itself."""

    name: str
    kind: Kind
    help: str
    labels: Labels = ()
    bounds: tuple[float, ...] = ()


class Distribution(msgspec.Struct):
    """A histogram of one set of label values: how many fell into each bucket alone, and their sum."""

    counts: list[int]
    sum: float = 0.0


class Series(msgspec.Struct, frozen=True):
    """The figures of one set of label values: a number, or of a histogram pairs of bound and cumulated count, and the
    sum."""

    labels: Labels
    value: float = 0.0
    buckets: tuple[tuple[float, int], ...] = ()


class Registry:
    """Not for several threads: each process counts in its event loop."""

    def __init__(self, *, series_max: int = SERIES_MAX) -> None:
        self._series_max = series_max
        self._families: dict[str, Family] = {}
        """By name, as the figures are: to hash a family is to hash all its fields, ten times an upload."""
        self._numbers: dict[str, dict[Labels, float]] = {}
        self._distributions: dict[str, dict[Labels, Distribution]] = {}

    def add(self, family: Family, amount: float = 1, *labels: str) -> None:
        """Raises a counter, or moves a gauge."""
        known = self._numbers_of(family)
        labels = self._within_limit(known, labels)
        known[labels] = known.get(labels, 0) + amount

    def set(self, family: Family, value: float, *labels: str) -> None:
        """What a gauge shows, or how far a counter has come that is kept elsewhere."""
        known = self._numbers_of(family)
        known[self._within_limit(known, labels)] = value

    def observe(self, family: Family, value: float, *labels: str) -> None:
        """One more observation of a histogram."""
        known = self._distributions_of(family)
        labels = self._within_limit(known, labels)
        found = known.get(labels)
        if found is None:
            found = known[labels] = Distribution([0] * (len(family.bounds) + 1))
        # A bound belongs to its bucket: `le` is "less than or equal".
        found.counts[bisect_left(family.bounds, value)] += 1
        found.sum += value

    def put(self, family: Family, distribution: Distribution, *labels: str) -> None:
        """A histogram that was counted elsewhere, by the bounds of the family."""
        known = self._distributions_of(family)
        known[self._within_limit(known, labels)] = distribution

    def families(self) -> Iterator[tuple[Family, Sequence[Series]]]:
        """By name; a family without figures is left out."""
        found: dict[Family, Sequence[Series]] = {
            self._families[name]: [Series(labels, value) for labels, value in sorted(known.items())]
            for name, known in self._numbers.items()
        }
        for name, known in self._distributions.items():
            family = self._families[name]
            found[family] = [_series(family, labels, one) for labels, one in sorted(known.items())]
        yield from sorted(found.items(), key=lambda one: one[0].name)

    def _numbers_of(self, family: Family) -> dict[Labels, float]:
        if (known := self._numbers.get(family.name)) is None:
            known = self._numbers[family.name] = {}
            self._families[family.name] = family
        return known

    def _distributions_of(self, family: Family) -> dict[Labels, Distribution]:
        if (known := self._distributions.get(family.name)) is None:
            known = self._distributions[family.name] = {}
            self._families[family.name] = family
        return known

    def _within_limit(self, known: dict[Labels, float] | dict[Labels, Distribution], labels: Labels) -> Labels:
        if labels in known or len(known) < self._series_max:
            return labels
        return (OTHER,) * len(labels)


def _series(family: Family, labels: Labels, found: Distribution) -> Series:
    bounds = (*family.bounds, inf)
    return Series(labels, found.sum, tuple(zip(bounds, accumulate(found.counts), strict=True)))
