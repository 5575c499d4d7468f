"""Calls of an embedding provider: halving, repetition, waiting, verdicts."""

import asyncio
from collections.abc import Callable, Sequence
from math import ceil, log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import LogUnavailable
from knowledge.chunk import Chunk, chunk_ids
from knowledge.embedders import Embedding, Metered, Remote
from knowledge.errors import EmbeddingError
from knowledge.hash_embedder import HashEmbedder
from knowledge.vectors import Vectors
from processors.breaker import FAILURES_MAX
from processors.gated_queries import GatedQueries
from processors.memory_provider import MemoryProviderGate
from processors.provider import Go, Quota, Verdict, Wait, WaitReason
from processors.provider_calls import WAIT_S_MAX, ProviderCalls
from processors.retry import OUTAGE_CODES
from tests.contract.provider_gate_contract import HandClock

NAME = "http://127.0.0.1/v1/embeddings#m"
Refuse = Callable[[Sequence[str]], EmbeddingError | None]


def chunks_of(count: int) -> list[Chunk]:
    texts = [f"passage {ordinal}" for ordinal in range(count)]
    return [
        Chunk(chunk_id, ordinal, text, 0, len(text), ordinal + 1, (), 2)
        for ordinal, (chunk_id, text) in enumerate(zip(chunk_ids("doc_1", texts), texts, strict=True))
    ]


class FakeProvider(HashEmbedder):
    """Refuses what `refuse` says; keeps what it was asked, and when."""

    def __init__(self, clock: HandClock, refuse: Refuse = lambda _: None, *, texts_max: int = 1_000) -> None:
        super().__init__(dimensions=8)
        self.remote = Remote(NAME, texts_max)
        self.asked: list[list[str]] = []
        self.times_us: list[int] = []
        self.served: list[str] = []
        self._clock = clock
        self._refuse = refuse

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        self.asked.append(list(texts))
        self.times_us.append(self._clock())
        error = self._refuse(texts)
        if error is not None:
            raise error
        self.served += texts
        return await super().embed_passages(texts)


class Desk:
    """A clock that sleeping moves, and the calls of one step."""

    def __init__(self, refuse: Refuse = lambda _: None, quota: Quota | None = None, texts_max: int = 1_000) -> None:
        self.clock = HandClock()
        self.slept: list[float] = []
        self.provider = FakeProvider(self.clock, refuse, texts_max=texts_max)
        self.gate = MemoryProviderGate(quota or Quota(), clock_us=self.clock)
        self.calls = ProviderCalls(self.provider, self.gate, sleep=self.sleep, texts_max=64)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(seconds)

    async def refusal(self, chunks: Sequence[Chunk]) -> EmbeddingError:
        with pytest.raises(EmbeddingError) as refusal:
            await self.calls.embed(chunks)
        return refusal.value


def too_large() -> EmbeddingError:
    return EmbeddingError("provider_413", "too large", is_permanent=True)


def in_turn(*errors: EmbeddingError | None) -> Refuse:
    """One after the other, then none."""
    waiting = list(errors)
    return lambda _: waiting.pop(0) if waiting else None


async def test_vectors_come_in_the_order_of_the_chunks_and_are_counted() -> None:
    desk = Desk()
    chunks = chunks_of(5)
    expected = await HashEmbedder(dimensions=8).embed_passages([chunk.text for chunk in chunks])
    assert np.array_equal(await desk.calls.embed(chunks), expected)
    assert (desk.calls.calls, desk.calls.tokens_sent) == (1, 10)


@given(st.integers(1, 64), st.data())
async def test_a_chunk_that_is_too_large_is_found_in_few_calls_and_named(count: int, data: st.DataObject) -> None:
    poison = data.draw(st.integers(0, count - 1))
    chunks = chunks_of(count)
    desk = Desk(lambda texts: too_large() if chunks[poison].text in texts else None)
    error = await desk.refusal(chunks)
    assert (error.code, error.is_permanent) == ("chunk_too_large", True)
    assert f"chunk {poison} on page {poison + 1} (id {chunks[poison].chunk_id})" in error.message
    further = len(desk.provider.asked) - 1
    assert further <= (ceil(log2(count)) + 1 if count > 1 else 0)
    assert len(desk.provider.served) == len(set(desk.provider.served)), "what went through is not sent again"


