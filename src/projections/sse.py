"""Changes as server-sent events (WHATWG HTML, section 9.2).

`id` is a place (`projections.places`): whoever comes back with it goes on behind the event that it stood on. A finished
task ends with `event: end`. A client that takes nothing for a while is cut off: what it has not read is memory.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing, suppress
from functools import partial
from itertools import chain
from typing import Final

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from domain.errors import Refused
from events.errors import LogUnavailable
from projections.places import Place
from projections.subjects import Subject
from projections.subscription import News, Subscription
from projections.watching import Group, Story, Watch

PART_BYTES: Final = 16_384
"""Sent at a time, so that what waits in the transport stays small however large a group is."""

TRANSPORT_BYTES_MAX: Final = 32_768
"""What may wait in the transport before `send` waits, besides one part; what the kernel holds comes on top."""

TRANSPORT_BYTES_FREE: Final = 8_192
"""With no more than this in the transport `send` does not wait, so it needs no timer."""

TRANSPORT: Final = "millstream.transport"
"""ASGI extension: `{"transport": asyncio.Transport}` of the connection, to bound it and to cut it off. With it may come
`"framed": Callable[[bytes], bytes]`, how a part of a body looks on the transport once the answer has begun: then parts
may be written there past all middleware. Whoever changes parts on their way has to take that out of the scope."""

RETRY_MS: Final = 1_000
"""How long a client is asked to wait before it connects again."""

HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


def encode_group(group: Group) -> Iterator[bytes]:
    """Event by event: the frames are shared by all streams, their encoded copies would not be."""
    if not group.frames and not group.is_end:
        yield b": still here\n\n"
    places: Iterable[Place | None] = group.places or (None for _ in group.frames)
    for frame, place in zip(group.frames, places, strict=True):
        line = b"" if place is None else b"id: %b\n" % str(place).encode()
        yield b"%bevent: %b\ndata: %b\n\n" % (line, frame.event.encode(), frame.data)
    if group.is_end:
        yield b"event: end\ndata: {}\n\n"


def parts_of(events: Iterable[bytes]) -> Iterator[bytes]:
    """Events joined to parts of about PART_BYTES; what is larger by itself is cut."""
    part = bytearray()
    for event in events:
        part += event
        while len(part) >= PART_BYTES:
            yield bytes(part[:PART_BYTES])
            del part[:PART_BYTES]
    if part:
        yield bytes(part)


class EventStream(Response):
    """One open stream. Raises TooManyStreams, Refused and InvalidId before the first byte is sent."""

    def __init__(self, watch: Watch, subject: Subject, resume_from: Place | None) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._watch = watch
        self._subject = subject
        self._resume_from = resume_from

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._watch.tailer.watching(self._subject.topic) as subscription:
            story = Story(self._watch, self._subject, subscription)
            async with aclosing(story.groups(self._resume_from)) as groups:
                first = await anext(groups)
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                if scope["method"] == "HEAD":
                    await send({"type": "http.response.body", "body": b""})
                    return
                wire = Wire(scope, send, self._watch.stall_s)
                listener = asyncio.create_task(_close_when_gone(receive, subscription))
                try:
                    await wire.send(chain((b"retry: %d\n\n" % RETRY_MS,), encode_group(first)))
                    del first  # It may be large, and the stream stay open for days.
                    subscription.listen(partial(wire.tell_at_once, story))
                    await self._send_all(wire, groups)
                except StalledReader:
                    # Until the connection is known to be lost: an answer that breaks off before that is an error.
                    await listener
                finally:
                    listener.cancel()

    async def _send_all(self, wire: "Wire", groups: AsyncIterator[Group]) -> None:
        """Where the client reads slowly, the subscription keeps the newest states meanwhile."""
        # A store that went away, or a subject that was deleted, cannot be told once the answer has begun: the stream
        # ends, and the client that connects again is told by status code.
        with suppress(LogUnavailable, Refused):
            async for group in groups:
                await wire.send(encode_group(group))
        await wire.end()


class StalledReader(Exception):
    """The client took nothing for too long; its connection was cut."""


class Wire:
    """What one client is sent. Raises StalledReader."""

    def __init__(self, scope: Scope, send: Send, stall_s: float) -> None:
        self._send = send
        self._stall_s = stall_s
        lent = scope.get("extensions", {}).get(TRANSPORT, {})
        self._transport = _if_open(lent.get("transport"))
        self._framed: Callable[[bytes], bytes] | None = lent.get("framed")
        if self._transport is not None:
            self._transport.set_write_buffer_limits(high=TRANSPORT_BYTES_MAX, low=TRANSPORT_BYTES_FREE)
            _let_the_kernel_give_up(self._transport, stall_s)

    def tell_at_once(self, story: Story, news: News) -> bool:
        """Tells a client that keeps up, while nothing else is being sent, in the very turn that brought the news and
        past all middleware. Answers whether it did."""
        transport, framed = self._transport, self._framed
        if transport is None or framed is None:
            return False
        if transport.is_closing() or transport.get_write_buffer_size() > TRANSPORT_BYTES_FREE:
            return False
        written = story.at_once(news, lambda group: framed(b"".join(encode_group(group))))
        if written is None:
            return False
        transport.write(written)
        return True

    async def send(self, events: Iterable[bytes]) -> None:
        for part in parts_of(events):
            message = {"type": "http.response.body", "body": part, "more_body": True}
            if self._transport is not None and self._transport.get_write_buffer_size() <= TRANSPORT_BYTES_FREE:
                await self._send(message)
            else:
                await self._send_within(message)

    async def end(self) -> None:
        await self._send_within({"type": "http.response.body", "body": b""})

    async def _send_within(self, message: Message) -> None:
        try:
            async with asyncio.timeout(self._stall_s):
                await self._send(message)
        except TimeoutError:
            if self._transport is not None:
                self._transport.abort()
            raise StalledReader from None


def _if_open(transport: asyncio.Transport | None) -> asyncio.Transport | None:
    """None where the server lends none, and where the client has gone while its stream was made ready: uvloop takes no
    limits for such a one, and the server drops what is sent."""
    return None if transport is None or transport.is_closing() else transport


def _let_the_kernel_give_up(transport: asyncio.Transport, stall_s: float) -> None:
    """Linux cuts off a peer that acknowledges nothing or keeps its window shut (RFC 5482, tcp(7)): megabytes may wait
    in the kernel before `send` does, and a machine that lost its power never closes."""
    connection = transport.get_extra_info("socket")
    if connection is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(stall_s * 1_000))


async def _close_when_gone(receive: Receive, subscription: Subscription) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    subscription.close()
