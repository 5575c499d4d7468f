"""What `millstream doctor` finds out about the embedding: whether it can be made, answers, and makes what it should."""

from typing import Final

import msgspec

from knowledge.embedders import OPENAI_PREFIX, Embedder
from knowledge.errors import EmbeddingError
from millstream.embeddings import Embeddings
from millstream.errors import ExitCode, Stop
from millstream.settings import Settings

PROBE: Final = "flour"


async def check_embedding(settings: Settings) -> str:
    """The model and the length of its vectors, as a text sent to it tells. Raises Stop that says what to do."""
    is_measured = bool(settings.llamaindex_dimensions)
    embeddings = Embeddings(settings if is_measured else msgspec.structs.replace(settings, llamaindex_dimensions=1))
    try:
        await embeddings.check()
        embedder = embeddings.of(embeddings.default)
        if embedder.remote is not None:
            await _probe(embedder)
    except EmbeddingError as error:
        raise Stop(error.message, hint=_advice(error, embeddings), exit_code=ExitCode.CONFIGURATION) from None
    finally:
        await embeddings.close()
    return f"{embeddings.default}, {embedder.dimensions} dimensions"


async def _probe(embedder: Embedder) -> None:
    """One word, as a query and as a passage: some models make them by two ways."""
    await embedder.embed_query(PROBE)
    await embedder.embed_passages([PROBE])


def _advice(error: EmbeddingError, embeddings: Embeddings) -> str:
    is_endpoint = embeddings.default.startswith(OPENAI_PREFIX)
    if error.code == "wrong_dimensions":
        variable = "OPENAI_EMBEDDING_DIMENSIONS" if is_endpoint else "LLAMAINDEX_DIMENSIONS"
        return f"set MILLSTREAM_{variable} to what it makes; knowledge bases that have another length need a new index"
    if is_endpoint:
        return "check MILLSTREAM_OPENAI_BASE_URL, _OPENAI_API_KEY and _OPENAI_EMBEDDING_MODEL"
    return "check MILLSTREAM_EMBEDDING and _LLAMAINDEX_ARGUMENTS"
