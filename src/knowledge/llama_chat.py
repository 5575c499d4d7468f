"""Chat models through LlamaIndex: ours on any OpenAI-compatible endpoint, without the 3.8 s that `openai` takes.

LlamaIndex is imported with this module (1 s): only who answers questions imports it, and late.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from llama_index.core import Settings  # noqa: F401  has the library load all of itself, in its own order
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    CompletionResponse,
    CompletionResponseGen,
    LLMMetadata,
)
from llama_index.core.llms import LLM, CustomLLM
from pydantic import PrivateAttr

from knowledge.chat_stream import ChatStream
from knowledge.language_model import Finished, Message, Piece, Usage
from knowledge.provider_http import ProviderHttp

CHARS_A_TOKEN_MAX: Final = 8
"""What a token of text has at most, near enough: an answer that runs on beyond its limit is cut here."""

ENDED: Final = "finished"
"""Where a last response carries how the answer ended."""


class ChatEndpoint(CustomLLM):
    """A LlamaIndex LLM on `POST {base_url}/chat/completions`. Calls raise ProviderError."""

    model: str
    context_tokens: int
    answer_tokens_max: int
    _http: ProviderHttp = PrivateAttr()

    def __init__(self, http: ProviderHttp, *, model: str, context_tokens: int, answer_tokens_max: int) -> None:
        super().__init__(model=model, context_tokens=context_tokens, answer_tokens_max=answer_tokens_max)
        self._http = http

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(
            context_window=self.context_tokens,
            num_output=self.answer_tokens_max,
            is_chat_model=True,
            model_name=self.model,
        )

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        last = ChatResponse(message=ChatMessage(role="assistant", content=""))
        async for response in await self.astream_chat(messages, **kwargs):
            last = response
        return last

    async def astream_chat(self, messages: Sequence[ChatMessage], **_kwargs: Any) -> ChatResponseAsyncGen:
        return self._responses(messages)

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return asyncio.run(self.achat(messages, **kwargs))

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:  # noqa: ARG002  # LlamaIndex's signature
        response = self.chat([ChatMessage(role="user", content=prompt)], **kwargs)
        return CompletionResponse(text=response.message.content or "")

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        def whole() -> CompletionResponseGen:
            response = self.complete(prompt, formatted=formatted, **kwargs)
            yield CompletionResponse(text=response.text, delta=response.text)

        return whole()

    async def _responses(self, messages: Sequence[ChatMessage]) -> ChatResponseAsyncGen:
        reading = ChatStream(self.answer_tokens_max * CHARS_A_TOKEN_MAX)
        text = ""
        async with self._http.streaming(self._body(messages)) as parts:
            async for part in parts:
                for words in reading.feed(part):
                    text += words
                    yield ChatResponse(message=ChatMessage(role="assistant", content=text), delta=words)
                if reading.is_over:
                    break
        for words in reading.feed(b"\n"):  # a last line without its end
            text += words
            yield ChatResponse(message=ChatMessage(role="assistant", content=text), delta=words)
        ended = {ENDED: reading.end()}
        yield ChatResponse(message=ChatMessage(role="assistant", content=text), delta="", additional_kwargs=ended)

    def _body(self, messages: Sequence[ChatMessage]) -> dict[str, Any]:
        return {
            "model": self.model,
            "messages": [{"role": message.role.value, "content": message.content or ""} for message in messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": self.answer_tokens_max,
            "temperature": 0,
        }


async def pieces_of(llm: LLM, messages: Sequence[Message]) -> AsyncIterator[Piece]:
    """What any LLM of LlamaIndex answers, as a `LanguageModel` tells it."""
    finished = Finished(Usage())
    asked = [ChatMessage(role=message.role.value, content=message.text) for message in messages]
    async for response in await llm.astream_chat(asked):
        if response.delta:
            yield response.delta
        finished = response.additional_kwargs.get(ENDED, finished)
    yield finished
