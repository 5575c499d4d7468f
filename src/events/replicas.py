"""Which servers of the log are followed by a replica, and which partitions take no events because none is."""

from collections.abc import Sequence

import msgspec


class Primary(msgspec.Struct, frozen=True, kw_only=True):
    """A primary: `replicas` follow it now. `refuses_writes`: fewer than its `min-replicas-to-write` are there."""

    server: str
    partitions: tuple[int, ...]
    replicas: int
    refuses_writes: bool


class Halted(msgspec.Struct, frozen=True, kw_only=True):
    """Partitions in which nothing is recorded until a replica follows their server again."""

    server: str
    partitions: tuple[int, ...]

    @property
    def what(self) -> str:
        """What is so."""
        return (
            f"too few replicas follow Redis {self.server}, so nothing new counts as kept in {_named(self.partitions)}: "
            "uploads are answered 503 and documents stand still"
        )

    @property
    def told(self) -> str:
        """What is so, and what to do."""
        return f"{self.what}. Start its replica, or add one; all goes on by itself, and nothing accepted is lost."


def halted(found: Sequence[Primary], *, needs_replica: bool) -> tuple[Halted, ...]:
    """Those that have partitions and take no events. `needs_replica`: an event counts when a replica has it too."""
    return tuple(
        Halted(server=one.server, partitions=one.partitions)
        for one in found
        if one.partitions and (one.refuses_writes or (needs_replica and one.replicas == 0))
    )


def _named(partitions: Sequence[int]) -> str:
    names = ", ".join(map(str, partitions))
    return f"partition {names}" if len(partitions) == 1 else f"partitions {names}"
