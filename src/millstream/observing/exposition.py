"""Figures in the text format of Prometheus, version 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/ says every rule that is kept here; tests hold the output to
a strict reader of it, and to `promtool check metrics` where that is installed.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import Final

from millstream.observing.registry import Family, Kind, Labels, Registry, Series

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_IN_HELP: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})
_IN_VALUE: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def exposed(*registries: Registry) -> bytes:
    """Everything that several registries hold; no family is in two of them."""
    return "".join(
        line for registry in registries for family, series in registry.families() for line in _family(family, series)
    ).encode()


def _family(family: Family, series: Sequence[Series]) -> Iterator[str]:
    yield f"# HELP {family.name} {family.help.translate(_IN_HELP)}\n# TYPE {family.name} {family.kind.value}\n"
    for one in series:
        if family.kind is Kind.HISTOGRAM:
            yield from _histogram(family, one)
        else:
            yield f"{family.name}{_labels(family.labels, one.labels)} {_number(one.value)}\n"


def _histogram(family: Family, series: Series) -> Iterator[str]:
    names = (*family.labels, "le")
    for bound, count in series.buckets:
        yield f"{family.name}_bucket{_labels(names, (*series.labels, _number(bound)))} {count}\n"
    labels = _labels(family.labels, series.labels)
    yield f"{family.name}_sum{labels} {_number(series.value)}\n"
    yield f"{family.name}_count{labels} {series.buckets[-1][1]}\n"


def _labels(names: Labels, values: Iterable[str]) -> str:
    if not names:
        return ""
    pairs = (f'{name}="{value.translate(_IN_VALUE)}"' for name, value in zip(names, values, strict=True))
    return "{" + ",".join(pairs) + "}"


def _number(value: float) -> str:
    if value == inf:
        return "+Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
