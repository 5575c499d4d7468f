"""What every gate to embedding providers does, wherever it keeps its state."""

import asyncio
from collections.abc import Callable

import pytest

from processors.breaker import FAILURES_MAX
from processors.pace import MINUTE_US
from processors.provider import Go, Priority, ProviderGate, Quota, Verdict, Wait, WaitReason

NAME = "http://127.0.0.1/v1/embeddings#bge-m3"
GateOf = Callable[[Quota], ProviderGate]


class HandClock:
    """Unix µs, moved by hand."""

    def __init__(self) -> None:
        self.now_us = 1_700_000_000_000_000

    def __call__(self) -> int:
        return self.now_us

    def advance(self, seconds: float) -> None:
        self.now_us += round(seconds * 1_000_000)


async def waiting(gate: ProviderGate, name: str = NAME, tokens: int = 1) -> Wait:
    answer = await gate.admit(name, tokens=tokens)
    assert isinstance(answer, Wait)
    return answer


async def going(gate: ProviderGate, name: str = NAME, tokens: int = 1) -> Go:
    answer = await gate.admit(name, tokens=tokens)
    assert isinstance(answer, Go)
    return answer


async def fail(gate: ProviderGate, times: int = FAILURES_MAX) -> None:
    for _ in range(times):
        await going(gate)
        await gate.report(NAME, Verdict.FAILED)


