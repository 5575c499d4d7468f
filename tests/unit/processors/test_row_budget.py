import asyncio

from hypothesis import given
from hypothesis import strategies as st

from processors.row_budget import RowBudget


class Holder:
    """Documents that hold rows until they are told to end."""

    def __init__(self, rows_max: int) -> None:
        self.budget = RowBudget(rows_max)
        self.held: dict[str, int] = {}
        self.ends: dict[str, asyncio.Event] = {}

    async def ask(self, name: str, rows: int) -> "asyncio.Task[None]":
        self.ends[name] = asyncio.Event()
        task = asyncio.create_task(self._hold(name, rows))
        await turn()
        return task

    async def end(self, name: str) -> None:
        self.ends[name].set()
        await turn()

    async def _hold(self, name: str, rows: int) -> None:
        async with self.budget.lent(rows):
            self.held[name] = rows
            await self.ends[name].wait()
            del self.held[name]


async def turn() -> None:
    """Lets every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_rows_are_lent_until_there_are_no_more() -> None:
    holder = Holder(10)
    for name in ("first", "second", "third"):
        await holder.ask(name, 4)
    assert list(holder.held) == ["first", "second"]
    await holder.end("first")
    assert list(holder.held) == ["second", "third"]


async def test_a_large_document_is_not_passed_by() -> None:
    holder = Holder(10)
    await holder.ask("first", 4)
    await holder.ask("large", 10)
    await holder.ask("small", 1)
    assert list(holder.held) == ["first"]
    await holder.end("first")
    assert list(holder.held) == ["large"]
    await holder.end("large")
    assert list(holder.held) == ["small"]


async def test_a_document_with_more_rows_than_there_are_gets_all_of_them() -> None:
    holder = Holder(10)
    await holder.ask("huge", 1_000)
    await holder.ask("small", 1)
    assert list(holder.held) == ["huge"]
    await holder.end("huge")
    assert list(holder.held) == ["small"]


async def test_an_attempt_that_is_cancelled_while_it_waits_lets_the_next_one_through() -> None:
    holder = Holder(10)
    await holder.ask("first", 8)
    waiting = await holder.ask("second", 8)
    await holder.ask("third", 2)
    waiting.cancel()
    await turn()
    assert list(holder.held) == ["first", "third"]


@given(st.lists(st.integers(min_value=0, max_value=30), max_size=12))
async def test_everybody_is_served_and_no_more_rows_are_out_than_there_are(wanted: list[int]) -> None:
    holder = Holder(20)
    tasks = [await holder.ask(str(place), rows) for place, rows in enumerate(wanted)]
    served = 0
    while holder.held:
        assert sum(min(rows, 20) for rows in holder.held.values()) <= 20
        await holder.end(next(iter(holder.held)))
        served += 1
    assert served == len(wanted) == sum(task.done() for task in tasks)
