"""How much more a knowledge base may hold: refused by what the headers announce, and by what really comes."""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

import msgspec

from blobs.store import BlobRef, BlobWriter
from domain.amounts import counted
from events.ids import KnowledgeBaseId
from ingest.problems import ProblemCode, Rejected

FRAMING_BYTES: Final = 65_536
"""What a form may be longer than its files: a limit must not refuse by its headers what it would take by its bytes."""


class Room(msgspec.Struct, frozen=True):
    """What is left; None is no limit. From counters that are a moment old: of uploads at the same time all may pass."""

    bytes_left: int | None = None
    documents_left: int | None = None

    def check(self, *, documents: int, size_bytes: int) -> None:
        """Raises Rejected."""
        if self.documents_left is not None and documents > self.documents_left:
            detail = f"The knowledge base has room for {counted(max(0, self.documents_left), 'document')} more."
            raise Rejected(ProblemCode.QUOTA_EXCEEDED, detail)
        if self.bytes_left is not None and size_bytes > self.bytes_left:
            detail = f"The knowledge base has room for {counted(max(0, self.bytes_left), 'byte')} more."
            raise Rejected(ProblemCode.QUOTA_EXCEEDED, detail)


RoomOf = Callable[[KnowledgeBaseId, str], Awaitable[Room]]
"""The room of a knowledge base for an actor, which may have limits of its own."""


async def without_limit(_knowledge_base: KnowledgeBaseId, _actor: str) -> Room:
    """Where nobody set any."""
    return Room()


class MeteredForm:
    """The files of one request against the room that there is."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._documents = 0
        self._size_bytes = 0

    def announced(self, form_bytes: int | None) -> None:
        """Before a byte is read. Raises Rejected."""
        self._room.check(documents=1, size_bytes=max(1, (form_bytes or 0) - FRAMING_BYTES))

    def file(self, writer: BlobWriter) -> BlobWriter:
        """One more. Raises Rejected."""
        if self._room == Room():
            return writer  # nothing is limited, so nothing needs to be counted
        self._documents += 1
        self._room.check(documents=self._documents, size_bytes=self._size_bytes)
        return _MeteredWriter(writer, self)

    def count(self, size_bytes: int) -> None:
        """Raises Rejected."""
        self._size_bytes += size_bytes
        self._room.check(documents=self._documents, size_bytes=self._size_bytes)


class _MeteredWriter:
    """A BlobWriter that counts before it writes."""

    def __init__(self, writer: BlobWriter, form: MeteredForm) -> None:
        self._writer = writer
        self._form = form

    @property
    def size_bytes(self) -> int:
        return self._writer.size_bytes

    @property
    def ref(self) -> BlobRef:
        return self._writer.ref

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        self._form.count(len(data))
        await self._writer.write(data)

    async def carries(self, size_bytes: int) -> bool:
        return await self._writer.carries(size_bytes)

    async def commit(self, metadata: bytes = b"") -> BlobRef:
        return await self._writer.commit(metadata)

    async def abort(self) -> None:
        await self._writer.abort()

    async def __aenter__(self) -> Self:
        await self._writer.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._writer.__aexit__(kind, error, trace)
