"""A host is asked for a few documents at a time, and does not keep others waiting."""

import asyncio

import pytest

from processors.origins import OriginFails
from processors.politeness import HostTurns
from processors.retry import HOST_BUSY, OUTAGE_CODES, WAIT_CODES


async def test_the_slots_of_one_host_are_taken_in_turn_and_those_of_another_are_free() -> None:
    turns, inside, most = HostTurns(2, 5.0), 0, 0

    async def fetch(host: str) -> None:
        nonlocal inside, most
        async with turns.of(host):
            inside += host == "a.example"
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= host == "a.example"

    await asyncio.gather(*(fetch("a.example") for _ in range(9)), *(fetch("b.example") for _ in range(9)))
    assert most == 2


async def test_whoever_waits_too_long_for_a_host_comes_back_and_nothing_is_held() -> None:
    turns = HostTurns(1, 0.01)
    async with turns.of("a.example"):
        with pytest.raises(OriginFails) as failed:
            async with turns.of("a.example"):
                raise AssertionError
        async with turns.of("b.example"):
            pass
    assert failed.value.code == HOST_BUSY
    assert HOST_BUSY in OUTAGE_CODES & WAIT_CODES, "to wait is no failure of the document"
    async with turns.of("a.example"):
        pass
