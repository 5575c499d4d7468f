"""Typed ids that carry their partition, so that no look-up is needed to find where a stream lives.

An id is `<kind>_<partition: 2 hex digits><uuid: 32 hex digits>`, for instance
`doc_07` followed by the hex form of a UUIDv7. An id that is derived (from an idempotency key, from a task and
an ordinal) carries a UUIDv8 (RFC 9562, section 5.8: custom bits) made of SHA-256 instead.
"""

import hashlib
import re
import zlib
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import Final, NewType

from events.errors import InvalidId

KnowledgeBaseId = NewType("KnowledgeBaseId", str)
TaskId = NewType("TaskId", str)
DocumentId = NewType("DocumentId", str)
StreamId = KnowledgeBaseId | TaskId | DocumentId
EventId = NewType("EventId", str)
"""32 hex digits of a UUIDv7."""

PARTITIONS_MAX: Final = 256
"""Two hex digits name a partition."""


class StreamKind(StrEnum):
    """What a stream tells the story of; the value is the id's prefix."""

    KNOWLEDGE_BASE = "kb"
    TASK = "task"
    DOCUMENT = "doc"


KIND_OF_INITIAL: Final = {kind.value[0]: kind for kind in StreamKind}
"""For ids that the codec has checked: checking them again would be a tenth of a fold."""

PACKED_BYTES: Final = 18
"""The length of a packed id: kind, partition, uuid."""

IDS_CACHED: Final = 8_192
"""Ids of streams whose other form and whose partition are kept, about 200 bytes each: those of a document, its task and
its knowledge base are read with each of its events, and written several times with each."""

_MS_48_BITS: Final = (1 << 48) - 1
_VARIANT: Final = {f"{digit:x}": f"{0x8 | digit & 0x3:x}" for digit in range(16)}
"""RFC 9562, section 4.1: the two bits 10, and the lower two of a random digit."""

_ID = re.compile(r"(kb|task|doc)_([0-9a-f]{2})([0-9a-f]{12}[78][0-9a-f]{3}[89ab][0-9a-f]{15})")


def uuid7_hex(unix_ms: int, random_bytes: bytes) -> str:
    """A UUIDv7 (RFC 9562, section 5.7) as 32 hex digits from a time in ms and ten random bytes."""
    digits = random_bytes.hex()
    return f"{unix_ms & _MS_48_BITS:012x}7{digits[1:4]}{_VARIANT[digits[4]]}{digits[5:20]}"


def uuid8_hex(*parts: str) -> str:
    """A UUIDv8 as 32 hex digits: the first 122 bits of SHA-256 over the parts, each ended by a NUL."""
    digest = hashlib.sha256("".join(part + "\0" for part in parts).encode()).digest()
    value = int.from_bytes(digest[:16])
    value = value & ~(0xF << 76) | 0x8 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return f"{value:032x}"


class IdFactory:
    """Makes new ids from a clock (unix ms) and a source of random bytes, both passed in."""

    def __init__(self, clock_ms: Callable[[], int], random_bytes: Callable[[int], bytes]) -> None:
        self._clock_ms = clock_ms
        self._random_bytes = random_bytes

    def event(self) -> EventId:
        return EventId(self.unique())

    def knowledge_base(self, partitions: int) -> KnowledgeBaseId:
        return knowledge_base_id(self.unique(), partitions)

    def task(self, knowledge_base: KnowledgeBaseId) -> TaskId:
        return TaskId(_compose(StreamKind.TASK, partition_of(knowledge_base), self.unique()))

    def unique(self) -> str:
        """32 hex digits never made before; sorts by time."""
        return uuid7_hex(self._clock_ms(), self._random_bytes(10))


def knowledge_base_id(unique: str, partitions: int) -> KnowledgeBaseId:
    """The id of a knowledge base: its partition is `crc32(unique) % partitions`."""
    return KnowledgeBaseId(_compose(StreamKind.KNOWLEDGE_BASE, zlib.crc32(unique.encode()) % partitions, unique))


def derived_knowledge_base_id(idempotency_key: str, actor: str, partitions: int) -> KnowledgeBaseId:
    """The same key of the same caller always names the same knowledge base."""
    return knowledge_base_id(uuid8_hex("kb", actor, idempotency_key), partitions)


