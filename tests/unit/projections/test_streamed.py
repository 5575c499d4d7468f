"""Events made for one request end with it, however early it ends."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from starlette.types import Message

from projections.streamed import StreamedEvents


async def test_whoever_is_gone_before_the_first_byte_ends_the_work_behind() -> None:
    has_ended = asyncio.Event()

    async def events() -> AsyncGenerator[bytes, None]:
        try:
            yield b": begun\n\n"
            yield b": more\n\n"
        finally:
            has_ended.set()

    async def never() -> Message:
        raise AssertionError("nobody asks")

    async def gone(_message: Message) -> None:
        raise ConnectionResetError

    begun = events()
    await anext(begun)
    with pytest.raises(ConnectionResetError):
        await StreamedEvents(begun)({"type": "http"}, never, gone)
    assert has_ended.is_set()
