"""Server-sent events of this service, apart again: what `projections.sse` puts together."""

from collections.abc import AsyncIterator

import msgspec


class EventFrame(msgspec.Struct, frozen=True):
    """One event; `place` is its id, empty where it has none."""

    event: str
    data: bytes
    place: str = ""


async def frames_of(pieces: AsyncIterator[bytes]) -> AsyncIterator[EventFrame]:
    """Every event with data, in order; comments and hints are left out."""
    held = b""
    async for piece in pieces:
        *whole, held = (held + piece).split(b"\n\n")
        for block in whole:
            if (frame := _frame_of(block)) is not None:
                yield frame


def _frame_of(block: bytes) -> EventFrame | None:
    fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
    if b"data" not in fields or b"event" not in fields:
        return None
    return EventFrame(fields[b"event"].decode(), fields[b"data"], fields.get(b"id", b"").decode())