def derived_task_id(knowledge_base: KnowledgeBaseId, idempotency_key: str, actor: str) -> TaskId:
    """The same key of the same caller in the same knowledge base always names the same task."""
    unique = uuid8_hex("task", knowledge_base, actor, idempotency_key)
    return TaskId(_compose(StreamKind.TASK, partition_of(knowledge_base), unique))


@lru_cache(maxsize=IDS_CACHED)
def document_id(task: TaskId, ordinal: int) -> DocumentId:
    """The id of a task's n-th document (from 0): a repeated submission names the same documents."""
    return DocumentId(_compose(StreamKind.DOCUMENT, partition_of(task), uuid8_hex("doc", task, str(ordinal))))


def kind_of(stream: str) -> StreamKind:
    """Raises InvalidId."""
    return StreamKind(_match(stream)[1])


def partition_of(stream: str) -> int:
    """Raises InvalidId."""
    return _PACKED_IDS[stream][1]


def parse_knowledge_base_id(text: str) -> KnowledgeBaseId:
    """Raises InvalidId."""
    return KnowledgeBaseId(_expect(StreamKind.KNOWLEDGE_BASE, text))


def parse_task_id(text: str) -> TaskId:
    """Raises InvalidId."""
    return TaskId(_expect(StreamKind.TASK, text))


def parse_document_id(text: str) -> DocumentId:
    """Raises InvalidId."""
    return DocumentId(_expect(StreamKind.DOCUMENT, text))


def pack_stream_id(stream: str) -> bytes:
    """`PACKED_BYTES`: kind, partition, uuid. The text form would double the size of every envelope."""
    return _PACKED_IDS[stream]


def unpack_stream_id(packed: bytes) -> str:
    """Raises InvalidId for bytes that `pack_stream_id` never wrote."""
    return STREAM_IDS[packed]


class _StreamIds(dict[bytes, str]):
    """Texts by packed ids, made as they are asked for. Once it is full it begins anew: to know which was asked for last
    would cost as much as to make it."""

    def __missing__(self, packed: bytes) -> str:
        kind = _KIND_OF_BYTE.get(packed[:1])
        if kind is None or len(packed) != PACKED_BYTES or packed[8] >> 4 not in (7, 8) or packed[10] >> 6 != 2:
            raise InvalidId("the bytes are no packed id of a knowledge base, task or document")
        if len(self) >= IDS_CACHED:  # two threads may have gone beyond it together
            self.clear()
        text = self[packed] = f"{kind}_{packed[1:].hex()}"
        _PACKED_IDS.keep(text, packed)  # what is read is written next, of a step
        return text


STREAM_IDS: Final = _StreamIds()
"""`unpack_stream_id` for whoever asks for each event, without a call."""


class _PackedIds(dict[str, bytes]):
    """The other way round."""

    def __missing__(self, text: str) -> bytes:
        matched = _match(text)
        packed = _KIND_BYTE[matched[1]] + bytes.fromhex(text[len(matched[1]) + 1 :])
        self.keep(text, packed)
        return packed

    def keep(self, text: str, packed: bytes) -> None:
        """As they belong together."""
        if len(self) >= IDS_CACHED:
            self.clear()
        self[text] = packed


_PACKED_IDS: Final = _PackedIds()

_KIND_BYTE: Final = {"kb": b"k", "task": b"t", "doc": b"d"}
_KIND_OF_BYTE: Final = {byte: kind for kind, byte in _KIND_BYTE.items()}


def _compose(kind: StreamKind, partition: int, unique: str) -> str:
    return f"{kind.value}_{partition:02x}{unique}"


def _match(text: str) -> re.Match[str]:
    matched = _ID.fullmatch(text)
    if matched is None:
        raise InvalidId("not an id of a knowledge base, task or document")
    return matched


def _expect(kind: StreamKind, text: str) -> str:
    matched = _ID.fullmatch(text)
    if matched is None or matched[1] != kind.value:
        raise InvalidId(f"not an id of the form {kind.value}_ followed by 34 hex digits")
    return text
