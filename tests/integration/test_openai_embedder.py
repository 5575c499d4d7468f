"""The OpenAI-compatible embedder against a real HTTP server that speaks the protocol, and misbehaves on demand."""

import asyncio
import resource
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from knowledge.embedders import Embedder, Remote
from knowledge.errors import EmbeddingError
from knowledge.openai_embedder import OpenAIEmbedder
from tests.contract.embedder_contract import EmbedderContract
from tests.servers.embedding_provider import DIMENSIONS, KEY, Reply, embedding_provider, embeddings
from tests.servers.embedding_provider import EmbeddingProvider as Provider

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def provider() -> Iterator[Provider]:
    with embedding_provider() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def make(provider: Provider, **settings: Any) -> OpenAIEmbedder:
    return OpenAIEmbedder(
        base_url=provider.base_url,
        api_key=KEY,
        model="bge-m3",
        dimensions=DIMENSIONS,
        clock=lambda: NOW,
        **settings,
    )


class TestOpenAIEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self, provider: Provider) -> Embedder:
        return make(provider, batch_texts=4)


async def refusal_of(embedder: Embedder, texts: tuple[str, ...] = ("one", "two")) -> EmbeddingError:
    with pytest.raises(EmbeddingError) as refusal:
        await embedder.embed_passages(texts)
    assert KEY not in str(refusal.value)
    await embedder.close()
    return refusal.value


async def test_requests_carry_model_texts_and_key_in_batches(provider: Provider) -> None:
    embedder = make(provider, batch_texts=2)
    await embedder.embed_passages(["a", "b", "c"])
    await embedder.close()
    assert [body["input"] for body in provider.bodies] == [["a", "b"], ["c"]]
    assert {(body["path"], body["model"]) for body in provider.bodies} == {("/v1/embeddings", "bge-m3")}
    assert provider.authorizations == [f"Bearer {KEY}"] * 2


@pytest.mark.parametrize(
    ("status", "code", "is_permanent"),
    [
        *((status, "embedding_rejected", True) for status in (302, 400, 401, 403, 404, 422)),
        (413, "provider_413", True),
        *((status, f"provider_{status}", False) for status in (408, 429, 500, 502, 503, 504)),
    ],
)
async def test_the_status_says_whether_trying_again_helps(
    provider: Provider, status: int, code: str, is_permanent: bool
) -> None:
    provider.reply = lambda _: (status, {"Location": "/elsewhere"}, f'{{"error": "bad key {KEY}"}}'.encode())
    error = await refusal_of(make(provider))
    assert (error.code, error.is_permanent, error.retry_after_s) == (code, is_permanent, None)
    assert f"answered {status}" in error.message
    assert "bad key ***" in error.message
    assert len(provider.bodies) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_refusal_and_nothing_goes_where_it_points(provider: Provider, status: int) -> None:
    with embedding_provider() as elsewhere:
        provider.reply = lambda _: (status, {"Location": f"{elsewhere.base_url}/embeddings"}, b"")
        embedder = make(provider)
        (answer,) = await asyncio.gather(embedder.embed_passages(["a secret"]), return_exceptions=True)
        await embedder.close()
        assert elsewhere.authorizations == [], "a key went where the provider pointed"
        assert elsewhere.texts == [], "a text went where the provider pointed"
        assert isinstance(answer, EmbeddingError)
        assert (answer.code, answer.is_permanent) == ("embedding_rejected", True)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("999999", 3_600.0),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("2.5e", None),
    ],
)
async def test_retry_after_is_seconds_or_a_date(provider: Provider, header: str, seconds: float | None) -> None:
    provider.reply = lambda _: (429, {"Retry-After": header}, b"{}")
    assert (await refusal_of(make(provider))).retry_after_s == seconds


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"<html>busy</html>", "provider_answer"),
        (b"", "provider_answer"),
        (b"[" * 100_000, "provider_answer"),
        (b'{"data": [], "usage": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "provider_answer"),
        (b'{"data": [{"index": 0, "embedding": [null]}]}', "provider_answer"),
        (b'{"data": []}', "wrong_count"),
        (b'{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}', "wrong_count"),
        (b'{"data": [{"index": 0, "embedding": [1]}, {"index": 2, "embedding": [1]}]}', "wrong_count"),
        (b'{"data": [{"index": 0, "embedding": [1, 2]}, {"index": 1, "embedding": [1, 2]}]}', "wrong_dimensions"),
        (b'{"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1, 2]}]}', "wrong_dimensions"),
    ],
)
async def test_an_answer_that_is_no_list_of_vectors_is_refused(provider: Provider, content: bytes, code: str) -> None:
    provider.reply = lambda _: (200, {}, content)
    assert (await refusal_of(make(provider))).code == code


