"""The head of an answer that is put together here is the one that uvicorn sends."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from millstream.connection.exchange import Exchange

Headers = Sequence[tuple[bytes, bytes]]


class Written(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.data = b""
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.data += data

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


class Outcome(NamedTuple):
    data: bytes
    is_closed: bool
    is_complete: bool
    answers: int
    error: type[Exception] | None


async def outcome(kind: type[RequestResponseCycle], method: str, keep_alive: bool, messages: Sequence[Any]) -> Outcome:
    transport, answered = Written(), list[bool]()
    cycle = kind(
        scope={"type": "http", "method": method},  # type: ignore[typeddict-item]  # what an answer looks at
        transport=transport,
        flow=FlowControl(transport),
        logger=logging.getLogger(__name__),
        access_logger=logging.getLogger(__name__),
        access_log=False,
        default_headers=[(b"server", b"mill")],
        message_event=asyncio.Event(),
        expect_100_continue=True,
        keep_alive=keep_alive,
        on_response=lambda: answered.append(True),
    )
    error = None
    for message in messages:
        try:
            await cycle.send(message)
        except Exception as failed:
            error = type(failed)
            break
    assert error is not None or not cycle.waiting_for_100_continue
    return Outcome(transport.data, transport.is_closed, cycle.response_complete, len(answered), error)


def start(status: int, headers: Headers) -> Any:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


NAMES = st.sampled_from([b"content-type", b"X-A", b"set-cookie", b"Connection", b"transfer-encoding", b"bad name"])
VALUES = st.sampled_from([b"a", b"", b"\xe9", b"close", b"keep-alive, Close", b"chunked", b"a\r\nb: c", b"\x00"])
LENGTHS = st.lists(
    st.tuples(st.sampled_from([b"content-length", b"Content-Length"]), st.sampled_from([b"0", b"3"])), max_size=1
)
HEADERS = st.builds(lambda length, others: [*length, *others], LENGTHS, st.lists(st.tuples(NAMES, VALUES), max_size=4))
BODIES = st.lists(st.tuples(st.sampled_from([b"", b"abc", b"abcd"]), st.booleans()), max_size=3)


@given(
    method=st.sampled_from(["GET", "HEAD", "POST"]),
    status=st.sampled_from([200, 204, 304, 404]),
    headers=HEADERS,
    bodies=BODIES,
    keep_alive=st.booleans(),
)
def test_an_answer_is_sent_as_uvicorn_sends_it(
    method: str, status: int, headers: Headers, bodies: list[tuple[bytes, bool]], keep_alive: bool
) -> None:
    parts = [{"type": "http.response.body", "body": body, "more_body": more} for body, more in bodies]
    messages = [start(status, headers), *parts]
    ours = asyncio.run(outcome(Exchange, method, keep_alive, messages))
    assert ours == asyncio.run(outcome(RequestResponseCycle, method, keep_alive, messages))


@pytest.mark.parametrize("header", [(b"x-a\r\nb", b"c"), (b"x-a", b"b\r\nc: d"), (b"x a", b"b"), (b"x-a", b"b\x00")])
async def test_of_a_head_that_would_be_two_nothing_is_sent(header: tuple[bytes, bytes]) -> None:
    sent = await outcome(Exchange, "GET", True, [start(200, [(b"content-length", b"0"), header])])
    assert (sent.data, sent.error) == (b"", RuntimeError)
