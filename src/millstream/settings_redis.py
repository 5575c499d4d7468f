"""The settings of the log's Redis: unit, range, default, meaning. They are part of `Settings`."""

from typing import Annotated, Literal

from msgspec import Meta

from millstream.connection.settings import ConnectionSettings


class RedisFields(ConnectionSettings, frozen=True, kw_only=True):
    """See docs/cluster.md."""

    redis_url: Annotated[
        str,
        Meta(
            description="redis://, unix://, redis+sentinel:// or redis+cluster://, rediss… with TLS; empty starts one"
        ),
    ] = ""
    confirm: Annotated[
        Literal["primary", "replica"],
        Meta(description="who must have an event before it counts as kept: the primary, or a replica of it too"),
    ] = "primary"
    confirm_ms_max: Annotated[
        int,
        Meta(ge=1, le=4_000, description="time for a replica to confirm; the call is answered 503 after it, ms"),
    ] = 1_000
    """The range stays within `redis_clients.COMMAND_TIMEOUT_S`: a wait beyond it would break the connection instead."""
    partitions: Annotated[
        int, Meta(ge=0, le=256, description="partitions of the log, fixed at first start; 0 takes what is there, or 8")
    ] = 0
    events_by_name: Annotated[
        bool,
        Meta(description="write events as older programs read them, in 1.6 times the bytes: while any of those runs"),
    ] = False
    list_leaves: Annotated[
        bool, Meta(description="let long lists lie in leaves, which releases from before do not read; false: none new")
    ] = True
