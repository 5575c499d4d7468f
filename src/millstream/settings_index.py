"""The settings of where the index is: unit, range, default, meaning. They are part of `Settings`."""

from typing import Annotated, Literal

from msgspec import Meta

from millstream.settings_webhooks import WebhookFields


class IndexFields(WebhookFields, frozen=True, kw_only=True):
    """See docs/index-storage.md."""

    index_url: Annotated[
        str,
        Meta(
            description="search index: a directory, file:///path or s3://bucket/prefix (with the keys of S3); "
            "empty is a folder of the data directory"
        ),
    ] = ""
    index_commits: Annotated[
        Literal["auto", "redis"],
        Meta(
            description="who compares commits to an index in a bucket: auto is the S3 server where it keeps "
            "If-None-Match, or Redis"
        ),
    ] = "auto"
