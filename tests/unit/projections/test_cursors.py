"""Cursors are signed and bound to their list."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.cursors import Cursors
from projections.errors import InvalidCursor

CURSORS = Cursors(b"a secret of sixteen bytes or more")


@given(st.text(max_size=50), st.text(max_size=50))
def test_a_cursor_opens_to_the_place_that_was_sealed(scope: str, place: str) -> None:
    assert CURSORS.open(scope, CURSORS.seal(scope, place)) == place


def test_a_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(InvalidCursor):
        CURSORS.open("tasks/failed", CURSORS.seal("tasks", "place"))


def test_a_cursor_of_another_installation_is_refused() -> None:
    with pytest.raises(InvalidCursor):
        CURSORS.open("tasks", Cursors(b"another secret of enough bytes").seal("tasks", "place"))


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_cursor_of_which_any_byte_was_changed_is_refused(place: int, difference: int) -> None:
    sealed = bytearray(base64.urlsafe_b64decode(CURSORS.seal("tasks", "0005:task") + "=="))
    sealed[place % len(sealed)] ^= difference
    with pytest.raises(InvalidCursor):
        CURSORS.open("tasks", base64.urlsafe_b64encode(sealed).decode().rstrip("="))


@given(st.text(max_size=600))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        CURSORS.open("tasks", text)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="16"):
        Cursors(b"short")
