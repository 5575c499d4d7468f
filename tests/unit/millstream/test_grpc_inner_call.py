"""Calls of the application in the same process: bodies go in and out piece by piece, and who is slow is cut off."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.types import Message, Receive, Scope, Send

from millstream.grpc.inner_call import InnerCall, inner_answer
from projections.sse import StalledReader, Wire

CALL = InnerCall(method="POST", path="/a", headers={"x": "y"}, client=("127.0.0.1", 1))
HEAD: Message = {"type": "http.response.start", "status": 200, "headers": [(b"X-Told", b"yes")]}


async def pieces() -> AsyncIterator[bytes]:
    for piece in (b"one", b"two"):
        yield piece


async def test_a_body_goes_in_and_out_as_it_comes() -> None:
    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        assert dict(scope["headers"]) == {b"host": b"localhost", b"x": b"y"}
        await send(HEAD)
        while (message := await receive())["more_body"]:
            await send({"type": "http.response.body", "body": message["body"], "more_body": True})
        await send({"type": "http.response.body", "body": b"."})

    async with inner_answer(echo, CALL, pieces()) as answer:
        assert (answer.status, answer.headers["x-told"]) == (200, "yes")
        assert [piece async for piece in answer.pieces] == [b"one", b"two", b"."]


async def test_leaving_is_a_disconnect_and_ends_the_application() -> None:
    told = asyncio.Event()

    async def waits(_scope: Scope, receive: Receive, send: Send) -> None:
        await send(HEAD)
        try:
            while (await receive())["type"] == "http.request":
                pass
            await asyncio.Event().wait()
        finally:
            told.set()

    async with inner_answer(waits, CALL):
        assert not told.is_set()
    assert told.is_set()


async def test_leaving_ends_an_application_whose_answer_nobody_has_taken() -> None:
    async def streams(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(HEAD)
        while True:
            await send({"type": "http.response.body", "body": b"more", "more_body": True})

    async with asyncio.timeout(20), inner_answer(streams, CALL) as answer:
        assert await anext(answer.pieces) == b"more"
        await asyncio.sleep(0)  # the next piece lies there, and the one behind it waits


async def test_an_application_that_breaks_before_it_answers_says_why() -> None:
    async def breaks(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise LookupError("no such thing")

    with pytest.raises(LookupError):
        async with inner_answer(breaks, CALL):
            pass


async def test_a_reader_that_takes_nothing_is_cut_off() -> None:
    ended = asyncio.Event()

    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        await send(HEAD)
        wire = Wire(scope, send, stall_s=0.02)
        with pytest.raises(StalledReader):
            await wire.send([b"event: status\ndata: {}\n\n"] * 10_000)
        while (await receive())["type"] == "http.request":
            pass
        ended.set()

    async with inner_answer(streams, CALL, pieces()) as answer:
        await asyncio.wait_for(ended.wait(), 20)
        assert answer.status == 200
