"""Settings of a search's patience, and of the models that it or an answer asks: reranker and language model."""

from typing import Annotated, Final

from msgspec import Meta

from millstream.settings_embedding import EmbeddingFields

_SECRET: Final = {"secret": True}


class ModelFields(EmbeddingFields, frozen=True, kw_only=True):
    """A key of the OpenAI-compatible endpoint goes to no other: an address of its own needs a key of its own."""

    search_wait_s_max: Annotated[
        int,
        Meta(
            ge=1,
            le=600,
            description="time that a search waits for the index to be loaded after a start, and for the vector of its "
            "query, seconds; then it answers 503",
        ),
    ] = 30
    rerank_model: Annotated[
        str,
        Meta(
            description="what puts passages of the enhanced profile in order: a model (BAAI/bge-reranker-v2-m3) or "
            "local, which needs none; empty is nothing"
        ),
    ] = "local"
    rerank_base_url: Annotated[
        str, Meta(description="endpoint with /rerank, e.g. https://api.siliconflow.cn/v1; empty is openai_base_url")
    ] = ""
    rerank_api_key: Annotated[
        str,
        Meta(
            description="key of that endpoint; empty is openai_api_key where rerank_base_url is empty too",
            extra=_SECRET,
        ),
    ] = ""
    rerank_call_s_max: Annotated[
        int, Meta(ge=1, le=600, description="time for reranking; a search then answers without it, seconds")
    ] = 5
    llm_model: Annotated[
        str, Meta(description="chat model that answers questions, e.g. Qwen/Qwen3-32B; empty is none")
    ] = ""
    llm_base_url: Annotated[
        str, Meta(description="OpenAI-compatible endpoint of that model; empty is openai_base_url")
    ] = ""
    llm_api_key: Annotated[
        str,
        Meta(
            description="key of that endpoint; empty is openai_api_key where llm_base_url is empty too", extra=_SECRET
        ),
    ] = ""
    llm_call_s_max: Annotated[
        int, Meta(ge=1, le=3_600, description="time for one answer, to its last word, seconds")
    ] = 60
    llm_context_tokens_max: Annotated[
        int, Meta(ge=256, le=1_000_000, description="tokens (estimated) of passages that a question is asked with")
    ] = 6_000
    llm_answer_tokens_max: Annotated[int, Meta(ge=16, le=100_000, description="tokens of one answer")] = 1_024
