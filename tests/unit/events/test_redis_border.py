"""Whatever ends a connection to Redis leaves the border as an outage, which is waited for; nothing else does."""

import asyncio
import errno
import time
from typing import Any, ClassVar

import pytest
import uvloop
from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError as RedisTimeoutError

from events.errors import LogUnavailable
from events.redis_batching import Batching
from events.redis_border import Script, at_the_border, exchange
from events.redis_wire import ask


class EndedBetween(Connection):
    """Its first connections, as many as `ENDED`, end after they were made and before they are written to."""

    ENDED: ClassVar = 0

    async def _send_packed_command(self, command: Any) -> None:
        if EndedBetween.ENDED > 0:
            EndedBetween.ENDED -= 1
            assert self._writer is not None
            self._writer.transport.abort()
        await super()._send_packed_command(command)


class CutOff(Connection):
    """Its first connections, as many as `CUT`, are given up by the kernel once they were written to: the other side has
    confirmed nothing for too long."""

    CUT: ClassVar = 0

    async def _send_packed_command(self, command: Any) -> None:
        await super()._send_packed_command(command)
        if CutOff.CUT > 0:
            CutOff.CUT -= 1
            assert self._reader is not None
            self._reader.set_exception(TimeoutError(errno.ETIMEDOUT, "Connection timed out"))


async def answer_to_everything(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(65_536):
        writer.write(b"+OK\r\n")
        await writer.drain()
    writer.close()


async def with_connections_that_end(ended: int, ask: Any, *, kind: type[Connection] = EndedBetween) -> Any:
    server = await asyncio.start_server(answer_to_everything, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    options = {"host": host, "port": port, "driver_info": None, "protocol": 2}
    retry = Retry(NoBackoff(), 1)
    client = Redis.from_pool(BlockingConnectionPool(connection_class=kind, retry=retry, **options))
    async with server, client:
        EndedBetween.ENDED = ended
        return await ask(client)


def test_what_was_not_written_for_its_connection_ended_is_sent_on_another() -> None:
    async def ask(client: Redis) -> Any:
        return await exchange(client, [("PING",)])

    assert uvloop.run(with_connections_that_end(1, ask)) == [b"OK"]


def test_a_connection_that_the_kernel_gives_up_is_no_empty_answer() -> None:
    """redis-py takes the kernel's timeout for its own, and answers nil. An append would have been told that its stream
    is full."""

    async def ask(client: Redis) -> Any:
        CutOff.CUT = 1
        assert await exchange(client, [("PING",)]) == [b"OK"]
        CutOff.CUT = 2
        with pytest.raises(LogUnavailable):
            await Batching(client, Script("history.lua")).run(["key"], ())

    uvloop.run(with_connections_that_end(0, ask, kind=CutOff))


@pytest.mark.parametrize("sent", [b"PING", b"x" * 16_000_000], ids=["nothing answers", "nothing is read"])
def test_a_server_that_stands_still_is_waited_for_no_longer_than_the_limit(sent: bytes) -> None:
    async def meet() -> None:
        held = asyncio.Event()

        async def stand_still(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is one that can read too
            await held.wait()
            writer.close()

        server = await asyncio.start_server(stand_still, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        connection = Connection(host=host, port=port, driver_info=None, protocol=2, socket_timeout=0.1)
        async with server:
            try:
                await ask(connection, sent, 1)
            finally:
                held.set()
                if connection._writer is not None:
                    connection._writer.transport.abort()
                await connection.disconnect(nowait=True)

    with pytest.raises(RedisTimeoutError, match=r"no answer within 0\.1 s"):
        uvloop.run(meet())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_an_answer_that_comes_with_the_end_of_the_limit_leaves_nothing_to_the_next_call(run: Any) -> None:
    """As after a moment in which the process stood still for longer than it waits for an answer."""
    stood_still = list[float]()

    async def stand_still_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            if not stood_still:
                stood_still.append(time.monotonic())
                while time.monotonic() < stood_still[0] + 0.6:
                    pass
            writer.write(b"+OK\r\n")
        writer.close()

    async def meet() -> None:
        server = await asyncio.start_server(stand_still_once, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        options = {"host": host, "port": port, "driver_info": None, "protocol": 2, "socket_timeout": 0.5}
        pool = BlockingConnectionPool(retry=Retry(NoBackoff(), 0), **options)
        async with server, Redis.from_pool(pool) as client:
            for _ in range(2):
                assert await exchange(client, [("PING",)]) == [b"OK"]

    run(meet())


async def test_a_connection_goes_to_whoever_waits_for_one() -> None:
    server = await asyncio.start_server(answer_to_everything, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    options = {"host": host, "port": port, "driver_info": None, "protocol": 2, "max_connections": 1}
    async with server, Redis.from_pool(BlockingConnectionPool(**options)) as client:
        for _ in range(2):  # made, then lent again
            async with asyncio.timeout(10):
                told = await asyncio.gather(*(exchange(client, [("PING",)]) for _ in range(20)))
            assert told == [[b"OK"]] * 20


def test_calls_of_a_batch_whose_connections_end_meet_an_outage() -> None:
    """Whoever repeats appends and histories repeats them for an outage alone."""

    async def ask(client: Redis) -> Any:
        await Batching(client, Script("history.lua")).run(["key"], ())

    with pytest.raises(LogUnavailable, match="ended before it was written to"):
        uvloop.run(with_connections_that_end(2, ask))


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


class BrokenOff(Connection):
    """Another task breaks it off right before redis-py writes, as a client of a cluster does with a node's."""

    async def _send_packed_command(self, command: Any) -> None:
        assert self._writer is not None
        self._writer.close()
        self._writer = None
        await super()._send_packed_command(command)


def test_a_write_to_a_connection_that_another_task_broke_off_is_an_outage() -> None:
    async def ask() -> None:
        server = await asyncio.start_server(answer_to_everything, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        connection = BrokenOff(host=host, port=port, driver_info=None, protocol=2)
        async with server:
            with at_the_border():
                await connection.send_command("PING", check_health=False)

    with pytest.raises(LogUnavailable, match="ended while it was made"):
        uvloop.run(ask())


def test_another_attribute_that_is_missing_is_told_as_what_it_is() -> None:
    with pytest.raises(AttributeError), at_the_border():
        None.writeline  # type: ignore[attr-defined]  # noqa: B018


def test_another_runtime_error_stays_one() -> None:
    with pytest.raises(RuntimeError, match="something of ours"), at_the_border():
        raise RuntimeError("something of ours")


@pytest.mark.parametrize("error", [ConnectionResetError("gone"), TimeoutError("late")])
def test_errors_of_the_system_are_outages(error: OSError) -> None:
    with pytest.raises(LogUnavailable, match="Redis did not answer"), at_the_border():
        raise error
