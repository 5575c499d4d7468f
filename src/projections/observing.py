"""Who watches commits to the views."""

from collections.abc import Sequence
from typing import Protocol

from events.envelope import Envelope
from events.log import Unreadable


class CommitObserver(Protocol):
    """Called in the projector's event loop; raises nothing."""

    def begins(self) -> int:
        """The time by its own clock, unix µs."""
        ...

    def committed(self, partition: int, page: Sequence[Envelope | Unreadable], began_us: int) -> None:
        """The views show a page (one event at least) that was begun at `began_us`."""
        ...


class NobodyWatches:
    """Where nothing is measured."""

    def begins(self) -> int:
        return 0

    def committed(self, partition: int, page: Sequence[Envelope | Unreadable], began_us: int) -> None: ...
