"""The settings of webhooks: unit, range, default, meaning. They are part of `Settings`."""

from typing import Annotated

from msgspec import Meta

from millstream.settings_grpc import GrpcFields


class WebhookFields(GrpcFields, frozen=True, kw_only=True):
    """See docs/webhooks.md. A struct has one base with fields, so the parts of `Settings` form a chain."""

    webhooks_max: Annotated[int, Meta(ge=0, le=10_000, description="webhooks that may be registered")] = 200
    webhook_retry_first_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=60_000,
            description="wait before a webhook is sent a second time, milliseconds; the six waits after it keep their "
            "proportion (5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h)",
        ),
    ] = 5_000
    webhook_endpoint_concurrency_max: Annotated[
        int, Meta(ge=1, le=100, description="messages on their way to one endpoint at a time")
    ] = 10
    webhook_concurrency_max: Annotated[
        int, Meta(ge=1, le=100, description="messages on their way at a time, all endpoints together")
    ] = 64
    webhook_pending_max: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="messages of one partition that may wait for one endpoint; what comes beyond fails at once",
        ),
    ] = 10_000
    webhook_deliveries_kept_max: Annotated[
        int, Meta(ge=1, le=10_000_000, description="ended deliveries of one webhook that stay in its list")
    ] = 10_000
    webhook_delivered_retention_s: Annotated[
        int, Meta(ge=60, le=31_536_000, description="how long deliveries that arrived stay in lists, seconds")
    ] = 604_800
    webhook_failed_retention_s: Annotated[
        int, Meta(ge=60, le=31_536_000, description="how long deliveries that failed can be sent again, seconds")
    ] = 2_592_000
    webhook_failing_disable_s: Annotated[
        int,
        Meta(ge=1, le=31_536_000, description="time without any success after which a webhook is disabled, seconds"),
    ] = 432_000
    webhook_rotation_overlap_s: Annotated[
        int, Meta(ge=0, le=2_592_000, description="how long the previous secret of a webhook signs too, seconds")
    ] = 86_400
