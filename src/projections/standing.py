"""How many there are of what stands in Redis alone: dead letters, timers, living workers."""

from typing import Protocol

import msgspec

from events.replicas import Halted


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """`timers` wait for their time: retries, and what is not to begin yet. A worker lives as long as its heartbeat is
    no older than the lease. In the partitions of `halted` nothing is recorded until a replica follows their server."""

    dead_letters: int
    timers: int
    workers: int
    halted: tuple[Halted, ...] = ()


class AskStanding(Protocol):
    """Raises LogUnavailable."""

    async def __call__(self) -> Standing: ...
