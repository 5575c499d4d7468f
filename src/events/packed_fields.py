"""What an envelope's fields are on the wire where they are no text, and what damage to them raises."""

import re
from collections.abc import Callable
from typing import Annotated, Final

import msgspec

from events.errors import InvalidId
from events.ids import EventId

PackedEventId = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]

DAMAGED: Final = (msgspec.DecodeError, InvalidId, RecursionError, UnicodeDecodeError)
"""What bytes that are no envelope raise."""

unpack_event_id: Final[Callable[[bytes], EventId]] = bytes.hex  # type: ignore[assignment]  # NewType costs a call

TRACE_PARENT_BYTES: Final = 26
_TRACE_PARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def pack_trace_parent(text: str | None) -> bytes | str | None:
    """26 bytes instead of 55; text that has not the form of a trace parent stays text."""
    if text is None or _TRACE_PARENT.fullmatch(text) is None:
        return text
    return bytes.fromhex(text.replace("-", ""))


def unpack_trace_parent(packed: object) -> str | None:
    """What was packed. Raises InvalidId for what never is."""
    if packed is None or isinstance(packed, str):
        return packed
    if not isinstance(packed, bytes) or len(packed) != TRACE_PARENT_BYTES:
        raise InvalidId("neither text nor a packed trace parent")
    digits = packed.hex()
    return f"{digits[:2]}-{digits[2:34]}-{digits[34:50]}-{digits[50:]}"
