"""An HTTP server on loopback that answers each path with the very bytes that a test gives, right or wrong."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec

Script = Callable[[asyncio.StreamWriter], Awaitable[None]]

DRIP_S: Final = 0.02
"""Between two pieces of what is slow on purpose."""


class Request(msgspec.Struct, frozen=True):
    """What came in; names of header fields in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class ScriptedServer:
    """`answers` by path; `requests` in the order in which they came, `connections` of those that asked nothing too."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes | Script] = {}
        self.requests: list[Request] = []
        self.connections = 0
        self.port = 0
        self.scheme = "http"

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._answer(await _request(reader), writer)
            writer.close()
            await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError):
            return  # whoever asked has gone
        finally:
            writer.transport.abort()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        self.requests.append(request)
        answer = self.answers.get(request.target.split("?")[0], answer_of(404))
        if isinstance(answer, bytes):
            writer.write(answer)
            await writer.drain()
        else:
            await answer(writer)


def answer_of(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An answer as it should be; `content_type="text/plain"` is a header."""
    fields = {"content-length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + body


def dripping(head: bytes = b"HTTP/1.1 200 OK\r\n\r\n", piece: bytes = b"x") -> Script:
    """An answer that never ends, a piece at a time; it ends with its client."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(DRIP_S)

    return drip


async def silent(_writer: asyncio.StreamWriter) -> None:
    """Takes the request and answers nothing."""
    await asyncio.Event().wait()


@asynccontextmanager
async def scripted_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedServer]:
    scripted = ScriptedServer()
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await scripted.serve(reader, writer)
        finally:
            serving.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    scripted.port = server.sockets[0].getsockname()[1]
    scripted.scheme = "https" if tls else "http"
    try:
        yield scripted
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def _request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body)
