"""Positions are ordered, and their text form is read back exactly or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.envelope import Position
from events.errors import InvalidId

POSITIONS = st.builds(Position, st.integers(1, 99), st.integers(0, 2**48), st.integers(0, 2**32))


@given(POSITIONS)
def test_a_position_survives_its_text_form(position: Position) -> None:
    assert Position.parse(str(position)) == position
    assert Position.of_entry(position.epoch, position.entry_id) == position


@given(POSITIONS, POSITIONS)
def test_positions_are_ordered_by_epoch_then_time_then_sequence(one: Position, other: Position) -> None:
    assert (one < other) == ((one.epoch, one.ms, one.sequence) < (other.epoch, other.ms, other.sequence))


@pytest.mark.parametrize("text", ["", "1-2", "1-2-3-4", "1-2-x", "-1-2-3", "1-٣-3", "1-2-" + "9" * 21, " 1-2-3", "$"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(InvalidId):
        Position.parse(text)
