"""The models besides embeddings that this installation is set up with: a reranker, a language model."""

from collections.abc import Callable
from typing import TypeVar

from knowledge.http_reranker import HttpReranker
from knowledge.language_model import LanguageModel
from knowledge.llama_model import EndpointModel
from knowledge.local_reranker import LOCAL_MODEL, LocalReranker
from knowledge.reranker import Reranker
from millstream.errors import ExitCode, Stop
from millstream.settings import Settings

T = TypeVar("T")


class Models:
    """Makes each once; nothing is connected before the first call. Raises Stop for a setting that cannot be used."""

    def __init__(self, settings: Settings) -> None:
        self.reranker: Reranker | None = _made("rerank_base_url", lambda: _reranker(settings))
        self.language_model: LanguageModel | None = _made("llm_base_url", lambda: _language_model(settings))

    async def warm(self) -> None:
        """Loads what the first question would wait for; nothing where there is no language model."""
        if self.language_model is not None:
            await self.language_model.warm()

    async def close(self) -> None:
        if self.language_model is not None:
            await self.language_model.close()
        if self.reranker is not None:
            await self.reranker.close()


def _reranker(settings: Settings) -> Reranker | None:
    if not settings.rerank_model:
        return None
    if settings.rerank_model == LOCAL_MODEL:
        return LocalReranker()
    url, key = endpoint_of(settings, settings.rerank_base_url, settings.rerank_api_key)
    return HttpReranker(base_url=url, api_key=key, model=settings.rerank_model, call_s_max=settings.rerank_call_s_max)


def _language_model(settings: Settings) -> LanguageModel | None:
    if not settings.llm_model:
        return None
    url, key = endpoint_of(settings, settings.llm_base_url, settings.llm_api_key)
    return EndpointModel(
        base_url=url,
        api_key=key,
        model=settings.llm_model,
        call_s_max=settings.llm_call_s_max,
        context_tokens_max=settings.llm_context_tokens_max,
        answer_tokens_max=settings.llm_answer_tokens_max,
    )


def endpoint_of(settings: Settings, base_url: str, api_key: str) -> tuple[str, str | None]:
    """An address without a key of its own is asked without one: a key is never shown to another provider."""
    if base_url:
        return base_url, api_key or None
    return settings.openai_base_url, api_key or settings.openai_api_key or None


def _made(setting: str, make: Callable[[], T]) -> T:
    try:
        return make()
    except ValueError as error:
        raise Stop(
            f"MILLSTREAM_{setting.upper()} cannot be used: {error}",
            hint="set it, or MILLSTREAM_OPENAI_BASE_URL, to an endpoint like https://api.siliconflow.cn/v1",
            exit_code=ExitCode.CONFIGURATION,
        ) from None
