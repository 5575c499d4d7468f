"""The change feed: one entry a commit of the projector, naming the rows that it changed.

Entries point, they do not carry: a row of a kilobyte that changes ten times is read once by whoever is behind, and a
feed of a few megabytes reaches back far enough to resume from.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, Self

import msgspec

from events.ids import StreamKind, kind_of, pack_stream_id, unpack_stream_id

FEED_BYTES_MAX: Final = 8_388_608
"""What a partition's feed may hold: about 130,000 changes. A reader further behind starts from the present state."""

FEED_ID_DIGITS_MAX: Final = 20
FEED_ID_END: Final = 2**64 - 1
"""Behind every number that a feed gives out; from here on Redis takes a place for a mistake."""


class FeedPosition(msgspec.Struct, frozen=True, order=True):
    """A place in one partition's feed: the entry's stream id. Text form `<ms>-<sequence>`."""

    ms: int = 0
    sequence: int = 0

    def __str__(self) -> str:
        return f"{self.ms}-{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None for a text that no feed gave out."""
        ms, _, sequence = text.partition("-")
        if not all(part.isascii() and part.isdigit() and len(part) <= FEED_ID_DIGITS_MAX for part in (ms, sequence)):
            return None
        position = cls(int(ms), int(sequence))
        return None if max(position.ms, position.sequence) >= FEED_ID_END else position


class Change(msgspec.Struct, frozen=True):
    """One changed row. `task_id` is the task of a document, and a task's own id; a knowledge base has none."""

    id: str
    knowledge_base_id: str | None
    task_id: str | None
    version: int

    @property
    def kind(self) -> StreamKind:
        return kind_of(self.id)


class FeedEntry(msgspec.Struct, frozen=True):
    """What one commit changed. One without changes is a break: the log has lost what some of the states told before it
    came from (`events.epochs`)."""

    partition: int
    position: FeedPosition
    changes: tuple[Change, ...]

    @property
    def is_break(self) -> bool:
        return not self.changes


class _PackedChange(msgspec.Struct, frozen=True, array_like=True):
    id: bytes
    knowledge_base_id: bytes | None
    task_id: bytes | None
    version: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[_PackedChange])


def encode_changes(changes: Sequence[Change]) -> bytes:
    """About 62 bytes a change."""
    return _encoder.encode(
        [
            _PackedChange(
                pack_stream_id(change.id), _packed(change.knowledge_base_id), _packed(change.task_id), change.version
            )
            for change in changes
        ]
    )


def decode_changes(payload: bytes) -> tuple[Change, ...]:
    return tuple(
        Change(
            unpack_stream_id(packed.id), _unpacked(packed.knowledge_base_id), _unpacked(packed.task_id), packed.version
        )
        for packed in _decoder.decode(payload)
    )


def within(found: list[FeedEntry], limit: int) -> list[FeedEntry] | None:
    """What `feed_since` answers of everything that lies behind a place."""
    return None if len(found) > limit or any(one.is_break for one in found) else found


class ChangeFeed(Protocol):
    """Raises LogUnavailable from every call."""

    @property
    def partitions(self) -> int: ...

    async def feed_end(self, partition: int) -> FeedPosition:
        """The last entry's place; 0-0 for an empty feed."""
        ...

    async def feed_read(self, after: Mapping[int, FeedPosition], *, limit: int, wait_ms: int = 0) -> list[FeedEntry]:
        """The next entries of several partitions, at most `limit` of each; waits up to `wait_ms` for the first."""
        ...

    async def feed_reaches(self, partition: int, after: FeedPosition) -> bool:
        """Whether everything behind a place that the feed gave out is still there."""
        ...

    async def feed_since(self, partition: int, after: FeedPosition, *, limit: int) -> list[FeedEntry] | None:
        """Every entry behind a place; None where the feed does not reach back to it, never had it, holds more, or
        broke off since."""
        ...


def _packed(stream_id: str | None) -> bytes | None:
    return None if stream_id is None else pack_stream_id(stream_id)


def _unpacked(packed: bytes | None) -> str | None:
    return None if packed is None else unpack_stream_id(packed)
