"""Where a stream stands: what its client sends back, as Last-Event-ID, to go on without a gap and without a repetition.

A place is a position in the feed of each partition that the stream follows. A row is read when its change is, so a
client may have been told a state that is newer than the place: those rows stand beside it, with the version told.
Text form `<ms>-<sequence>`, joined by `_` for several partitions, then `~<mark>.<version>` for each such row.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Final, Self

import msgspec

from projections.feed import FeedPosition

AHEAD_MAX: Final = 32
"""Rows that a place names, 16 bytes each. What a client knew beyond them it is told again."""

PLACE_CHARACTERS_MAX: Final = 8_192
"""More than any that was given out; many servers take no longer header."""

MARK_BYTES: Final = 6
"""Of a hash of the id: that one of 10,000 changed rows looks like one of 32 others happens once in 10^9 resumptions."""

_AHEAD: Final = re.compile(r"([0-9a-f]{12})\.([0-9]{1,15})")

NOTHING: Final[Mapping[str, int]] = {}


def mark_of(row_id: str) -> str:
    return hashlib.blake2b(row_id.encode(), digest_size=MARK_BYTES).hexdigest()


class Place(msgspec.Struct, frozen=True):
    """`ahead`: versions told by the mark of the row, where they are newer than the positions."""

    positions: tuple[FeedPosition, ...]
    ahead: Mapping[str, int] = NOTHING

    def __str__(self) -> str:
        text = "_".join(map(str, self.positions))
        return text + "".join(f"~{mark}.{version}" for mark, version in self.ahead.items()) if self.ahead else text

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None for a text that no stream gave out."""
        if len(text) > PLACE_CHARACTERS_MAX:
            return None
        front, *rest = text.split("~")
        positions = [FeedPosition.parse(part) for part in front.split("_")]
        found = [_AHEAD.fullmatch(part) for part in rest]
        if len(found) > AHEAD_MAX or None in positions or None in found:
            return None
        ahead = {match[1]: int(match[2]) for match in found if match is not None}
        return cls(tuple(position for position in positions if position is not None), ahead)

    def knows(self, row_id: str, version: int) -> bool:
        """Whether this state, or a newer one of the row, was told although the positions do not say so."""
        return self.ahead.get(mark_of(row_id), -1) >= version

    def with_told(self, told: Iterable[tuple[str, int]]) -> Self | None:
        """The same after these rows were told on top, with their versions; None where it would name too many."""
        ahead = {**self.ahead, **{mark_of(row_id): version for row_id, version in told}}
        return type(self)(self.positions, ahead) if len(ahead) <= AHEAD_MAX else None


def at_most(ahead: Mapping[str, int]) -> Mapping[str, int]:
    """As many as a place names."""
    return ahead if len(ahead) <= AHEAD_MAX else dict(list(ahead.items())[-AHEAD_MAX:])