class ProviderGateContract:
    """Subclasses provide the fixtures `clock` and `gate_of`, whose gates share one state."""

    async def test_without_limits_and_failures_every_call_goes_and_needs_no_report(
        self, gate_of: GateOf, clock: HandClock
    ) -> None:
        gate = gate_of(Quota())
        assert [await going(gate, tokens=10**9) for _ in range(50)] == [Go(is_clean=True)] * 50

    async def test_calls_beyond_the_limit_are_told_when_to_come_back(self, gate_of: GateOf, clock: HandClock) -> None:
        gate = gate_of(Quota(requests_per_minute=60))
        for _ in range(5):
            await going(gate)
        wait = await waiting(gate)
        assert wait.reason is WaitReason.LIMITED
        assert wait.seconds == pytest.approx(60 / 55, abs=0.001)
        clock.advance(wait.seconds)
        await going(gate)
        await waiting(gate)

    async def test_a_minute_never_has_more_calls_than_the_limit_whoever_makes_them(
        self, gate_of: GateOf, clock: HandClock
    ) -> None:
        gates = [gate_of(Quota(requests_per_minute=120)) for _ in range(3)]
        made: list[int] = []
        for _ in range(400):
            answers = await asyncio.gather(*(gate.admit(NAME, tokens=1) for gate in gates))
            made += [clock.now_us for answer in answers if isinstance(answer, Go)]
            clock.advance(0.25)
        most = max(sum(start <= call < start + MINUTE_US for call in made) for start in made)
        assert 115 <= most <= 120

    async def test_bulk_work_leaves_a_reserve_to_those_for_whom_a_person_waits(
        self, gate_of: GateOf, clock: HandClock
    ) -> None:
        for quota in (Quota(requests_per_minute=10), Quota(requests_per_minute=600), Quota(tokens_per_minute=6_000)):
            gate, name = gate_of(quota), f"{NAME}-{quota}"
            tokens = 30 if quota.tokens_per_minute else 1
            made: list[int] = []
            for _ in range(200):
                while isinstance(await gate.admit(name, tokens=tokens), Go):
                    made.append(clock.now_us)
                clock.advance(0.5)
            answer = await gate.admit(name, tokens=tokens, priority=Priority.INTERACTIVE)
            assert isinstance(answer, Go), quota
            assert made

    async def test_both_kinds_together_stay_within_the_limit(self, gate_of: GateOf, clock: HandClock) -> None:
        gate = gate_of(Quota(requests_per_minute=60))
        made: list[int] = []
        for turn in range(300):
            priority = Priority.INTERACTIVE if turn % 3 else Priority.BULK
            while isinstance(await gate.admit(NAME, tokens=1, priority=priority), Go):
                made.append(clock.now_us)
            clock.advance(0.5)
        assert max(sum(start <= call < start + MINUTE_US for call in made) for start in made) <= 60

    async def test_tokens_are_limited_beside_calls(self, gate_of: GateOf, clock: HandClock) -> None:
        gate = gate_of(Quota(requests_per_minute=1_000, tokens_per_minute=1_000))
        await going(gate, tokens=100)
        wait = await waiting(gate, tokens=50)
        assert wait.reason is WaitReason.LIMITED
        clock.advance(wait.seconds)
        await going(gate, tokens=50)

    async def test_a_call_larger_than_a_minute_is_let_through_and_paid_for_behind(
        self, gate_of: GateOf, clock: HandClock
    ) -> None:
        gate = gate_of(Quota(tokens_per_minute=1_000))
        await going(gate, tokens=5_000)
        assert (await waiting(gate)).seconds > 4 * 60

    async def test_nobody_calls_within_the_window_that_the_provider_forbade(
        self, gate_of: GateOf, clock: HandClock
    ) -> None:
        gate, other = gate_of(Quota()), gate_of(Quota())
        await going(gate)
        await gate.report(NAME, Verdict.REFUSED, retry_after_s=40)
        assert await waiting(other) == Wait(40.0, WaitReason.ASKED)
        clock.advance(39.9)
        assert (await waiting(other)).seconds == pytest.approx(0.1)
        clock.advance(0.1)
        assert not (await going(other)).is_clean

    async def test_a_provider_is_obeyed_for_five_minutes_at_most(self, gate_of: GateOf, clock: HandClock) -> None:
        gate = gate_of(Quota())
        await gate.report(NAME, Verdict.REFUSED, retry_after_s=86_400)
        assert (await waiting(gate)).seconds == 300

    async def test_a_shorter_window_does_not_end_a_longer_one(self, gate_of: GateOf, clock: HandClock) -> None:
        gate = gate_of(Quota())
        await gate.report(NAME, Verdict.REFUSED, retry_after_s=60)
        await gate.report(NAME, Verdict.FAILED, retry_after_s=5)
        assert (await waiting(gate)).seconds == 60

    async def test_refusals_that_name_no_time_double_their_window_until_a_success(
        self, gate_of: GateOf, clock: HandClock
    ) -> None:
        gate = gate_of(Quota())
        seen = []
        for _ in range(9):
            await gate.report(NAME, Verdict.REFUSED)
            seen.append((await waiting(gate)).seconds)
            clock.advance(seen[-1])
        assert seen == [1, 2, 4, 8, 16, 32, 60, 60, 60]
        await going(gate)
        await gate.report(NAME, Verdict.SUCCEEDED)
        assert (await going(gate)).is_clean
        await gate.report(NAME, Verdict.REFUSED)
        assert (await waiting(gate)).seconds == 1

    async def test_a_refusal_that_asks_for_no_time_at_all_still_pauses(self, gate_of: GateOf, clock: HandClock) -> None:
        gate = gate_of(Quota())
        await gate.report(NAME, Verdict.REFUSED, retry_after_s=0)
        assert (await waiting(gate)).seconds == 1

    async def test_failures_in_a_row_keep_everybody_away(self, gate_of: GateOf, clock: HandClock) -> None:
        gate, other = gate_of(Quota()), gate_of(Quota())
        await fail(gate, FAILURES_MAX - 1)
        await going(other)
        await other.report(NAME, Verdict.SUCCEEDED)
        await fail(gate)
        assert await waiting(other) == Wait(2.0, WaitReason.DOWN)

    async def test_a_provider_that_stays_down_is_probed_twice_a_second_at_most(
        self, gate_of: GateOf, clock: HandClock
    ) -> None:
        gates = [gate_of(Quota()) for _ in range(3)]
        await fail(gates[0])
        probes: list[int] = []
        for _ in range(100):
            answers = [await gate.admit(NAME, tokens=1) for gate in gates]
            probes += [clock.now_us for answer in answers if isinstance(answer, Go)]
            clock.advance(0.1)
        assert len(probes) > 10
        assert max(sum(start <= probe < start + 1_000_000 for probe in probes) for start in probes) == 2

    async def test_a_probe_that_succeeds_opens_the_way_for_all(self, gate_of: GateOf, clock: HandClock) -> None:
        gate, other = gate_of(Quota()), gate_of(Quota())
        await fail(gate)
        clock.advance(2)
        assert not (await going(gate)).is_clean
        await waiting(other)
        await gate.report(NAME, Verdict.SUCCEEDED)
        assert [(await going(other)).is_clean for _ in range(5)] == [True] * 5

    async def test_a_probe_that_fails_closes_it_again(self, gate_of: GateOf, clock: HandClock) -> None:
        gate = gate_of(Quota())
        await fail(gate)
        clock.advance(2)
        await going(gate)
        await gate.report(NAME, Verdict.FAILED)
        assert await waiting(gate) == Wait(2.0, WaitReason.DOWN)

    async def test_who_has_to_wait_uses_nothing_up(self, gate_of: GateOf, clock: HandClock) -> None:
        gate = gate_of(Quota(requests_per_minute=10))
        await gate.report(NAME, Verdict.REFUSED, retry_after_s=2)
        assert [await waiting(gate) for _ in range(20)] == [Wait(2.0, WaitReason.ASKED)] * 20
        clock.advance(2)
        await going(gate)

    async def test_models_and_endpoints_are_counted_apart(self, gate_of: GateOf, clock: HandClock) -> None:
        gate, other = gate_of(Quota(requests_per_minute=10)), "http://127.0.0.1/v1/embeddings#other"
        answers = [await gate.admit(name, tokens=1) for name in (NAME, NAME, other, other)]
        assert [type(one) for one in answers] == [Go, Wait, Go, Wait]
