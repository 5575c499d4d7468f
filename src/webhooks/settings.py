"""The limits of webhooks; the composition fills them from the settings of the service."""

import msgspec

DAY_S = 86_400


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Counts hold for one installation: one process at a time dispatches and sends."""

    subscriptions_max: int = 200
    first_retry_s: float = 5.0
    """The delay behind a first attempt that failed; the later ones keep their proportion to it (schedule.py)."""
    per_endpoint_max: int = 10
    """Messages on their way to one endpoint at a time; one that fails gets a single one until something arrives."""
    concurrent_max: int = 64
    pending_max: int = 10_000
    """Messages of one partition that may wait for one endpoint. What comes beyond has failed at once, and can be sent
    by hand: an endpoint that is down for a day must not fill the memory of Redis."""
    delivered_keep_s: int = 7 * DAY_S
    failed_keep_s: int = 30 * DAY_S
    kept_max: int = 10_000
    """Deliveries of one subscription that have ended; the oldest go first."""
    failing_disable_s: int = 5 * DAY_S
    """A subscription where nothing has arrived for so long, though it was tried, is disabled."""
    rotation_overlap_s: int = DAY_S
    """How long the previous secret signs too."""
    drain_s: float = 8.0
