"""Settings of what makes vectors: unit, range, default, meaning. They are part of `Settings`."""

from typing import Annotated

from msgspec import Meta

from millstream.settings_parsing import ParsingFields


class EmbeddingFields(ParsingFields, frozen=True, kw_only=True):
    """See docs/embedding.md."""

    embedding: Annotated[
        str,
        Meta(
            min_length=1,
            description="model of new knowledge bases: local, hash, openai for the endpoint below, or "
            "llamaindex:package.module.ClassName for any embedding class of LlamaIndex",
        ),
    ] = "local"
    openai_base_url: Annotated[
        str, Meta(description="OpenAI-compatible endpoint, e.g. https://api.siliconflow.cn/v1")
    ] = ""
    openai_api_key: Annotated[str, Meta(description="key of that endpoint", extra={"secret": True})] = ""
    openai_embedding_model: Annotated[str, Meta(description="embedding model there, e.g. BAAI/bge-m3")] = "BAAI/bge-m3"
    openai_embedding_dimensions: Annotated[int, Meta(ge=1, le=16_384, description="length of that model's vectors")] = (
        1_024
    )
    llamaindex_class: Annotated[
        str,
        Meta(description="import path of a LlamaIndex embedding class that older knowledge bases still need"),
    ] = ""
    llamaindex_arguments: Annotated[
        str,
        Meta(
            description="what that class, or the one that embedding names, is made with: a JSON object, "
            "or a table in millstream.toml",
            extra={"secret": True, "json": True},
        ),
    ] = ""
    llamaindex_dimensions: Annotated[
        int, Meta(ge=0, le=16_384, description="length of that class's vectors; 0 where there is no such class")
    ] = 0
    embedding_query_prefix: Annotated[
        str,
        Meta(
            max_length=500,
            description='what the model reads ahead of a query, e.g. "query: " for e5; of new knowledge bases',
        ),
    ] = ""
    embedding_passage_prefix: Annotated[
        str,
        Meta(
            max_length=500,
            description='what the model reads ahead of a passage, e.g. "passage: " for e5; of new knowledge bases',
        ),
    ] = ""
    embedding_call_s_max: Annotated[
        int, Meta(ge=1, le=3_600, description="time for one call of an embedding provider, to the last byte, seconds")
    ] = 60
    embedding_query_s_max: Annotated[
        int,
        Meta(
            ge=1,
            le=600,
            description="time for a provider's vector of a query, waiting for its turn included, seconds; a hybrid "
            "search then goes by words alone",
        ),
    ] = 10
    embedding_rpm: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000_000,
            description="calls a minute of a provider's model, all processes together; 0 is no limit",
        ),
    ] = 0
    embedding_tpm: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000_000_000,
            description="tokens (estimated) a minute of a provider's model, all processes together; 0 is no limit",
        ),
    ] = 0
