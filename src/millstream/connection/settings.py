"""Settings of the connection: how much of a head, how slowly, and how many at a time."""

from typing import Annotated

from msgspec import Meta

from millstream.admission.settings import AdmissionSettings


class ConnectionSettings(AdmissionSettings, frozen=True, kw_only=True):
    """A part of `millstream.settings.Settings`; structs have one base, so that parts stand on one another."""

    header_bytes_max: Annotated[
        int, Meta(ge=1_024, le=1_048_576, description="head of one request, its first line and fields, bytes")
    ] = 32_768
    headers_max: Annotated[int, Meta(ge=10, le=10_000, description="header fields of one request")] = 100
    uri_bytes_max: Annotated[int, Meta(ge=256, le=65_536, description="target of one request, bytes")] = 8_192
    header_s_max: Annotated[
        int, Meta(ge=1, le=600, description="time for the head of a request from its first byte, seconds")
    ] = 10
    keep_alive_s: Annotated[
        int, Meta(ge=1, le=3_600, description="how long a connection is kept open for a next request, seconds")
    ] = 15
    body_silence_s_max: Annotated[
        int, Meta(ge=1, le=3_600, description="silence in the middle of a body that ends the request, seconds")
    ] = 30
    body_bytes_per_s_min: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000_000,
            description="least speed of a body, bytes a second, averaged over the time above; 0 is any",
        ),
    ] = 1_000
    json_body_s_max: Annotated[int, Meta(ge=1, le=3_600, description="time for a whole JSON body, seconds")] = 30
    answer_silence_s_max: Annotated[
        int, Meta(ge=1, le=3_600, description="how long a client may take nothing of its answer, seconds")
    ] = 60
    connections_max: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="open connections of one API process; 0 is what the limit on open files allows, at most 10000",
        ),
    ] = 0
