"""The settings of gRPC: unit, range, default, meaning. They are part of `Settings`."""

from typing import Annotated

from msgspec import Meta

from millstream.settings_redis import RedisFields


class GrpcFields(RedisFields, frozen=True, kw_only=True):
    """See docs/grpc.md. Off unless a port is named: it costs 15 MB of memory, and a second service on the same machine
    would not find the port free."""

    grpc_port: Annotated[
        int,
        Meta(ge=-1, le=65_535, description="port of gRPC beside the API; 0 takes a free one, -1 is off"),
    ] = -1
    grpc_message_bytes_max: Annotated[
        int,
        Meta(ge=65_536, le=1_073_741_824, description="one gRPC message, bytes: a parsed text, a batch of vectors"),
    ] = 67_108_864
    """A text may have 50 MB (knowledge.limits)."""
    grpc_calls_max: Annotated[int, Meta(ge=1, le=100_000, description="gRPC calls under way at a time")] = 1_000
    grpc_keepalive_s: Annotated[
        int, Meta(ge=10, le=7_200, description="silence of a connection after which the service pings, seconds")
    ] = 60
    grpc_ping_s_min: Annotated[
        int,
        Meta(ge=1, le=7_200, description="clients that ping more often lose their connection, seconds between pings"),
    ] = 10
    grpc_connection_s_max: Annotated[
        int,
        Meta(
            ge=0,
            le=86_400,
            description="a gRPC connection older than this is closed once its calls have ended, or the drain time is "
            "over, so that a balancer chooses anew, seconds; 0 never",
        ),
    ] = 0
    grpc_lease_s: Annotated[
        int,
        Meta(
            ge=1,
            le=3_600,
            description="silence after which a worker over gRPC has lost what it leased and others take over, seconds",
        ),
    ] = 60
    grpc_workers_max: Annotated[
        int, Meta(ge=1, le=1_000, description="calls of PollSteps that one API process serves at a time")
    ] = 64
    grpc_slots_max: Annotated[
        int, Meta(ge=1, le=1_024, description="deliveries of each step that one worker over gRPC may hold at a time")
    ] = 64
    steps_elsewhere: Annotated[
        str,
        Meta(
            description="steps that no worker here takes, comma-separated: parse or embed for workers over gRPC; "
            "`millstream worker --steps` names its own"
        ),
    ] = ""
