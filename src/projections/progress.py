"""How far a fold of the log has come, and what it found to differ."""

from collections.abc import Callable

import msgspec


class Progress(msgspec.Struct, frozen=True):
    """Events folded so far, and how many there are."""

    folded: int
    total: int


class Difference(msgspec.Struct, frozen=True):
    """A row (by table and id), a list or a pointer (by name) that is not what the log says; None: there is none."""

    name: str
    one: object
    other: object


Tell = Callable[[Progress], None]


def silent(_progress: Progress) -> None:
    """For whoever does not want to hear of progress."""
