"""Which strings may name a blob."""

import pickle
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from blobs.errors import KEY_SHOWN_CHARACTERS_MAX, BlobMissing, InvalidBlobKey
from blobs.keys import KEY_BYTES_MAX, SEGMENT_BYTES_MAX, check_key, check_prefix

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,20}", fullmatch=True)
KEYS = st.lists(NAMES, min_size=1, max_size=6).map("/".join)


def is_key(text: str) -> bool:
    try:
        return check_key(text) == text
    except InvalidBlobKey:
        return False


@given(KEYS)
def test_names_joined_by_slashes_are_a_key(key: str) -> None:
    assert check_key(key) == key


@given(KEYS, st.data())
def test_every_beginning_that_stops_within_or_behind_a_name_is_a_prefix(key: str, data: st.DataObject) -> None:
    end = data.draw(st.sampled_from([match.end() for match in re.finditer(r"/|[A-Za-z0-9._@-]+", key)]))
    assert check_prefix(key[:end]) == key[:end]


@given(st.text(st.sampled_from("aA0._@-/~ 文\\\x00\n"), max_size=12))
@example("a\n")
@example("a/..")
def test_what_is_a_key_stays_beneath_its_directory(text: str) -> None:
    expected = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@/-]*", text) is not None and not {"", ".", ".."} & set(
        text.split("/")
    )
    assert is_key(text) == expected


@pytest.mark.parametrize("length", [KEY_BYTES_MAX, KEY_BYTES_MAX + 1])
def test_a_key_ends_at_its_limit(length: int) -> None:
    key = ("k" * 100 + "/") * 5 + "k" * (length - 505)
    assert len(key) == length
    assert is_key(key) == (length <= KEY_BYTES_MAX)


@pytest.mark.parametrize("length", [SEGMENT_BYTES_MAX, SEGMENT_BYTES_MAX + 1])
def test_a_segment_ends_at_its_limit(length: int) -> None:
    assert is_key("a/" + "k" * length) == (length <= SEGMENT_BYTES_MAX)


def test_a_hostile_key_does_not_flood_the_message() -> None:
    with pytest.raises(InvalidBlobKey) as caught:
        check_key("文" * 1_000_000)
    assert len(str(caught.value)) < KEY_SHOWN_CHARACTERS_MAX + 120


@pytest.mark.parametrize("error", [BlobMissing("a/b"), InvalidBlobKey("a//b", "it has an empty segment")])
def test_an_error_survives_the_way_between_processes(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
