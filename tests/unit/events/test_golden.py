"""Every event type and schema version ever written stays readable, byte for byte."""

import hashlib

import pytest

from events.codec import EVENT_TYPES, decode, encode
from events.upcasters import current_version
from tests.golden.event_examples import ADDITIONS, DIRECTORY, EXAMPLES, LATER, example, path_of

FILES_SHA256 = "3f5325ce17152d1c3c29a8ebaad36e52d223875a11a1e80a0d8e600ac5319012"
"""Over the golden files of the releases so far, in the order of their names: an edited file fails here."""

RELEASED = sorted(path_of(name, 1) for name in EVENT_TYPES)


def test_every_version_of_every_type_has_an_example_and_a_file_and_nothing_else_has() -> None:
    wanted = {(name, version) for name in EVENT_TYPES for version in range(1, current_version(name) + 1)}
    assert set(EXAMPLES) == wanted
    assert {path_of(*key) for key in wanted} == set(DIRECTORY.iterdir())


@pytest.mark.parametrize(("event_type", "schema_version"), list(EXAMPLES))
def test_a_golden_file_decodes_to_what_it_always_meant(event_type: str, schema_version: int) -> None:
    wanted = example(EXAMPLES[event_type, schema_version])
    assert decode(path_of(event_type, schema_version).read_bytes()) == wanted


@pytest.mark.parametrize("event_type", list(EVENT_TYPES))
def test_the_current_version_is_written_as_its_golden_file_says(event_type: str) -> None:
    version = current_version(event_type)
    assert encode(example(EXAMPLES[event_type, version])) == path_of(event_type, version).read_bytes()


def test_no_golden_file_was_edited() -> None:
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in RELEASED)).hexdigest()
    assert digest == FILES_SHA256


def test_every_field_that_came_later_has_a_file_and_nothing_else_has() -> None:
    assert {path.stem for path in ADDITIONS.iterdir()} == set(LATER)


@pytest.mark.parametrize("name", list(LATER))
def test_a_field_that_came_later_is_read_and_written_as_its_file_says(name: str) -> None:
    kept = (ADDITIONS / f"{name}.msgpack").read_bytes()
    assert decode(kept) == example(LATER[name])
    if current_version(type(LATER[name]).__name__) == 1:
        assert encode(example(LATER[name])) == kept
