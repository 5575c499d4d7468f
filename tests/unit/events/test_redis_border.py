"""Whatever ends a connection to Redis leaves the border as an outage, which is waited for; nothing else does."""

import asyncio

import pytest
import uvloop

from events.errors import LogUnavailable
from events.redis_border import at_the_border


def test_a_write_to_a_connection_that_was_ended_is_an_outage() -> None:
    """As redis-py writes, on the event loop of the product."""

    async def write() -> None:
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.transport.abort()
            await writer.wait_closed()
            with at_the_border():
                writer.writelines([b"PING"])

    with pytest.raises(LogUnavailable, match="ended while it was made"):
        uvloop.run(write())


def test_another_runtime_error_stays_one() -> None:
    with pytest.raises(RuntimeError, match="something of ours"), at_the_border():
        raise RuntimeError("something of ours")


@pytest.mark.parametrize("error", [ConnectionResetError("gone"), TimeoutError("late")])
def test_errors_of_the_system_are_outages(error: OSError) -> None:
    with pytest.raises(LogUnavailable, match="Redis did not answer"), at_the_border():
        raise error
