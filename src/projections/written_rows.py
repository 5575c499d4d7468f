"""Which rows of a generation may have been written, in the same memory for a thousand of them and for ten million."""

from collections.abc import Iterable
from typing import Final

from projections.projection import RowKey

PLACES: Final = 1 << 25
"""Bits, 4 MiB. Of the rows that are new a 33rd is asked for in vain behind a million others, and a quarter behind ten
million; a set of their keys would take 200 bytes each, so 200 MB and 2 GB."""


class WrittenRows:
    """Each key has a place, which others may share: what was never written may be taken for written, never the
    reverse. `places` is a power of two."""

    def __init__(self, places: int = PLACES) -> None:
        self._mask = places - 1
        self._bits = bytearray(-(-places // 8))

    def note(self, keys: Iterable[RowKey]) -> None:
        """They are written."""
        bits, mask = self._bits, self._mask
        for key in keys:
            place = hash(key.id) & mask
            bits[place >> 3] |= 1 << (place & 7)

    def among(self, keys: Iterable[RowKey]) -> list[RowKey]:
        """Those of the keys that may be written."""
        bits, mask = self._bits, self._mask
        return [key for key in keys if bits[(place := hash(key.id) & mask) >> 3] & 1 << (place & 7)]
