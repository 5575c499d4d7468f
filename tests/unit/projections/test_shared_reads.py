"""Who asks at the same time shares a read that is as new as one of their own."""

import asyncio

import pytest

from projections.shared_reads import SharedReads


class Source:
    def __init__(self) -> None:
        self.now = 0
        self.reads: list[str] = []
        self.begun = asyncio.Event()

    async def read(self, key: str) -> str:
        self.reads.append(key)
        self.begun.set()
        found = f"{key} {self.now}"
        await asyncio.sleep(0)
        if key == "broken":
            raise LookupError(found)
        return found


async def test_who_asks_in_one_turn_shares_a_read() -> None:
    source = Source()
    shared = SharedReads(source.read)
    assert await asyncio.gather(*map(shared.of, "aabab")) == ["a 0", "a 0", "b 0", "a 0", "b 0"]
    assert source.reads == ["a", "b"]


async def test_who_asks_while_a_read_is_under_way_is_answered_by_the_next() -> None:
    source = Source()
    shared = SharedReads(source.read)
    first = asyncio.create_task(shared.of("a"))
    await source.begun.wait()
    source.now = 1
    assert await shared.of("a") == "a 1"
    assert await first == "a 0"


async def test_an_error_is_told_to_all_who_share_the_read() -> None:
    shared = SharedReads(Source().read)
    told = await asyncio.gather(shared.of("broken"), shared.of("broken"), return_exceptions=True)
    assert [type(one) for one in told] == [LookupError, LookupError]
    with pytest.raises(LookupError):
        await shared.of("broken")


async def test_who_asked_first_may_go_without_the_others() -> None:
    shared = SharedReads(Source().read)
    first, second = (asyncio.create_task(shared.of("a")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "a 0"
    assert first.cancelled()
