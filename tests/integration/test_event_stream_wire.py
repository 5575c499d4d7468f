"""What an event stream is written to, on connections of the event loop that the API has."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from starlette.types import Message

from projections.sse import TRANSPORT, Wire

EVENT = b"event: status\ndata: {}\n\n"


async def _wire_to_one_who_has_gone() -> list[Message]:
    ours, theirs = socket.socketpair()
    transport, protocol = await asyncio.get_running_loop().create_connection(_Heard, sock=ours)
    theirs.close()
    await protocol.lost.wait()
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    wire = Wire({"extensions": {TRANSPORT: {"transport": transport}}}, send, stall_s=5)
    await wire.send([EVENT])
    await wire.end()
    return sent


class _Heard(asyncio.Protocol):
    def __init__(self) -> None:
        self.lost = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run])
def test_a_client_that_has_gone_before_its_stream_begins_is_no_error(
    run: Callable[[Coroutine[Any, Any, list[Message]]], list[Message]],
) -> None:
    sent = run(_wire_to_one_who_has_gone())
    assert [message["body"] for message in sent] == [EVENT, b""], "the server drops them, as it does any answer"
