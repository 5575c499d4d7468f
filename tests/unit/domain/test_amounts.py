"""Amounts as people are told of them."""

import pytest

from domain.amounts import counted


@pytest.mark.parametrize(("count", "said"), [(0, "0 documents"), (1, "1 document"), (2_000, "2,000 documents")])
def test_one_is_said_as_one(count: int, said: str) -> None:
    assert counted(count, "document") == said
