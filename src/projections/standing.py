"""How many there are of what stands in Redis alone: dead letters, timers, living workers."""

from typing import Protocol

import msgspec


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """`timers` wait for their time: retries, and what is not to begin yet. A worker lives as long as its heartbeat is
    no older than the lease."""

    dead_letters: int
    timers: int
    workers: int


class AskStanding(Protocol):
    """Raises LogUnavailable."""

    async def __call__(self) -> Standing: ...
