"""Any embedding class of LlamaIndex: the contract of embedders, and what becomes of a class that cannot or will not."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from knowledge.embedders import Embedder, Remote, make_embedder
from knowledge.errors import EmbeddingError
from knowledge.llama_embedder import LlamaEmbedder
from tests.contract.embedder_contract import EmbedderContract
from tests.servers.embedding_garbage import refused
from tests.servers.embedding_provider import DIMENSIONS, KEY, EmbeddingProvider, embedding_provider

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
CLASSES = "tests.servers.embedding_classes"
MOCK = "llama_index.core.embeddings.mock_embed_model.MockEmbedding"

Make = Callable[..., LlamaEmbedder]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[LlamaEmbedder] = []

    def of(path: str, *, dimensions: int = DIMENSIONS, call_s_max: float = 10.0, **arguments: Any) -> LlamaEmbedder:
        name = f"llamaindex:{path if '.' in path else f'{CLASSES}.{path}'}"
        embedder = LlamaEmbedder(
            name, arguments=arguments, dimensions=dimensions, call_s_max=call_s_max, clock=lambda: NOW
        )
        made.append(embedder)
        return embedder

    yield of
    for embedder in made:
        await embedder.close()


@pytest.fixture
def provider() -> Iterator[EmbeddingProvider]:
    with embedding_provider() as server:
        yield server


def over_http(make: Make, provider: EmbeddingProvider, **arguments: Any) -> LlamaEmbedder:
    return make("OverHttp", api_base=provider.base_url, api_key=KEY, **arguments)


class TestAwaiting(EmbedderContract):
    @pytest.fixture
    def embedder(self, make: Make) -> Embedder:
        return make("Awaiting", embed_batch_size=4)


class TestBlocking(EmbedderContract):
    @pytest.fixture
    def embedder(self, make: Make) -> Embedder:
        return make("Blocking")


class TestOverHttp(EmbedderContract):
    @pytest.fixture
    def embedder(self, make: Make, provider: EmbeddingProvider) -> Embedder:
        return over_http(make, provider)


async def refusal_of(embedder: LlamaEmbedder, texts: tuple[str, ...] = ("one", "two")) -> EmbeddingError:
    with pytest.raises(EmbeddingError) as refusal:
        await embedder.embed_passages(texts)
    assert KEY not in str(refusal.value)
    return refusal.value


async def test_a_class_that_comes_with_llamaindex_is_made_by_its_path(make: Make) -> None:
    embedder = make_embedder(f"llamaindex:{MOCK}#a", dimensions=4, arguments={"embed_dim": 4})
    vectors = await embedder.embed_passages(["a", "b"])
    assert np.allclose(vectors, 0.5)
    assert np.allclose(await embedder.embed_query("a"), 0.5)
    assert embedder.model == f"llamaindex:{MOCK}#a"
    await embedder.close()


async def test_a_call_has_as_many_texts_as_the_class_takes_at_once(make: Make) -> None:
    embedder = make("Awaiting", embed_batch_size=3)
    assert embedder.remote == Remote(embedder.model, 3)
    await embedder.embed_passages([str(number) for number in range(7)])
    assert [len(batch) for batch in embedder._instance.batches] == [3, 3, 1]
    assert make("Awaiting").remote == Remote(embedder.model, 10)


async def test_a_class_that_blocks_blocks_nobody_else(make: Make) -> None:
    embedder = make("Blocking")
    await embedder.load()
    classes = import_module(CLASSES)
    classes.shut(True)
    try:
        asked = asyncio.gather(embedder.embed_passages(["a"]), embedder.embed_query("a"))
        for _ in range(100):
            await asyncio.sleep(0)  # this loop turns
        assert not asked.done()
    finally:
        classes.shut(False)
    vectors, query = await asked
    assert np.allclose(vectors[0], query)


async def test_a_class_that_does_not_answer_is_given_up_and_may_be_asked_again(make: Make) -> None:
    embedder = make("Blocking", call_s_max=0.1)
    await embedder.load()
    classes = import_module(CLASSES)
    classes.shut(True)
    try:
        error = await refusal_of(embedder)
    finally:
        classes.shut(False)
    assert (error.code, error.is_permanent) == ("provider_timeout", False)


@pytest.mark.parametrize(
    ("path", "arguments", "words"),
    [
        ("no.such_package.Class", {}, "No module named 'no'"),
        (f"{CLASSES}.Missing", {}, "has no Missing"),
        (f"{CLASSES}.NoEmbedding", {}, "does not derive from BaseEmbedding"),
        (f"{CLASSES}.shut", {}, "does not derive from BaseEmbedding"),
        (MOCK, {}, "embed_dim"),
        (f"{CLASSES}.Awaiting", {"embed_batch_size": "many"}, "embed_batch_size"),
        ("llama_index.core.base.embeddings.base.BaseEmbedding", {}, "abstract"),
        (f"{CLASSES}.Refusing", {"api_key": KEY}, "the key '***' is not one"),
    ],
)
async def test_a_class_that_cannot_be_made_is_told_with_the_reason(
    make: Make, path: str, arguments: dict[str, Any], words: str
) -> None:
    error = await refusal_of(make(path, **arguments))
    assert (error.code, error.is_permanent) == ("embedding_not_configured", False)
    assert words in error.message
    assert path.rpartition(".")[0] in error.message


@pytest.mark.parametrize("path", ["Class", "", "a..B", "a.b-c.D", ".A", "a."])
def test_a_name_that_is_no_import_path_is_refused_at_once(path: str) -> None:
    with pytest.raises(ValueError, match="no import path"):
        LlamaEmbedder(f"llamaindex:{path}", arguments={}, dimensions=2)


@pytest.mark.parametrize(
    ("answer", "code", "is_permanent"),
    [
        ([[1.0] * DIMENSIONS], "wrong_count", False),
        ([[1.0] * DIMENSIONS] * 3, "wrong_count", False),
        ([[1.0] * 2] * 2, "wrong_dimensions", True),
        ([[1.0] * DIMENSIONS, [1.0]], "wrong_dimensions", False),
        ([[1.0] * DIMENSIONS, None], "provider_answer", False),
        ([[math.nan] * DIMENSIONS] * 2, "not_finite", False),
        ([[0.0] * DIMENSIONS] * 2, "zero_vector", False),
        (None, "provider_answer", False),
    ],
)
async def test_an_answer_that_is_none_is_refused(make: Make, answer: Any, code: str, is_permanent: bool) -> None:
    error = await refusal_of(make("Mad", answer=answer))
    assert (error.code, error.is_permanent) == (code, is_permanent)


@pytest.mark.parametrize(
    ("raised", "code", "is_permanent"),
    [
        ("ReadTimeout", "provider_timeout", False),
        ("TimeoutError", "provider_timeout", False),
        ("ConnectError", "provider_unreachable", False),
        ("ConnectionResetError", "provider_unreachable", False),
        ("ValueError", "provider_answer", False),
        ("KeyError", "provider_answer", False),
        ("FileNotFoundError", "model_unavailable", True),
        ("ImportError", "model_unavailable", True),
        ("RuntimeError", "model_failed", False),
    ],
)
async def test_an_error_without_a_status_is_told_by_its_kind(
    make: Make, raised: str, code: str, is_permanent: bool
) -> None:
    error = await refusal_of(make("Mad", error=raised))
    assert (error.code, error.is_permanent) == (code, is_permanent)


@pytest.mark.parametrize("wraps", [False, True])
@pytest.mark.parametrize(
    ("status", "code", "is_permanent"),
    [
        *((status, "embedding_rejected", True) for status in (400, 401, 403, 404, 422)),
        (413, "provider_413", True),
        *((status, f"provider_{status}", False) for status in (408, 429, 500, 503)),
    ],
)
async def test_the_status_that_a_library_met_says_whether_trying_again_helps(
    make: Make, provider: EmbeddingProvider, status: int, code: str, is_permanent: bool, wraps: bool
) -> None:
    provider.reply = refused(status, Retry_After="7")
    error = await refusal_of(over_http(make, provider, wraps=wraps))
    assert (error.code, error.is_permanent) == (code, is_permanent)
    assert error.retry_after_s == (None if is_permanent else 7)


async def test_a_provider_may_name_a_date(make: Make, provider: EmbeddingProvider) -> None:
    provider.reply = refused(503, Retry_After=format_datetime(NOW + timedelta(seconds=90), usegmt=True))
    assert (await refusal_of(over_http(make, provider))).retry_after_s == 90


async def test_a_broken_connection_and_garbage_are_told_apart(make: Make, provider: EmbeddingProvider) -> None:
    embedder = over_http(make, provider)
    provider.reply = lambda _: (200, {}, b"<html>")
    assert (await refusal_of(embedder)).code == "provider_answer"
    provider.is_cut = True
    assert (await refusal_of(embedder)).code == "provider_unreachable"


async def test_a_provider_that_is_silent_is_given_up(make: Make, provider: EmbeddingProvider) -> None:
    provider.is_silent = True
    assert (await refusal_of(over_http(make, provider, call_s_max=0.1))).code == "provider_timeout"


async def test_arguments_show_nowhere(make: Make) -> None:
    assert KEY not in repr(make("Awaiting", api_key=KEY))
