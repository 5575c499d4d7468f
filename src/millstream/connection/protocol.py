"""One connection of HTTP/1.1: uvicorn's, which hears only what was judged, one request after the other, in time.

In front of uvicorn's parser stand the scan of heads (`framing`) and of chunks (`chunks`), so that a message has one
meaning only; beside it a clock (`pace`) and the count of connections (`crowd`). What is refused here is answered here,
with the same problem documents as everywhere, and never reaches the application.
"""

import asyncio
import time
from enum import Enum, auto
from secrets import token_bytes
from typing import Any, ClassVar, Final

import httptools
import structlog
from uvicorn.config import Config
from uvicorn.server import ServerState

from events.ids import IdFactory
from events.seldom import Seldom
from ingest.problems import ProblemCode, Rejected
from millstream.connection.chunks import Chunks
from millstream.connection.crowd import Crowd
from millstream.connection.exchange import Exchanging, framed
from millstream.connection.flow import Reading, Unsent
from millstream.connection.framing import HEAD_END, Framing, check_begun, scan_head
from millstream.connection.limits import ConnectionLimits
from millstream.connection.pace import Pace
from millstream.connection.plain_answer import plain_answer
from millstream.connection.rounds import Rounds
from projections.sse import TRANSPORT

HELD_BYTES_MAX: Final = 65_536
"""What a client may send ahead of its answer before it is read no further."""

