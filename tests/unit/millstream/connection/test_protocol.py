"""One connection over a transport that notes what it is told: what ends a request, and who may still speak then."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.server import ServerState

from millstream.connection.limits import ConnectionLimits
from millstream.connection.protocol import HELD_BYTES_MAX, Connection, connections
from tests.waiting import wait_until

HEAD = b"POST /x HTTP/1.1\r\nHost: mill\r\n"
START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]}
QUICK = ConnectionLimits(header_s_max=0.16, keep_alive_s=0.16, body_silence_s_max=0.16, answer_silence_s_max=0.1)


class Line(asyncio.Transport):
    """The other side takes `takes_bytes`, and no more."""

    def __init__(self, takes_bytes: int = 2**40) -> None:
        super().__init__({"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2)})
        self.takes_bytes = takes_bytes
        self.written = b""
        self.events: list[str] = []
        self._reads = True

    def write(self, data: Any) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return max(0, len(self.written) - self.takes_bytes)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.events.append("eof")

    def close(self) -> None:
        self.events.append("close")

    def abort(self) -> None:
        self.events.append("abort")

    def is_closing(self) -> bool:
        return "close" in self.events or "abort" in self.events

    def pause_reading(self) -> None:
        self._reads = False

    def resume_reading(self) -> None:
        self._reads = True

    def reads(self) -> bool:
        return self._reads

    @property
    def statuses(self) -> list[bytes]:
        return [piece[:3] for piece in self.written.split(b"HTTP/1.1 ")[1:]]


def connect(app: ASGIApp, line: Line, limits: ConnectionLimits | None = None) -> Connection:
    config = uvicorn.Config(app, lifespan="off", log_config=None)
    connection = connections(limits or ConnectionLimits())(config, ServerState(), {})
    connection.connection_made(line)
    return connection


def answering(before: Callable[[Receive], Awaitable[object]]) -> ASGIApp:
    """Does something with the body, then answers."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await before(receive)
        await send(START)
        await send({"type": "http.response.body", "body": b"done"})

    return app


async def nothing(_receive: Receive) -> None:
    return


async def test_an_application_that_answers_a_refused_request_is_not_heard() -> None:
    line = Line()
    connection = connect(answering(lambda receive: receive()), line)
    connection.data_received(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    await asyncio.sleep(0)
    connection.data_received(b"nonsense\r\n")
    (task,) = connection.tasks
    await task
    assert line.statuses == [b"400"]
    assert line.events == ["eof"]


async def test_an_answer_that_has_begun_gets_no_second_one_when_its_request_breaks_off() -> None:
    line, sent = Line(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        sent.set()
        while (await receive())["type"] != "http.disconnect":
            pass

    connection = connect(app, line)
    connection.data_received(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    await sent.wait()
    connection.data_received(b"nonsense\r\n")
    assert line.statuses == [b"200"]
    assert line.events == ["close"]
    connection.connection_lost(None)


async def test_a_body_that_nobody_read_is_not_taken_for_the_next_request() -> None:
    line = Line()
    connection = connect(answering(nothing), line)
    for _ in range(2):
        connection.data_received(HEAD + b"Content-Length: 30\r\n\r\n" + HEAD[:10])
        await wait_until(lambda: connection.cycle.response_complete, "it is answered")
        connection.data_received(HEAD[:20])
    assert line.statuses == [b"200", b"200"]
    assert line.events == []
    connection.connection_lost(None)


async def test_no_more_is_read_ahead_of_an_answer_than_is_held() -> None:
    line, may_answer = Line(), asyncio.Event()
    connection = connect(answering(lambda _receive: may_answer.wait()), line)
    one = HEAD + b"Content-Length: 0\r\n\r\n"
    ahead = one * (HELD_BYTES_MAX // len(one) + 2)
    connection.data_received(one + ahead[:HELD_BYTES_MAX])
    assert line.reads()
    connection.data_received(ahead[HELD_BYTES_MAX:])
    assert not line.reads()
    may_answer.set()
    await wait_until(lambda: line.written.count(b"done") == len(ahead) // len(one) + 1, "all are answered, in order")
    assert line.reads()
    connection.connection_lost(None)


async def test_a_client_that_takes_nothing_of_its_answer_is_cut_off() -> None:
    line = Line(takes_bytes=10)
    connection = connect(answering(nothing), line, QUICK)
    connection.data_received(HEAD + b"Connection: close\r\n\r\n")
    await wait_until(line.is_closing, "it is closed")
    await wait_until(lambda: "abort" in line.events, "it is cut off")
    assert line.events == ["close", "abort"]
    connection.connection_lost(None)


async def test_a_refused_client_that_stays_is_cut_off() -> None:
    line = Line()
    limits = ConnectionLimits(header_s_max=0.16, linger_s_max=0.05)
    connection = connect(answering(nothing), line, limits)
    connection.data_received(b"nonsense\r\n")
    connection.data_received(HEAD + b"\r\n")
    assert (line.statuses, line.events) == ([b"400"], ["eof"])
    await wait_until(lambda: line.events == ["eof", "abort"], "it is cut off")
    connection.connection_lost(None)


async def test_the_time_for_a_head_begins_with_its_first_byte() -> None:
    """Its first byte comes late, when the connection has been idle for nearly as long as it may."""
    line = Line()
    limits = ConnectionLimits(header_s_max=5, keep_alive_s=0.16)
    connection = connect(answering(nothing), line, limits)
    connection.data_received(HEAD + b"\r\n")
    await wait_until(lambda: connection.cycle.response_complete, "it is answered")
    connection.data_received(HEAD)
    await asyncio.sleep(3 * limits.keep_alive_s)
    connection.data_received(b"\r\n")
    await wait_until(line.is_closing, "nobody asks any more")
    assert (line.statuses, line.events) == ([b"200", b"200"], ["close"])
    connection.connection_lost(None)


async def test_the_end_of_a_connection_ends_its_clock() -> None:
    line = Line()
    connection = connect(answering(nothing), line, QUICK)
    connection.connection_lost(None)
    assert len(connection.crowd) == 0
    assert line.events == ["close"]
