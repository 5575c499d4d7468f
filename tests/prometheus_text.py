"""A strict reader of Prometheus' text format: what it takes, any other reader takes."""

import re
from collections.abc import Mapping
from math import inf
from typing import Final

import msgspec

_NAME: Final = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL: Final = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"'
_SAMPLE: Final = re.compile(rf"({_NAME})(?:\{{({_LABEL}(?:,{_LABEL})*)\}})? (\S+)")
_COMMENT: Final = re.compile(rf"# (HELP|TYPE) ({_NAME}) (.+)")
_SUFFIXES: Final = ("_bucket", "_sum", "_count")

Labels = tuple[tuple[str, str], ...]


class Metric(msgspec.Struct):
    """One family: the samples by their own name and labels, in the order in which they came."""

    name: str
    help: str
    type: str
    samples: dict[tuple[str, Labels], float]

    def value(self, **labels: str) -> float:
        return self.samples[self.name, tuple(sorted(labels.items()))]

    def count(self, **labels: str) -> float:
        return self.samples[f"{self.name}_count", tuple(sorted(labels.items()))]


def read(text: str) -> dict[str, Metric]:
    """Every family by name. Raises AssertionError for whatever the format does not allow."""
    assert text.endswith("\n"), "the last line must end"
    found: dict[str, Metric] = {}
    current: Metric | None = None
    told: dict[str, str] = {}
    for line in text.removesuffix("\n").split("\n"):
        comment = _COMMENT.fullmatch(line)
        if comment is not None:
            current = _told(comment, told, current, found)
            continue
        sample = _SAMPLE.fullmatch(line)
        assert sample is not None, f"no sample: {line}"
        assert current is not None, f"a sample before its TYPE: {line}"
        assert _family(sample[1], current) == current.name, f"a sample of another family: {line}"
        key = sample[1], _labels(sample[2] or "")
        assert key not in current.samples, f"twice: {line}"
        current.samples[key] = _number(sample[sample.re.groups])
    for metric in found.values():
        _check(metric)
    return found


def _told(
    comment: re.Match[str], told: dict[str, str], current: Metric | None, found: dict[str, Metric]
) -> Metric | None:
    kind, name, text = comment.groups()
    if kind == "HELP":
        assert name not in told, f"two HELP lines of {name}"
        told[name] = text
        return None
    assert current is None, f"TYPE of {name} does not follow its HELP"
    assert name not in found, f"two TYPE lines of {name}"
    assert text in {"counter", "gauge", "histogram"}, text
    found[name] = Metric(name, told[name], text, {})
    return found[name]


def _family(sample: str, current: Metric) -> str:
    if current.type == "histogram":
        for suffix in _SUFFIXES:
            if sample == current.name + suffix:
                return current.name
        return ""
    return sample


def _labels(text: str) -> Labels:
    pairs = re.findall(_LABEL, text)
    names = [name for name, _ in pairs]
    assert len(set(names)) == len(names), f"a label twice: {text}"
    assert not any(name.startswith("__") for name in names)
    return tuple(sorted((name, _unescaped(value)) for name, value in pairs))


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), value)


def _number(text: str) -> float:
    assert re.fullmatch(r"[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf)|NaN", text), f"no number: {text}"
    return float(text)


def _check(metric: Metric) -> None:
    assert metric.samples, f"{metric.name} has no samples"
    assert metric.name.endswith("_total") == (metric.type == "counter"), f"{metric.name} is a {metric.type}"
    assert metric.type != "counter" or min(metric.samples.values()) >= 0
    if metric.type != "histogram":
        return
    of: dict[Labels, dict[float, float]] = {}
    for (name, labels), value in metric.samples.items():
        if name.endswith("_bucket"):
            own: Mapping[str, str] = dict(labels)
            others = tuple(pair for pair in labels if pair[0] != "le")
            of.setdefault(others, {})[_number(own["le"])] = value
    for labels, buckets in of.items():
        assert list(buckets) == sorted(buckets), "bounds rise"
        assert list(buckets.values()) == sorted(buckets.values()), "counts are cumulated"
        assert buckets[inf] == metric.samples[f"{metric.name}_count", labels]
        assert metric.samples[f"{metric.name}_sum", labels] >= 0
