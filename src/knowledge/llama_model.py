"""The configured chat model, behind LlamaIndex's interface; LlamaIndex is loaded at the first question."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from importlib import import_module
from typing import Any, Final

from knowledge.language_model import Message, Piece
from knowledge.provider_http import ProviderHttp

_MODULE: Final = "knowledge.llama_chat"


class EndpointModel:
    """A chat model of an OpenAI-compatible endpoint. Raises ValueError where `base_url` is no http or https address."""

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str | None,
        model: str,
        call_s_max: float,
        context_tokens_max: int,
        answer_tokens_max: int,
    ) -> None:
        self.model = model
        self._http = ProviderHttp(f"{base_url.rstrip('/')}/chat/completions", api_key=api_key, call_s_max=call_s_max)
        self._context_tokens = context_tokens_max + answer_tokens_max
        self._answer_tokens_max = answer_tokens_max
        self._loading = asyncio.Lock()
        self._module: Any = None

    def __repr__(self) -> str:
        return f"EndpointModel(model={self.model!r}, http={self._http!r})"

    async def stream(self, messages: Sequence[Message]) -> AsyncIterator[Piece]:
        await self.warm()
        llm = self._module.ChatEndpoint(
            self._http,
            model=self.model,
            context_tokens=self._context_tokens,
            answer_tokens_max=self._answer_tokens_max,
        )
        async with aclosing(self._module.pieces_of(llm, messages)) as pieces:
            async for piece in pieces:
                yield piece

    async def warm(self) -> None:
        async with self._loading:
            if self._module is None:
                self._module = await asyncio.to_thread(import_module, _MODULE)

    async def close(self) -> None:
        await self._http.close()