_log = structlog.get_logger()
_told: Final = Seldom(1.0)
_ids: Final = IdFactory(lambda: time.time_ns() // 1_000_000, token_bytes)


class Stage(Enum):
    """What the connection is about."""

    HEAD = auto()
    """Nothing or a part of a head has come; the client is waited for."""
    BODY = auto()
    ANSWER = auto()
    """The request is whole; what comes now is held until it is answered."""
    CLOSING = auto()
    """It was refused; what still comes is thrown away."""


class Connection(Exchanging):
    """Also shows event streams the transport that they write to: ASGI alone cannot cut a client off."""

    limits: ClassVar[ConnectionLimits]
    crowd: ClassVar[Crowd]
    rounds: ClassVar[Rounds]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._stage = Stage.HEAD
        self._head = bytearray()
        self._held = b""
        self._left_bytes = 0
        """Of a body whose length is known."""
        self._chunks: Chunks | None = None
        self._is_parser_in_body = False
        """It was told of a body that it will not see: of one whose length is known there is nothing to parse."""
        self._due_s = 0.0
        """When a head, or the end of a refused connection, is waited for no longer."""
        self._unsent = Unsent()
        self._reading: Reading

    # What uvicorn's loop calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's does
        super().connection_made(transport)
        self.flow = self._reading = Reading(transport, self.loop)
        self._due_s = self.loop.time() + self.limits.header_s_max
        self.rounds.enter(self, self.loop)
        if self.crowd.enter(self):
            self.crowd.waits(self)
        elif self.crowd.turn_away(self):
            self._refuse(Rejected(ProblemCode.TOO_MANY_CONNECTIONS, "Every connection here is busy; try again."))
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.crowd.leave(self)
        self.rounds.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        while data:
            try:
                data = self._take(data)
            except Rejected as rejected:
                self._refuse(rejected)
                return
            except httptools.HttpParserError as error:
                # The scan takes nothing that the parser refuses, as far as anybody knows.
                _log.warning("head_passed_the_scan_alone", error=repr(error))
                self._refuse(Rejected(ProblemCode.BAD_REQUEST, "The request is malformed."))
                return

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: {"transport": self.transport, "framed": framed}}

    def on_response_complete(self) -> None:
        """Replaces uvicorn's, which has a timer for each request and starts pipelined ones that it has parsed."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._stage is Stage.ANSWER:
            self._wait_for_head()

    def shutdown(self) -> None:
        if self._stage is Stage.CLOSING:
            self.transport.close()
        else:
            super().shutdown()

    def give_way(self) -> None:
        """Closes at once, for the sake of a new connection."""
        self.transport.abort()

    # From head to head

    def _take(self, data: bytes) -> bytes:
        """Returns what belongs to the next stage. Raises Rejected and HttpParserError."""
        match self._stage:
            case Stage.HEAD:
                return self._take_head(data)
            case Stage.BODY:
                return self._take_body(data)
            case Stage.ANSWER:
                self._held += data
                if len(self._held) > HELD_BYTES_MAX:
                    self.flow.pause_reading()
                return b""
            case Stage.CLOSING:
                return b""

    def _take_head(self, data: bytes) -> bytes:
        known_bytes = len(self._head)
        if not known_bytes:
            self._due_s = self.loop.time() + self.limits.header_s_max
        else:
            self._head += data
        begun: bytes | bytearray = self._head if known_bytes else data  # nearly always whole, with a body behind it
        # One empty line in front is what some clients send behind a body (RFC 9112, section 2.2).
        skipped = 2 if begun.startswith(b"\r\n") else 0
        end = begun.find(HEAD_END, max(skipped, known_bytes - 3))
        if end < 0:
            self._head = self._head or bytearray(data)
            check_begun(self._head[skipped:] if skipped else self._head, max(0, known_bytes - skipped), self.limits)
            return b""
        head, rest = bytes(begun[skipped : end + 4]), bytes(begun[end + 4 :])
        self._head = bytearray(head)  # a refusal looks here for the method
        framing = scan_head(head, self.limits)
        self._head.clear()
        self._begin(framing)
        return rest

    def _begin(self, framing: Framing) -> None:
        self.crowd.works(self)
        self._stage = Stage.ANSWER
        if framing.content_length != 0:
            self._stage = Stage.BODY
            self._left_bytes = framing.content_length or 0
            self._chunks = Chunks() if framing.content_length is None else None
            self._reading.pace = Pace(self.limits, self.loop.time(), is_json=framing.is_json)
            if framing.expects_continue:
                # Until the application asks for the body, which sends the 100 and reads on, the client rightly waits.
                self.flow.pause_reading()
        if self._is_parser_in_body:
            self.parser = httptools.HttpRequestParser(self)
        self._is_parser_in_body = bool(framing.content_length)
        self.parser.feed_data(framing.head)

    def _take_body(self, data: bytes) -> bytes:
        if self._reading.pace is not None:
            self._reading.pace.take(len(data), self.loop.time())
        if self._chunks is None:
            body, rest = data[: self._left_bytes], data[self._left_bytes :]
            self._left_bytes -= len(body)
            is_whole = self._left_bytes == 0
        else:
            body, rest = self._chunks.take(data)
            is_whole = self._chunks.is_whole
        if is_whole:
            # First of all: the parser's callbacks may want to know.
            self._stage = Stage.ANSWER
            self._reading.pace = None
        if self._chunks is None:
            self.cycle.take(body, is_end=is_whole)
        elif body:
            self.parser.feed_data(body)
        if is_whole and self.cycle.response_complete:
            self._wait_for_head()
        return rest

    def _wait_for_head(self) -> None:
        self._stage = Stage.HEAD
        self._due_s = self.loop.time() + self.limits.keep_alive_s
        self.crowd.waits(self)
        if self._held:
            held, self._held = self._held, b""
            self.data_received(held)

    # Refusals

    def _refuse(self, rejected: Rejected) -> None:
        """Answers in place of the application, unless it answers already, and closes."""
        is_asked = self._stage is Stage.BODY and self.cycle is not None
        is_head = self.scope["method"] == "HEAD" if is_asked else self._head.startswith(b"HEAD ")
        if (kept_back := _told.due()) is not None:
            _log.info("refused_by_connection", code=rejected.code, client=self.client, kept_back=kept_back)
        self._stage = Stage.CLOSING
        self._due_s = self.loop.time() + self.limits.linger_s_max
        self._head.clear()
        self.crowd.waits(self)
        if is_asked and self.cycle.response_started:
            self.transport.close()
            return
        if is_asked:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        headers = self.server_state.default_headers
        self.transport.write(plain_answer(rejected, _ids.unique(), headers, with_body=not is_head))
        self.flow.resume_reading()
        # Closed outright, bytes that were not read would make the kernel send a reset, which overtakes the answer.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    # Deadlines

    def look_at_the_clock(self) -> None:
        """Ends what has waited too long for its client."""
        now_s = self.loop.time()
        if self._unsent.is_stuck(self.transport.get_write_buffer_size(), now_s, self.limits.answer_silence_s_max):
            self.transport.abort()
            return
        if self.transport.is_closing():
            return
        match self._stage:
            case Stage.HEAD if now_s >= self._due_s:
                self._end_waiting()
            case Stage.BODY if self._reading.pace is not None:
                if (late := self._reading.pace.verdict(now_s)) is not None:
                    self._refuse(late)
            case Stage.CLOSING if now_s >= self._due_s:
                self.transport.abort()
            case _:
                pass

    def _end_waiting(self) -> None:
        if self._head:
            limit_s = self.limits.header_s_max
            self._refuse(Rejected(ProblemCode.REQUEST_TIMEOUT, f"The head has to come within {limit_s:g} s."))
        else:
            self.transport.close()


def connections(limits: ConnectionLimits) -> type[Connection]:
    """The class of the connections of one server, which uvicorn makes instances of."""

    class Configured(Connection):
        pass

    Configured.limits = limits
    Configured.crowd = Crowd(limits.connections_max)
    Configured.rounds = Rounds(limits.look_every_s)
    return Configured
