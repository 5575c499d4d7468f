"""What one connection may send, and how long it may take; `docs/limits.md` tells each with its setting and answer."""

import resource
from typing import Final

import msgspec

from millstream.connection.settings import ConnectionSettings

CONNECTIONS_MAX: Final = 10_000
"""Where the process may open that many files: each costs some 10 KB here and as much in the kernel."""

FILES_RESERVED: Final = 256
"""File descriptors that connections leave to everything else: Redis, blobs, the index, the log."""


class ConnectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes, seconds, bytes a second; the defaults are those of the settings of the same name."""

    header_bytes_max: int = 32_768
    """Request line and header fields of one request, with their line ends."""

    headers_max: int = 100
    uri_bytes_max: int = 8_192
    header_s_max: float = 10.0
    keep_alive_s: float = 15.0
    body_silence_s_max: float = 30.0
    body_bytes_per_s_min: int = 1_000
    json_body_s_max: float = 30.0
    answer_silence_s_max: float = 60.0
    connections_max: int = 1_000
    linger_s_max: float = 5.0
    """How long what still comes is thrown away behind a refusal: a reset would overtake the answer."""

    @property
    def look_every_s(self) -> float:
        """How coarsely time is kept: a deadline is noticed at most this much late."""
        shortest = min(self.header_s_max, self.keep_alive_s, self.body_silence_s_max, self.json_body_s_max)
        return min(1.0, max(0.02, shortest / 8))


def connection_limits(settings: ConnectionSettings) -> ConnectionLimits:
    """The limits of this process, as set."""
    return ConnectionLimits(
        header_bytes_max=settings.header_bytes_max,
        headers_max=settings.headers_max,
        uri_bytes_max=settings.uri_bytes_max,
        header_s_max=settings.header_s_max,
        keep_alive_s=settings.keep_alive_s,
        body_silence_s_max=settings.body_silence_s_max,
        body_bytes_per_s_min=settings.body_bytes_per_s_min,
        json_body_s_max=settings.json_body_s_max,
        answer_silence_s_max=settings.answer_silence_s_max,
        connections_max=settings.connections_max or connections_by_files(),
    )


def connections_by_files() -> int:
    """As many as the process may open files for, less a reserve; at least 64."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return max(64, min(CONNECTIONS_MAX, files - FILES_RESERVED))
