"""Answers that come before the body was read."""

import asyncio

from starlette.types import Message, Receive, Scope, Send

from ingest.unread_body import UnreadBodyMiddleware


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 413, "headers": []})
    await send({"type": "http.response.body", "body": b"no"})


async def read_first(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await refuse(scope, receive, send)


class Wire:
    """A client that has `pieces` to send, and then goes silent."""

    def __init__(self, *pieces: bytes, is_whole: bool = True) -> None:
        self.pieces = list(pieces)
        self.is_whole = is_whole
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if not self.pieces:
            await asyncio.Event().wait()
        piece = self.pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces) or not self.is_whole}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def closes(self) -> bool:
        return (b"connection", b"close") in self.sent[0]["headers"]

    @property
    def body(self) -> bytes:
        assert not self.sent[-1].get("more_body", False)
        return b"".join(message["body"] for message in self.sent[1:])


def scope(*headers: tuple[bytes, bytes]) -> Scope:
    return {"type": "http", "headers": list(headers)}


LENGTH = (b"content-length", b"10")


async def test_the_rest_of_a_refused_body_is_read_before_the_connection_closes() -> None:
    wire = Wire(b"a", b"b", b"c")
    await UnreadBodyMiddleware(refuse)(scope(LENGTH), wire.receive, wire.send)
    assert (wire.pieces, wire.closes, wire.body) == ([], True, b"no")
    assert wire.sent[1]["body"] == b"no"


async def test_an_answer_to_a_whole_body_passes_untouched() -> None:
    wire = Wire(b"a", b"b")
    await UnreadBodyMiddleware(read_first)(scope(LENGTH), wire.receive, wire.send)
    assert (wire.closes, wire.body, len(wire.sent)) == (False, b"no", 2)


async def test_a_request_without_a_body_passes_untouched() -> None:
    wire = Wire()
    await UnreadBodyMiddleware(refuse)(scope(), wire.receive, wire.send)
    assert (wire.closes, wire.body) == (False, b"no")


async def test_a_client_that_never_stops_is_left_after_a_while() -> None:
    wire = Wire(*[b"x" * 10] * 100)
    await UnreadBodyMiddleware(refuse, linger_bytes_max=95)(scope(LENGTH), wire.receive, wire.send)
    assert (len(wire.pieces), wire.body) == (90, b"no")


async def test_a_client_that_falls_silent_is_left_after_a_while() -> None:
    wire = Wire(b"x", is_whole=False)
    await UnreadBodyMiddleware(refuse, linger_s_max=0.01)(scope(LENGTH), wire.receive, wire.send)
    assert (wire.closes, wire.body) == (True, b"no")


async def test_a_client_that_waits_to_be_told_has_its_answer_before_anything_is_read() -> None:
    """Reading before the answer has begun would tell it to go on."""
    wire = Wire(b"x")
    read_behind: list[int] = []

    async def receive() -> Message:
        read_behind.append(len(wire.sent))
        return await wire.receive()

    await UnreadBodyMiddleware(refuse)(scope(LENGTH, (b"expect", b"100-continue")), receive, wire.send)
    assert (read_behind, wire.closes, wire.body) == ([2], True, b"no")
