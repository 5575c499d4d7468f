"""Pointers to events as the inboxes and timers keep them: fixed places, 74 bytes, as small as their ids allow.

    stream id 18 | version 4, big-endian | event id 16 | correlation id 18 | knowledge base id 18

A timer is a pointer behind one byte that names its inbox (`INBOX_CODES`).
"""

import struct
from typing import Final

import msgspec

from events.errors import CorruptEvent, InvalidId
from events.ids import (
    KIND_OF_INITIAL,
    EventId,
    KnowledgeBaseId,
    StreamKind,
    pack_stream_id,
    unpack_stream_id,
)
from events.inbox import Delivery, InboxKey
from events.steps import Lane, Step

DOCUMENT_STEPS: Final = frozenset({Step.FETCH, Step.PARSE, Step.CHUNK, Step.EMBED, Step.INDEX})

_LAYOUT: Final = struct.Struct(">18sI16s18s18s")
_PARTITIONS_AT: Final = (1, 39, 57)
"""Where in a pointer its three ids name their partition."""

INBOX_CODES: Final[dict[tuple[Step, Lane], int]] = {
    (Step.PARSE, Lane.INTERACTIVE): 1,
    (Step.PARSE, Lane.BULK): 2,
    (Step.CHUNK, Lane.INTERACTIVE): 3,
    (Step.CHUNK, Lane.BULK): 4,
    (Step.EMBED, Lane.INTERACTIVE): 5,
    (Step.EMBED, Lane.BULK): 6,
    (Step.INDEX, Lane.INTERACTIVE): 7,
    (Step.INDEX, Lane.BULK): 8,
    (Step.FINISH, Lane.INTERACTIVE): 9,
    (Step.FINISH, Lane.BULK): 10,
    (Step.CALLBACK, Lane.INTERACTIVE): 11,
    (Step.CALLBACK, Lane.BULK): 12,
    (Step.ERASE, Lane.INTERACTIVE): 13,
    (Step.ERASE, Lane.BULK): 14,
    (Step.FETCH, Lane.INTERACTIVE): 15,
    (Step.FETCH, Lane.BULK): 16,
    (Step.REVISE, Lane.INTERACTIVE): 17,
    (Step.REVISE, Lane.BULK): 18,
}
"""First byte of a stored timer, 1 to n without a gap. Timers outlive a release: add at the end, change none."""


class Pointer(msgspec.Struct, frozen=True, gc=False):
    """Names one event, and whose work it is."""

    stream_id: str
    version: int
    event_id: EventId
    correlation_id: str
    knowledge_base_id: KnowledgeBaseId


def pack_pointer(pointer: Pointer) -> bytes:
    """74 bytes. Raises InvalidId."""
    return _LAYOUT.pack(
        pack_stream_id(pointer.stream_id),
        pointer.version,
        bytes.fromhex(pointer.event_id),
        pack_stream_id(pointer.correlation_id),
        pack_stream_id(pointer.knowledge_base_id),
    )


def unpack_pointer(packed: bytes) -> Pointer:
    """Raises CorruptEvent for bytes that `pack_pointer` never wrote."""
    try:
        stream, version, event, correlation, knowledge_base = _LAYOUT.unpack(packed)
        return Pointer(
            stream_id=unpack_stream_id(stream),
            version=version,
            event_id=EventId(event.hex()),
            correlation_id=unpack_stream_id(correlation),
            knowledge_base_id=KnowledgeBaseId(unpack_stream_id(knowledge_base)),
        )
    except (struct.error, InvalidId) as error:
        raise CorruptEvent(f"an inbox holds {len(packed)} bytes that are no pointer: {error}") from error


def pack_timer(step: Step, lane: Lane, pointer: bytes) -> bytes:
    """A pointer that waits for its time, with the inbox that it goes to."""
    return bytes((INBOX_CODES[step, lane],)) + pointer


def inbox_of_timer(timer: bytes) -> tuple[Step, Lane]:
    """The inbox that a timer goes to. Raises CorruptEvent."""
    for inbox, code in INBOX_CODES.items():
        if code == timer[0]:
            return inbox
    raise CorruptEvent(f"no inbox has the code {timer[0]}")


def delivery_of(inbox: InboxKey, entry_id: str, packed: bytes) -> Delivery:
    """What a consumer is given for an inbox entry. Raises CorruptEvent, also for what belongs into another inbox."""
    pointer = unpack_pointer(packed)
    # The second byte of a packed id is its partition, and unpacking has checked the rest.
    stream_at, correlation_at, knowledge_base_at = _PARTITIONS_AT
    if not packed[stream_at] == packed[correlation_at] == packed[knowledge_base_at] == inbox.partition:
        raise CorruptEvent(f"an inbox of partition {inbox.partition} points to {pointer.stream_id}")
    if inbox.step in DOCUMENT_STEPS and KIND_OF_INITIAL[pointer.stream_id[0]] is not StreamKind.DOCUMENT:
        raise CorruptEvent(f"the inbox of {inbox.step.value} points to {pointer.stream_id}, which is no document")
    return Delivery(
        step=inbox.step,
        lane=inbox.lane,
        partition=inbox.partition,
        entry_id=entry_id,
        stream_id=pointer.stream_id,
        version=pointer.version,
        event_id=pointer.event_id,
        correlation_id=pointer.correlation_id,
        knowledge_base_id=pointer.knowledge_base_id,
    )
