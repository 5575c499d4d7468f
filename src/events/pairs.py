"""Whose event one is, in one piece: its stream's packed id, and its correlation's behind that where it is another one.

Nearly every event of a document stands beside the same task, so that both texts are found by one look-up.
"""

from functools import lru_cache
from typing import Final

from events.errors import InvalidId
from events.ids import IDS_CACHED, PACKED_BYTES, STREAM_IDS, pack_stream_id

Pair = tuple[str, str]
"""The ids of a stream and of its correlation."""


@lru_cache(maxsize=IDS_CACHED)
def pack_pair(stream_id: str, correlation_id: str) -> bytes:
    """18 bytes where the stream is its own correlation, else 36. Raises InvalidId."""
    packed = pack_stream_id(stream_id)
    return packed if correlation_id == stream_id else packed + pack_stream_id(correlation_id)


class _Pairs(dict[bytes, Pair]):
    """Texts by packed pairs, made as they are asked for, and forgotten as those of single ids are. Raises InvalidId for
    bytes that `pack_pair` never wrote."""

    def __missing__(self, packed: bytes) -> Pair:
        stream, correlation = packed[:PACKED_BYTES], packed[PACKED_BYTES:]
        if stream == correlation:
            raise InvalidId("a stream that is its own correlation is named once")
        pair = (STREAM_IDS[stream], STREAM_IDS[correlation or stream])
        if len(self) >= IDS_CACHED:  # two threads may have gone beyond it together
            self.clear()
        self[packed] = pair
        return pair


PAIRS: Final = _Pairs()
