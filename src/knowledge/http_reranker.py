"""Reranking over HTTP as Cohere, Jina and SiliconFlow have it: `POST {base_url}/rerank`.

SiliconFlow: base URL `https://api.siliconflow.cn/v1`, model `BAAI/bge-reranker-v2-m3` (English and Chinese).
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from knowledge.errors import ProviderError
from knowledge.provider_http import ProviderHttp
from knowledge.reranker import Candidate, RankedText, scores_in_order

CALL_S_DEFAULT: Final = 5.0
ANSWER_BYTES_MAX: Final = 1024 * 1024
"""A result takes under 100 bytes; some providers send the texts back with them, which is not asked for."""


class _Answer(msgspec.Struct):
    results: list[RankedText]


_decoder = msgspec.json.Decoder(_Answer)


class HttpReranker:
    """One call a search. Raises ValueError where `base_url` is no http or https address."""

    is_default = True

    def __init__(self, *, base_url: str, api_key: str | None, model: str, call_s_max: float = CALL_S_DEFAULT) -> None:
        self.model = model
        self._http = ProviderHttp(f"{base_url.rstrip('/')}/rerank", api_key=api_key, call_s_max=call_s_max)

    def __repr__(self) -> str:
        return f"HttpReranker(model={self.model!r}, http={self._http!r})"

    async def rerank(self, query: str, candidates: Sequence[Candidate]) -> list[float]:
        if not candidates:
            return []
        texts = [candidate.text for candidate in candidates]
        body = {"model": self.model, "query": query, "documents": texts, "top_n": len(texts), "return_documents": False}
        content = await self._http.post(body, answer_bytes_max=ANSWER_BYTES_MAX)
        try:
            answer = _decoder.decode(content)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ProviderError("rerank_answer", f"the answer is not a list of results: {error}") from error
        return scores_in_order(answer.results, len(texts))

    async def close(self) -> None:
        await self._http.close()
