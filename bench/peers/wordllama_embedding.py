"""wordllama (static word vectors, https://github.com/dleemiller/WordLlama) as an embedding class of LlamaIndex.

The package lies in the peers' environment; its folder is asked last, so that everything of the product stays as it is.
"""

import sys
import sysconfig
from pathlib import Path
from typing import Any, Final

from llama_index.core.embeddings import BaseEmbedding
from pydantic import PrivateAttr

from bench.peers.environment import FOLDER

DIMENSIONS: Final = 256
PACKAGES: Final = sysconfig.get_path("purelib", vars={"base": str(FOLDER)})


class WordLlamaEmbedding(BaseEmbedding):
    """The weights that the package brings; nothing is fetched."""

    _model: Any = PrivateAttr()

    def __init__(self, **arguments: Any) -> None:
        super().__init__(model_name="wordllama-256", embed_batch_size=64, **arguments)
        if PACKAGES not in sys.path:
            sys.path.append(PACKAGES)
        import wordllama

        # Its tokenizer lies in the package too, where only the look-up of downloaded files finds it.
        packaged = Path(wordllama.__file__).parent
        self._model = wordllama.WordLlama.load(dim=DIMENSIONS, cache_dir=packaged, disable_download=True)

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._model.embed(texts, norm=True).tolist()
        return vectors

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._get_text_embeddings(texts)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)
