"""A client that puts bytes on the wire as they are, and reads all that comes back."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

WITHIN_S = 8.0


class Answer(msgspec.Struct, frozen=True):
    """One answer; names of header fields are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        document: dict[str, Any] = msgspec.json.decode(self.body)
        return document

    @property
    def verdict(self) -> tuple[int, str | None]:
        return self.status, self.problem.get("code")

    def check_problem(self) -> None:
        """It is a whole problem document, and says nothing that it should not."""
        assert self.headers["content-type"] == "application/problem+json", self
        assert self.problem["request_id"] == self.headers["x-request-id"]
        assert self.problem["status"] == self.status
        assert self.headers["cache-control"] == "no-store"
        assert self.headers["x-content-type-options"] == "nosniff"
        assert self.headers["referrer-policy"] == "no-referrer"
        assert self.headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in self.headers
        assert b"Traceback" not in self.body
        assert b'.py"' not in self.body


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *pieces: bytes) -> bool:
        """Piece by piece; False where the other side would take no more."""
        try:
            for piece in pieces:
                self._writer.write(piece)
                await self._writer.drain()
        except ConnectionError:
            return False
        return True

    async def answers(self) -> list[Answer]:
        """All, up to the close, which has to come."""
        async with asyncio.timeout(WITHIN_S):
            return parse_answers(await self._reader.read(-1))

    async def next(self, *, has_body: bool = True) -> Answer:
        """One answer; the connection may stay open."""
        async with asyncio.timeout(WITHIN_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = int(_headers(head).get("content-length", "0")) if has_body else 0
            return parse_answers(head + await self._reader.readexactly(length))[0]

    async def is_closed(self) -> bool:
        """Waits for the close; what comes before it is thrown away."""
        async with asyncio.timeout(WITHIN_S):
            try:
                while await self._reader.read(65_536):
                    pass
            except ConnectionError:
                pass
            return True

    def half_close(self) -> None:
        self._writer.write_eof()

    def abort(self) -> None:
        self._writer.transport.abort()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Wire]:
    """A connection that is closed behind the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


async def exchange(port: int, *pieces: bytes) -> list[Answer]:
    """Every answer to these bytes, up to the close by the server, which has to come."""
    async with connected(port) as wire:
        await wire.send(*pieces)
        return await wire.answers()


def pieces_of(data: bytes, step: int) -> Iterable[bytes]:
    """The same bytes, cut."""
    return (data[start : start + step] for start in range(0, len(data), step))


def parse_answers(raw: bytes) -> list[Answer]:
    """Answers with a Content-Length, one behind the other."""
    found: list[Answer] = []
    while raw:
        head, _, raw = raw.partition(b"\r\n\r\n")
        headers = _headers(head)
        length = int(headers.get("content-length", "0"))
        found.append(Answer(int(head.split(b" ")[1]), headers, raw[:length]))
        raw = raw[length:]
    return found


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").strip().split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
