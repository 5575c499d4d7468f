"""Pure: how one blob is made of others on a server that copies parts by itself, where every part but the last must have
a least size (S3: 5 MiB)."""

from collections.abc import Sequence

import msgspec


class BlobSpan(msgspec.Struct, frozen=True):
    """`length` bytes of a blob from `start` on."""

    key: str
    start: int
    length: int


class BlobPart(msgspec.Struct, frozen=True):
    """A part of the new blob. `is_copied`: the server can make it of its only span without our reading it."""

    spans: tuple[BlobSpan, ...]
    is_copied: bool


def plan_parts(sources: Sequence[tuple[str, int]], *, least_bytes: int) -> list[BlobPart]:
    """Parts that together are the sources (key, bytes) in order; each but the last has `least_bytes` or more.

    A source of that size is copied, whole or but for its beginning, which fills up what lies before it. What has to be
    read for a part is `least_bytes` at most.
    """
    parts: list[BlobPart] = []
    small: list[BlobSpan] = []
    for key, size_bytes in sources:
        start = 0
        if small:
            start = min(size_bytes, least_bytes - sum(span.length for span in small))
            small.append(BlobSpan(key, 0, start))
            if sum(span.length for span in small) == least_bytes:
                parts.append(BlobPart(tuple(small), is_copied=False))
                small = []
        rest = BlobSpan(key, start, size_bytes - start)
        if rest.length >= least_bytes:
            parts.append(BlobPart((rest,), is_copied=True))
        elif rest.length:
            small.append(rest)
    if small:
        parts.append(BlobPart(tuple(small), is_copied=False))
    return parts
