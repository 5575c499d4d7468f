"""The lock files: every version pinned with hashes, no address in them, and the same for everybody."""

import importlib.metadata
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import events

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements"
LOCKS = ("build.txt", "runtime.txt", "qdrant.txt", "dev.txt", "audit.txt")
FORBIDDEN = {"events", "opensearch-py"}
"""The PyPI package Events has the import name of `src/events`; opensearch-py brings it in."""


class Locked(NamedTuple):
    """One requirement of a lock file; `marker` says on which Pythons and platforms it holds."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]


@cache
def locked(lock: str) -> frozenset[Locked]:
    found = [one_locked(line) for line in logical_lines(lock)]
    assert found
    assert len({(one.name, one.marker) for one in found}) == len(found), f"{lock} pins something twice"
    return frozenset(found)


def one_locked(line: str) -> Locked:
    requirement = re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)\s*(?:;\s*(.*?))?\s*(?=--hash|$)", line)
    assert requirement is not None, line[:80]
    hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})(?=\s|$)", line)
    return Locked(normalised(requirement[1]), requirement[2], requirement[3] or "", tuple(hashes))


def names_in(lock: str) -> set[str]:
    return {one.name for one in locked(lock)}


def logical_lines(lock: str) -> list[str]:
    text = (REQUIREMENTS / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def asked_for(name: str) -> set[str]:
    """The requirements of an `.in` file, without white space; its options (`-r`, `-c`) left out."""
    lines = (REQUIREMENTS / name).read_text(encoding="utf-8").splitlines()
    return {re.sub(r"\s", "", line) for line in lines if line.strip() and line[0] not in "#-"}


def normalised(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_and_has_a_hash(lock: str) -> None:
    assert [one.name for one in locked(lock) if not one.hashes] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_no_address_index_or_path_is_in_a_lock_file(lock: str) -> None:
    text = (REQUIREMENTS / lock).read_text(encoding="utf-8")
    place = re.compile(r"://|--(?:extra-)?index|--find-links|--trusted-host|file:|git\+|^@$")
    assert [word for word in text.split() if place.search(word)] == []
    assert [line for line in logical_lines(lock) if line.startswith("-")] == []


def test_what_is_tested_is_what_runs() -> None:
    for part in ("runtime.txt", "build.txt", "qdrant.txt"):
        differing = {(one.name, one.version, one.marker) for one in locked(part) - locked("dev.txt")}
        assert differing == set(), f"dev.txt disagrees with {part}"


def test_the_package_depends_on_what_the_lock_was_made_from() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {re.sub(r"\s", "", requirement) for requirement in project["dependencies"]} == asked_for("runtime.in")


@pytest.mark.parametrize(
    ("source", "lock"),
    [
        ("build.in", "build.txt"),
        ("runtime.in", "runtime.txt"),
        ("qdrant.in", "qdrant.txt"),
        ("dev.in", "dev.txt"),
        ("audit.in", "audit.txt"),
    ],
)
def test_everything_asked_for_is_locked(source: str, lock: str) -> None:
    names = {normalised(re.split(r"[<>=!~\[;]", requirement)[0]) for requirement in asked_for(source)}
    assert names
    assert names - names_in(lock) == set()


def test_nothing_brings_in_another_module_named_events() -> None:
    assert Path(events.__file__ or "").resolve().is_relative_to(ROOT / "src")
    for lock in LOCKS:
        assert FORBIDDEN & names_in(lock) == set()
    owners = [one.name for one in importlib.metadata.distributions() if brings_in_events(one)]
    assert [name for name in owners if normalised(name) != "millstream"] == []


def brings_in_events(found: importlib.metadata.Distribution) -> bool:
    """By the list of its files, or by what it says itself where it keeps none."""
    files, named = found.read_text("RECORD"), found.read_text("top_level.txt") or ""
    return "events" in named.split() or re.search(r"^events[/.]", files or "", re.MULTILINE) is not None


def test_what_is_installed_is_what_is_locked() -> None:
    """The tests speak for the lock files only if they ran against them."""
    pinned = {(one.name, one.version) for one in locked("dev.txt")}
    installed = {(normalised(found.name), found.version) for found in importlib.metadata.distributions()}
    assert {one for one in installed if one[0] in names_in("dev.txt")} - pinned == set()
