"""The settings of where the index is: unit, range, default, meaning. They are part of `Settings`."""

from typing import Annotated, Literal

from msgspec import Meta

from millstream.settings_webhooks import WebhookFields


class IndexFields(WebhookFields, frozen=True, kw_only=True):
    """See docs/index-storage.md."""

    index_url: Annotated[
        str,
        Meta(
            description="search index: a directory, file:///path, s3://bucket/prefix (with the keys of S3), or "
            "qdrant+http://host:6333/name (qdrant+https for TLS); empty is a folder of the data directory"
        ),
    ] = ""
    index_commits: Annotated[
        Literal["auto", "redis"],
        Meta(
            description="who compares commits to an index in a bucket: auto is the S3 server where it keeps "
            "If-None-Match, or Redis"
        ),
    ] = "auto"
    index_vectors_rows_min: Annotated[
        int,
        Meta(
            ge=1_000,
            le=100_000_000,
            description="rows of a knowledge base from which on its vectors have an index, held in memory by the API; "
            "fewer are scanned at each search. What is found is the same",
        ),
    ] = 5_000
    index_cache_mb: Annotated[
        int,
        Meta(
            ge=64,
            le=1_000_000,
            description="memory that one process may take for indices, in MB: vectors of 512 numbers take 2 kB a row; "
            "what finds no room is read at each search",
        ),
    ] = 1_024
    qdrant_api_key: Annotated[
        str, Meta(description="key of the Qdrant server, one that may write", extra={"secret": True})
    ] = ""
    qdrant_call_s_max: Annotated[
        int, Meta(ge=1, le=3_600, description="time for one call of the Qdrant server, seconds")
    ] = 30
    qdrant_exact: Annotated[
        bool,
        Meta(
            description="let Qdrant compare a query with every vector of a knowledge base; false searches those of "
            "large ones through a graph: faster, and it may miss some of the nearest"
        ),
    ] = True
