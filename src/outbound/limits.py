"""How much, how long and how slowly somebody else's server may send."""

from typing import Final

import msgspec

MIB: Final = 1024 * 1024


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """For one call, its redirects included.

    body_bytes_max      of the body, as sent and as decompressed
    redirects_max       hops
    headers_max         header fields of an answer; httpcore takes 100 KiB of them
    connect_s_max       for resolving and connecting
    silence_s_max       without a byte
    total_s_max         from the first question to the last byte
    rate_bytes_s_min    of the body, on average, once it has been waited for during `rate_grace_s`
    """

    body_bytes_max: int = 1024 * MIB
    redirects_max: int = 5
    headers_max: int = 200
    connect_s_max: float = 10.0
    silence_s_max: float = 30.0
    total_s_max: float = 3_600.0
    rate_bytes_s_min: int = 1_024
    rate_grace_s: float = 30.0


POST_LIMITS: Final = Limits(body_bytes_max=64 * 1024, redirects_max=0, total_s_max=20.0, silence_s_max=20.0)
"""A receiver of webhooks has 20 s, and of its answer 64 KiB are kept."""
