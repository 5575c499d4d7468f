"""Every event type and schema version ever written stays readable, byte for byte."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pytest

from events.codec import decode, encode
from events.type_codes import EVENT_TYPES
from events.upcasters import current_version
from events.wording import written_version
from tests.golden.event_examples import (
    ADDITIONS,
    ADDITIONS_BY_PLACE,
    BY_PLACE,
    DIRECTORY,
    EXAMPLES,
    LATER,
    example,
    path_of,
)

FILES_SHA256 = "3f5325ce17152d1c3c29a8ebaad36e52d223875a11a1e80a0d8e600ac5319012"
"""Over the golden files of the releases so far, in the order of their names: an edited file fails here."""

BY_PLACE_SHA256 = "b89a3a1ca252c61b083f09e49613f8fa364bcdd3e2f3dc958f94f749dcf21d67"
"""The same over the files of the form that came in November 2026."""

RELEASED = sorted(path_of(name, 1) for name in EVENT_TYPES)
BY_PLACE_FILES = sorted([*BY_PLACE.iterdir(), *ADDITIONS_BY_PLACE.iterdir()])

in_either_form = pytest.mark.parametrize("directory", [DIRECTORY, BY_PLACE], ids=["by name", "by place"])


@in_either_form
def test_every_version_of_every_type_has_an_example_and_a_file_and_nothing_else_has(directory: Path) -> None:
    wanted = {(name, version) for name in EVENT_TYPES for version in range(1, current_version(name) + 1)}
    assert set(EXAMPLES) == wanted
    assert {path_of(*key, directory) for key in wanted} == set(directory.iterdir())


@in_either_form
@pytest.mark.parametrize(("event_type", "schema_version"), list(EXAMPLES))
def test_a_golden_file_decodes_to_what_it_always_meant(event_type: str, schema_version: int, directory: Path) -> None:
    wanted = example(EXAMPLES[event_type, schema_version])
    assert decode(path_of(event_type, schema_version, directory).read_bytes()) == wanted


@in_either_form
@pytest.mark.parametrize("key", list(EXAMPLES))
def test_each_version_that_is_written_is_written_as_its_golden_file_says(key: tuple[str, int], directory: Path) -> None:
    assert written_version(EXAMPLES[key]) == key[1]
    assert encode(example(EXAMPLES[key]), by_name=directory == DIRECTORY) == path_of(*key, directory).read_bytes()


def test_no_golden_file_was_edited() -> None:
    assert _digest_of(RELEASED) == FILES_SHA256
    assert _digest_of(BY_PLACE_FILES) == BY_PLACE_SHA256


def _digest_of(paths: Iterable[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


@pytest.mark.parametrize("directory", [ADDITIONS, ADDITIONS_BY_PLACE])
def test_every_field_that_came_later_has_a_file_and_nothing_else_has(directory: Path) -> None:
    assert {path.stem for path in directory.iterdir()} == set(LATER)


@pytest.mark.parametrize("name", list(LATER))
def test_a_field_that_came_later_is_read_and_written_as_its_file_says(name: str) -> None:
    wanted = example(LATER[name])
    for directory in (ADDITIONS, ADDITIONS_BY_PLACE):
        assert decode((directory / f"{name}.msgpack").read_bytes()) == wanted
    if current_version(type(LATER[name]).__name__) == 1:
        assert encode(wanted, by_name=True) == (ADDITIONS / f"{name}.msgpack").read_bytes()
        assert encode(wanted) == (ADDITIONS_BY_PLACE / f"{name}.msgpack").read_bytes()