async def test_the_place_of_a_bad_vector_is_told(provider: Provider) -> None:
    good, bad = ",".join(["1"] * DIMENSIONS), ",".join(["0"] * DIMENSIONS)
    content = f'{{"data": [{{"index": 1, "embedding": [{bad}]}}, {{"index": 0, "embedding": [{good}]}}]}}'
    provider.reply = lambda _: (200, {}, content.encode())
    assert (await refusal_of(make(provider))).place == 1


async def test_an_answer_that_is_cut_off_may_be_asked_for_again(provider: Provider) -> None:
    provider.is_cut = True
    error = await refusal_of(make(provider))
    assert (error.code, error.is_permanent) == ("provider_unreachable", False)


async def test_a_zipped_answer_that_is_damaged_is_no_answer(provider: Provider) -> None:
    provider.reply = lambda _: (200, {"Content-Encoding": "gzip"}, b"\x1f\x8b\x08 this is not zipped")
    assert (await refusal_of(make(provider))).code == "provider_answer"


@pytest.mark.parametrize(("number", "code"), [("0", "zero_vector"), ("1e39", "not_finite")])
async def test_vectors_without_direction_are_refused(provider: Provider, number: str, code: str) -> None:
    vector = f"[{','.join([number] * DIMENSIONS)}]"
    provider.reply = lambda _: (200, {}, f'{{"data": [{{"index": 0, "embedding": {vector}}}]}}'.encode())
    assert (await refusal_of(make(provider), ("one",))).code == code


async def test_an_answer_without_end_is_cut_off(provider: Provider) -> None:
    provider.reply = lambda _: (200, {}, b" " * 300_000)
    error = await refusal_of(make(provider, response_bytes_max=100_000))
    assert error.code == "provider_answer"
    assert "100,000 bytes" in error.message


async def test_an_answer_far_larger_than_the_vectors_asked_for_costs_no_memory(provider: Provider) -> None:
    content = b'{"data": [{"index": 0, "embedding": [' + b"1," * 30_000_000 + b"1]}]}"
    provider.reply = lambda _: (200, {}, content)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = await refusal_of(make(provider), ("one",))
    assert error.code == "provider_answer"
    assert "1,048,576 bytes" in error.message
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 50 * 1_024


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 9, "total_tokens": 9}, 18),
        ({"prompt_tokens": 9}, 18),
        (None, None),
        ({"total_tokens": -1}, None),
        ({"total_tokens": True}, None),
        ({"total_tokens": 10**12}, None),
        ({"total_tokens": "9"}, None),
        ("none", None),
    ],
)
async def test_tokens_are_those_that_the_provider_says_or_nobodys(
    provider: Provider, usage: object, tokens: int | None
) -> None:
    def metered(body: dict[str, Any]) -> Reply:
        status, headers, content = embeddings(body)
        return status, headers, msgspec.json.encode({**msgspec.json.decode(content), "usage": usage})

    provider.reply = metered
    embedder = make(provider, batch_texts=2)
    found = await embedder.embed_metered(["a", "b", "c"])
    await embedder.close()
    assert (len(found.vectors), found.tokens) == (3, tokens)


async def test_a_long_refusal_keeps_its_status(provider: Provider) -> None:
    provider.reply = lambda _: (503, {}, b"<html>" * 1_000_000)
    assert (await refusal_of(make(provider))).code == "provider_503"


async def test_an_answer_that_comes_in_drops_is_given_up_at_the_deadline(provider: Provider) -> None:
    provider.drip_bytes = 1
    error = await refusal_of(make(provider, timeout_s=0.4))
    assert (error.code, error.is_permanent) == ("provider_timeout", False)


async def test_a_silent_provider_is_given_up_and_may_be_asked_again(provider: Provider) -> None:
    provider.is_silent = True
    error = await refusal_of(make(provider, timeout_s=0.1))
    assert (error.code, error.is_permanent) == ("provider_timeout", False)


async def test_a_provider_that_is_not_there_may_be_asked_again() -> None:
    embedder = OpenAIEmbedder(base_url="http://127.0.0.1:1", api_key=None, model="m", dimensions=2)
    error = await refusal_of(embedder)
    assert (error.code, error.is_permanent) == ("provider_unreachable", False)


@pytest.mark.parametrize("base_url", ["ftp://127.0.0.1/v1", "not a url", "http://127.0.0.1:99999/v1"])
def test_an_address_that_cannot_be_used_is_refused(base_url: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        OpenAIEmbedder(base_url=base_url, api_key=None, model="m", dimensions=2)


async def test_calls_are_counted_by_endpoint_and_model(provider: Provider) -> None:
    embedder = make(provider, batch_texts=7)
    assert embedder.remote == Remote(f"{provider.base_url}/embeddings#bge-m3", 7)
    await embedder.close()


async def test_the_key_is_not_in_the_representation(provider: Provider) -> None:
    embedder = make(provider)
    assert KEY not in repr(embedder)
    await embedder.close()
