import asyncio

import pytest

from knowledge.errors import IndexUnavailable
from knowledge.together import together


async def test_results_come_in_the_order_of_the_calls() -> None:
    first, second = asyncio.Event(), asyncio.Event()

    async def waiting(mine: asyncio.Event, other: asyncio.Event, result: int) -> int:
        other.set()
        await mine.wait()
        return result

    assert await together([waiting(first, second, 1), waiting(second, first, 2)]) == [1, 2]
    assert await together([waiting(first, second, 3)]) == [3]
    assert await together(()) == []


async def test_the_error_of_one_is_raised_as_it_is_once_the_others_are_over() -> None:
    over: list[str] = []

    async def fails() -> None:
        raise IndexUnavailable("away")

    async def goes_on() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            over.append("cancelled")

    with pytest.raises(IndexUnavailable, match="away"):
        await together([goes_on(), fails()])
    assert over == ["cancelled"]
