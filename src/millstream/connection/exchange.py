"""One request and its answer, as uvicorn has them, but for the body: it is handed on in the pieces in which it came.

uvicorn copies each byte of a body three times between the socket and the application.
"""

import asyncio
import urllib.parse
from typing import Any, Final

import httptools
from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

_FRAMING: Final = frozenset({b"connection", b"transfer-encoding"})
"""Of an answer that says more of how it is sent than its length."""


def framed(part: bytes) -> bytes:
    """A part of an answer whose length nobody said, as uvicorn sends it: one chunk."""
    return b"%x\r\n%b\r\n" % (len(part), part)


class Exchange(RequestResponseCycle):
    """What uvicorn keeps of a body in `body` lies here in pieces."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._pieces: list[bytes] = []
        self._held_bytes = 0

    def take(self, piece: bytes, *, is_end: bool = False) -> None:
        """More of the body, maybe its end. Beyond 64 KiB that nobody asked for nothing is read."""
        if self.response_complete:
            return
        self.more_body = not is_end
        if piece:
            self._pieces.append(piece)
            self._held_bytes += len(piece)
        if self._held_bytes > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self.message_event.set()

    async def receive(self) -> ASGIReceiveEvent:
        """As ASGI wants it. Where the client waits to be told to go on, it is told."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not self.disconnected and not self.response_complete:
            self.flow.resume_reading()
            await self.message_event.wait()
            self.message_event.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        pieces, self._pieces, self._held_bytes = self._pieces, [], 0
        return {"type": "http.request", "body": b"".join(pieces), "more_body": self.more_body}

    async def send(self, message: ASGISendEvent) -> None:
        """As ASGI wants it. The head of an answer whose length is known is put together here, in half the steps."""
        if self.response_started or message["type"] != "http.response.start" or self.flow.write_paused:
            await super().send(message)
            return
        headers = [(name.lower(), value) for name, value in message.get("headers", ())]
        named = dict(headers)
        if self.disconnected or b"content-length" not in named or not _FRAMING.isdisjoint(named):
            await super().send(message)
            return
        if HEADER_RE.search(b"".join(named)) or HEADER_VALUE_RE.search(b"".join([value for _, value in headers])):
            raise RuntimeError("Invalid HTTP header.")
        self.response_started = True
        self.waiting_for_100_continue = False
        self.expected_content_length = int(named[b"content-length"])
        self.chunked_encoding = False
        lines = [b"%b: %b\r\n" % header for header in (*self.default_headers, *headers)]
        end = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        self.transport.write(b"".join((STATUS_LINE[message["status"]], *lines, end)))


class Exchanging(HttpToolsProtocol):
    """uvicorn's protocol with exchanges of ours. What it has of upgrades and of requests that queue is not used."""

    cycle: Exchange

    def on_headers_complete(self) -> None:
        """Replaces uvicorn's, which would upgrade, count and queue requests: none of that is for it to do here."""
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self.scope["path"] = self.root_path + (urllib.parse.unquote(path) if "%" in path else path)
        self.scope["raw_path"] = self.root_path.encode("ascii") + url.path
        self.scope["query_string"] = url.query or b""
        self.cycle = Exchange(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        self._start_asgi_task(self.cycle, self.app)

    def on_body(self, body: bytes) -> None:
        """Of a chunked one."""
        self.cycle.take(body)

    def on_message_complete(self) -> None:
        """Of a request without a body, or with a chunked one."""
        self.cycle.take(b"", is_end=True)