@given(st.integers(1, 64), st.integers(1, 64))
async def test_a_provider_that_takes_less_than_it_said_gets_less(count: int, most: int) -> None:
    desk = Desk(lambda texts: too_large() if len(texts) > most else None)
    chunks = chunks_of(count)
    expected = await HashEmbedder(dimensions=8).embed_passages([chunk.text for chunk in chunks])
    assert np.array_equal(await desk.calls.embed(chunks), expected)
    assert sorted(desk.provider.served) == sorted(chunk.text for chunk in chunks)
    assert count <= most or desk.calls.texts_max <= most < 2 * desk.calls.texts_max + 1


def test_the_size_of_a_call_follows_the_provider_and_the_setting() -> None:
    assert Desk(texts_max=32).calls.texts_max == 32
    assert Desk(texts_max=2_048).calls.texts_max == 64


@pytest.mark.parametrize("code", ["provider_answer", "wrong_count", "not_finite", "zero_vector", "wrong_dimensions"])
async def test_a_garbage_answer_is_asked_for_once_more(code: str) -> None:
    garbage = EmbeddingError(code, "garbage", place=1)
    once = Desk(in_turn(garbage))
    await once.calls.embed(chunks_of(3))
    assert once.calls.calls == 2
    twice = Desk(in_turn(garbage, garbage))
    error = await twice.refusal(chunks_of(3))
    assert (error.code, error.is_permanent, twice.calls.calls) == ("embedding_invalid", True, 2)
    assert "chunk 1 on page 2" in error.message


async def test_another_length_of_vectors_is_not_asked_for_again() -> None:
    desk = Desk(in_turn(EmbeddingError("wrong_dimensions", "expected 8, got 9", is_permanent=True)))
    error = await desk.refusal(chunks_of(2))
    assert (error.code, error.is_permanent, desk.calls.calls) == ("dimensions_changed", True, 1)


async def test_a_refusal_waits_within_its_slot_and_goes_on() -> None:
    desk = Desk(in_turn(EmbeddingError("provider_429", "slow", retry_after_s=7)))
    await desk.calls.embed(chunks_of(2))
    assert desk.slept == [7]
    assert desk.provider.times_us[1] - desk.provider.times_us[0] == 7_000_000


async def test_a_long_window_puts_the_step_off_and_says_until_when() -> None:
    desk = Desk(in_turn(EmbeddingError("provider_429", "slow", retry_after_s=120)))
    error = await desk.refusal(chunks_of(2))
    assert (error.code, error.retry_after_s, error.is_permanent) == ("provider_busy", 120, False)
    assert desk.calls.calls == 1
    error = await desk.refusal(chunks_of(2))
    assert (error.code, desk.calls.calls) == ("provider_busy", 1), "nobody calls within the window"


async def test_a_provider_that_only_refuses_is_not_waited_for_for_ever() -> None:
    desk = Desk(lambda _: EmbeddingError("provider_429", "slow", retry_after_s=0))
    error = await desk.refusal(chunks_of(2))
    assert error.code == "provider_busy"
    assert sum(desk.slept) <= WAIT_S_MAX
    assert desk.calls.calls <= WAIT_S_MAX + 1


async def test_a_limit_is_waited_for_within_the_slot() -> None:
    desk = Desk(quota=Quota(requests_per_minute=60))
    for _ in range(8):
        await desk.calls.embed(chunks_of(1))
    assert len(desk.slept) == 3, "five at once, a sixth is kept for persons"
    assert desk.calls.calls == 8


async def test_a_query_goes_ahead_of_documents_that_use_the_limit_up() -> None:
    desk = Desk(quota=Quota(requests_per_minute=60))
    for _ in range(30):
        await desk.calls.embed(chunks_of(1))
    slept = len(desk.slept)
    queries = GatedQueries(lambda _: desk.provider, desk.gate, query_s_max=10, sleep=desk.sleep)
    vector = await queries.by(Embedding("hash")).embed_query("rye")
    assert np.array_equal(vector, await desk.provider.embed_query("rye"))
    assert len(desk.slept) == slept
    await desk.calls.embed(chunks_of(1))
    assert desk.slept[-1] > desk.slept[slept - 1], "documents wait for it instead"


@pytest.mark.parametrize("retry_after_s", [6, 120])
async def test_a_query_does_not_wait_out_a_long_pause(retry_after_s: float) -> None:
    desk = Desk()
    await desk.gate.report(NAME, Verdict.REFUSED, retry_after_s=retry_after_s)
    queries = GatedQueries(lambda _: desk.provider, desk.gate, query_s_max=10, sleep=desk.sleep)
    with pytest.raises(EmbeddingError) as refusal:
        await queries.by(Embedding("hash")).embed_query("rye")
    assert (refusal.value.code, refusal.value.retry_after_s) == ("provider_busy", retry_after_s)
    assert refusal.value.is_outage
    assert desk.slept == []


