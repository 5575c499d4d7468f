import threading

import pytest

from processors.aside import INLINE_BYTES_MAX, aside


@pytest.mark.parametrize(
    ("size_bytes", "is_here"), [(0, True), (INLINE_BYTES_MAX, True), (INLINE_BYTES_MAX + 1, False)]
)
async def test_few_bytes_are_gone_through_at_once_and_many_in_a_thread(size_bytes: int, is_here: bool) -> None:
    assert (await aside(size_bytes, threading.get_ident) == threading.get_ident()) is is_here
