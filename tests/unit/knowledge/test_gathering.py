"""Calls that are carried out together."""

import asyncio
from collections.abc import Sequence

import pytest

from knowledge.gathering import Gathering


class Rounds:
    """Keeps what each round got; a round waits for `go`."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []
        self.begun = asyncio.Event()
        self.go = asyncio.Event()

    async def carry_out(self, asked: Sequence[int]) -> list[int]:
        self.seen.append(list(asked))
        self.begun.set()
        await self.go.wait()
        if any(number < 0 for number in asked):
            raise ValueError("negative")
        return [number * 10 for number in asked]


def gathering(rounds: Rounds, together_max: int = 100) -> Gathering[int, int]:
    return Gathering(rounds.carry_out, lambda asked: min(len(asked), together_max))


async def test_what_comes_during_a_round_goes_into_the_next_one_together() -> None:
    rounds = Rounds()
    together = gathering(rounds)
    first = asyncio.create_task(together.ask(1))
    await rounds.begun.wait()
    others = [asyncio.create_task(together.ask(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    rounds.go.set()
    assert [await task for task in (first, *others)] == [10, 20, 30, 40]
    assert rounds.seen == [[1], [2, 3, 4]]


async def test_no_round_is_larger_than_what_fits() -> None:
    rounds = Rounds()
    rounds.go.set()
    together = gathering(rounds, together_max=2)
    assert await asyncio.gather(*(together.ask(number) for number in range(5))) == [0, 10, 20, 30, 40]
    assert rounds.seen == [[0, 1], [2, 3], [4]]


async def test_one_bad_call_spoils_no_other() -> None:
    rounds = Rounds()
    rounds.go.set()
    together = gathering(rounds)
    answers = await asyncio.gather(*(together.ask(number) for number in (1, -2, 3)), return_exceptions=True)
    assert [answers[0], answers[2]] == [10, 30]
    assert isinstance(answers[1], ValueError)
    with pytest.raises(ValueError, match="negative"):
        await together.ask(-5)
    assert await together.ask(6) == 60


async def test_a_call_that_is_cancelled_before_its_round_is_not_carried_out() -> None:
    rounds = Rounds()
    together = gathering(rounds)
    first = asyncio.create_task(together.ask(1))
    await rounds.begun.wait()
    second = asyncio.create_task(together.ask(2))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    rounds.go.set()
    assert await first == 10
    assert rounds.seen == [[1]]


async def test_a_call_that_is_cancelled_within_its_round_ends_with_the_round() -> None:
    rounds = Rounds()
    together = gathering(rounds)
    call = asyncio.create_task(together.ask(-1))
    await rounds.begun.wait()
    call.cancel()
    await asyncio.sleep(0)
    assert not call.done()
    rounds.go.set()
    with pytest.raises(asyncio.CancelledError):
        await call


@pytest.mark.parametrize("asked", [2, -2], ids=["that is answered", "that fails"])
async def test_a_call_without_effect_is_left_at_once_and_spoils_no_other(asked: int) -> None:
    rounds = Rounds()
    together = Gathering(rounds.carry_out, len, has_effect=False)
    leaving, staying = (asyncio.create_task(together.ask(number)) for number in (asked, 3))
    await rounds.begun.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert not staying.done(), "the round is under way"
    rounds.go.set()
    assert await staying == 30
    assert await together.ask(4) == 40
    assert rounds.seen[0] == [asked, 3]
    assert [asked] not in rounds.seen, "nobody waits for it"