async def test_a_query_that_is_not_answered_in_its_time_counts_as_a_failure_of_the_provider() -> None:
    class Silent(FakeProvider):
        async def embed_query(self, text: str) -> Vectors:
            await asyncio.Event().wait()
            return await super().embed_query(text)

    desk = Desk()
    silent = Silent(desk.clock)
    queries = GatedQueries(lambda _: silent, desk.gate, query_s_max=0.02, sleep=desk.sleep)
    for _ in range(FAILURES_MAX):
        with pytest.raises(EmbeddingError) as refusal:
            await queries.by(Embedding("hash")).embed_query("rye")
        assert refusal.value.code == "provider_timeout"
    assert isinstance(await desk.gate.admit(NAME, tokens=1), Wait)


async def test_a_garbage_answer_to_a_query_is_asked_for_once_more() -> None:
    class Once(FakeProvider):
        async def embed_query(self, text: str) -> Vectors:
            self.asked.append([text])
            if len(self.asked) == 1:
                raise EmbeddingError("not_finite", "NaN")
            return await HashEmbedder(dimensions=8).embed_query(text)

    desk = Desk()
    once = Once(desk.clock)
    queries = GatedQueries(lambda _: once, desk.gate, query_s_max=10, sleep=desk.sleep)
    await queries.by(Embedding("hash")).embed_query("rye")
    assert once.asked == [["rye"], ["rye"]]


async def test_tokens_that_the_provider_counts_take_the_place_of_the_estimate() -> None:
    class Metering(FakeProvider):
        async def embed_metered(self, texts: Sequence[str]) -> Metered:
            return Metered(await self.embed_passages(texts), 7 if len(texts) == 2 else None)

    desk = Desk()
    calls = ProviderCalls(Metering(desk.clock), desk.gate, sleep=desk.sleep, texts_max=64)
    await calls.embed(chunks_of(2))
    assert (calls.tokens_sent, calls.tokens_by_provider) == (7, 7)
    await calls.embed(chunks_of(3))
    assert (calls.tokens_sent, calls.tokens_by_provider) == (7 + 6, 7)


async def test_calls_that_fail_in_a_row_keep_the_next_ones_away() -> None:
    desk = Desk(lambda _: EmbeddingError("provider_500", "oops"))
    for _ in range(FAILURES_MAX):
        assert (await desk.refusal(chunks_of(1))).code == "provider_500"
    assert isinstance(await desk.gate.admit(NAME, tokens=1), Wait)
    assert (await desk.refusal(chunks_of(1))).code == "provider_500"
    assert desk.slept == [2.0], "the next one waited until it could be the probe"


@pytest.mark.parametrize("code", ["provider_413", "embedding_rejected"])
async def test_what_is_refused_for_good_says_nothing_against_the_provider(code: str) -> None:
    desk = Desk(lambda _: EmbeddingError(code, "no", is_permanent=True))
    for _ in range(2 * FAILURES_MAX):
        await desk.refusal(chunks_of(1))
    assert isinstance(await desk.gate.admit(NAME, tokens=1), Go)
    assert desk.slept == []


async def test_vectors_that_were_paid_for_survive_a_gate_that_cannot_be_told() -> None:
    class Deaf(MemoryProviderGate):
        async def report(self, name: str, verdict: Verdict, *, retry_after_s: float | None = None) -> None:
            await super().report(name, verdict, retry_after_s=retry_after_s)
            raise LogUnavailable("gone")

    desk = Desk(in_turn(EmbeddingError("provider_answer", "garbage")))
    desk.gate = Deaf(Quota(), clock_us=desk.clock)
    calls = ProviderCalls(desk.provider, desk.gate, sleep=desk.sleep, texts_max=64)
    assert len(await calls.embed(chunks_of(3))) == 3
    assert calls.calls == 2


async def test_a_model_in_this_process_is_asked_without_the_gate() -> None:
    desk = Desk(quota=Quota(requests_per_minute=1))
    calls = ProviderCalls(HashEmbedder(dimensions=8), desk.gate, sleep=desk.sleep, texts_max=64)
    for _ in range(5):
        await calls.embed(chunks_of(2))
    assert (calls.calls, desk.slept) == (5, [])


def test_reasons_to_wait_are_codes_that_burn_no_attempt() -> None:
    assert {reason.value for reason in WaitReason} <= OUTAGE_CODES
