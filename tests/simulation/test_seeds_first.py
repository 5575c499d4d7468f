"""Worlds 0 to 79: everything holds at every step, and everything converges once the faults stop."""

import pytest

from tests.simulation.seeds import assert_worlds_go_well

WORLDS_A_TEST = 10


@pytest.mark.parametrize("first", range(0, 80, WORLDS_A_TEST))
def test_worlds_go_well_from(first: int) -> None:
    assert_worlds_go_well(range(first, first + WORLDS_A_TEST))
