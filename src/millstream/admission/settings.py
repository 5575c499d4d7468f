"""Settings of admission: who gets in, how fast, and how much."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class AdmissionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A part of `millstream.settings.Settings`."""

    auth: Annotated[
        Literal["auto", "keys", "open"],
        Meta(description="auto asks for keys from the first one made on, keys always, open never"),
    ] = "auto"
    auth_failures_per_minute_max: Annotated[
        int, Meta(ge=0, le=1_000_000, description="wrong keys from one address before it has to wait; 0 is no limit")
    ] = 20
    keys_stale_s_max: Annotated[
        int,
        Meta(ge=1, le=86_400, description="how long keys open reading while Redis does not answer, seconds"),
    ] = 300
    reads_per_minute_max: Annotated[
        int, Meta(ge=0, le=10_000_000, description="calls a minute that read, of one key; 0 is no limit")
    ] = 30_000
    searches_per_minute_max: Annotated[
        int, Meta(ge=0, le=10_000_000, description="searches a minute of one key; 0 is no limit")
    ] = 6_000
    writes_per_minute_max: Annotated[
        int, Meta(ge=0, le=10_000_000, description="calls a minute that change something, of one key; 0 is no limit")
    ] = 6_000
    open_calls_per_minute_max: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000_000,
            description="calls a minute of each kind, of one address, where no key is needed; 0 is no limit",
        ),
    ] = 0
    backlog_documents_max: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000_000,
            description="documents waiting for their next step; above it uploads are refused; 0 is no limit",
        ),
    ] = 100_000
    uploads_in_flight_max: Annotated[
        int, Meta(ge=0, le=100_000, description="uploads at a time of an API process; 0 is no limit")
    ] = 512
    uploads_in_flight_per_key_max: Annotated[
        int, Meta(ge=0, le=100_000, description="uploads at a time of one key in an API process; 0 is no limit")
    ] = 128
    knowledge_base_bytes_max: Annotated[
        int,
        Meta(ge=0, le=4_611_686_018_427_387_904, description="originals of one knowledge base, bytes; 0 is no limit"),
    ] = 0
    knowledge_base_documents_max: Annotated[
        int, Meta(ge=0, le=1_000_000_000_000, description="documents of one knowledge base; 0 is no limit")
    ] = 0
