"""A TCP proxy before a real Redis, in a thread of its own, that can be told at any time how to go wrong.

It knows where a command and a reply end (RESP3), so "the reply of every third append" is a thing that it can lose: the
server has carried the command out, and the client never learns of it.
"""

import asyncio
import contextlib
import enum
import itertools
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Self, assert_never
from urllib.parse import urlsplit

import msgspec

from tests.servers.ports import free_port

LINE_BYTES_MAX: Final = 1_048_576
START_S_MAX: Final = 10.0
_BULK: Final = b"$=!"
_AGGREGATE: Final = {b"*": 1, b"~": 1, b">": 1, b"%": 2}


class Loss(enum.Enum):
    """What becomes of a reply that the client shall not have."""

    CUT = "the connection ends in its place"
    SILENCE = "nothing comes any more on this connection"
    TRUNCATE = "its first half comes, then the connection ends"


class Weather(msgspec.Struct, frozen=True, kw_only=True):
    """How the way to the server is. Of the commands that begin with `of` every n-th loses its reply (0: none)."""

    delay_s: float = 0.0
    lose_every: int = 0
    loss: Loss = Loss.CUT
    of: bytes = b""


FAIR: Final = Weather()


class _Ended(Exception):
    """The connection ends now."""


class _Connection:
    """One client and its connection to the server. Lives in the proxy's loop."""

    def __init__(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        loses: Callable[[bytes], Loss | None],
        delay_s: Callable[[], float],
    ) -> None:
        self._from_client, self._to_client = client
        self._from_server, self._to_server = server
        self._loses = loses
        self._delay_s = delay_s
        self._under_way: deque[Loss | None] = deque()
        self._due: asyncio.Queue[tuple[float, bytes, Loss | None]] = asyncio.Queue()
        self._is_silent = False

    async def serve(self) -> None:
        """Until either side ends, or a loss ends it."""
        ways = [asyncio.create_task(one) for one in (self._commands(), self._replies(), self._deliveries())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self.cut()

    def cut(self) -> None:
        """Both sides, at once: the client sees a reset."""
        for writer in (self._to_client, self._to_server):
            with contextlib.suppress(OSError):
                writer.transport.abort()

    def half_close(self) -> None:
        """The client is told that no more comes; what it still sends is taken and carried out."""
        self._is_silent = True
        if self._to_client.can_write_eof():
            self._to_client.write_eof()

    async def _commands(self) -> None:
        while True:
            command = await read_frame(self._from_client)
            self._under_way.append(self._loses(_words(command)))
            self._to_server.write(command)
            await self._to_server.drain()

    async def _replies(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            reply = await read_frame(self._from_server)
            # A push belongs to no command.
            loss = None if reply[:1] == b">" or not self._under_way else self._under_way.popleft()
            self._due.put_nowait((loop.time() + self._delay_s(), reply, loss))

    async def _deliveries(self) -> None:
        """Later replies wait behind earlier ones; replies of one pipeline are late together, not one after another."""
        loop = asyncio.get_running_loop()
        while True:
            due_s, reply, loss = await self._due.get()
            await asyncio.sleep(due_s - loop.time())
            match loss:
                case None:
                    await self._deliver(reply)
                case Loss.CUT:
                    raise _Ended
                case Loss.SILENCE:
                    self._is_silent = True
                case Loss.TRUNCATE:
                    await self._deliver(reply[: len(reply) // 2])
                    # A reset would take back what lies in the client's buffer.
                    self.half_close()
                case _:
                    assert_never(loss)

    async def _deliver(self, reply: bytes) -> None:
        if not self._is_silent:
            self._to_client.write(reply)
            await self._to_client.drain()


class TcpProxy:
    """A context manager; `url` is where clients connect. `target_url` is `redis://host:port` or `unix://path`."""

    def __init__(self, target_url: str) -> None:
        self._target = urlsplit(target_url)
        self._weather = FAIR
        self._counter = itertools.count(1)
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)
        self.port = free_port()
        self.lost = 0
        """Replies that no client ever had."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._connections)

    def __enter__(self) -> Self:
        self._thread.start()
        self.admit()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        self.cut()
        self._in_loop(_others_ended())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_S_MAX)
        self._loop.close()

    def become(self, weather: Weather = FAIR) -> None:
        """From the next command and reply on; connections stay."""

        async def change() -> None:
            self._weather, self._counter = weather, itertools.count(1)

        self._in_loop(change())

    def cut(self) -> None:
        """Ends every connection; new ones are taken."""

        async def cut_all() -> None:
            for connection in self._connections:
                connection.cut()

        self._in_loop(cut_all())

    def half_close(self) -> None:
        """Tells every client that no more comes, and goes on listening to it."""

        async def half_close_all() -> None:
            for connection in self._connections:
                connection.half_close()

        self._in_loop(half_close_all())

    def refuse(self) -> None:
        """New connections are refused, those that are there stay."""

        async def stop_listening() -> None:
            if self._server is not None:
                self._server.close()
                self._server = None

        self._in_loop(stop_listening())

    def admit(self) -> None:
        """New connections are taken (again)."""

        async def listen() -> None:
            if self._server is None:
                self._server = await asyncio.start_server(
                    self._serve, "127.0.0.1", self.port, limit=LINE_BYTES_MAX, reuse_address=True
                )

        self._in_loop(listen())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection((reader, writer), server, self._loses, lambda: self._weather.delay_s)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._target.scheme == "unix":
            return await asyncio.open_unix_connection(self._target.path, limit=LINE_BYTES_MAX)
        return await asyncio.open_connection(self._target.hostname, self._target.port, limit=LINE_BYTES_MAX)

    def _loses(self, words: bytes) -> Loss | None:
        weather = self._weather
        if weather.lose_every == 0 or not words.startswith(weather.of):
            return None
        if next(self._counter) % weather.lose_every:
            return None
        self.lost += 1
        return weather.loss

    def _in_loop(self, change: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(change, self._loop).result(START_S_MAX)


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """One whole command or reply (RESP2 or RESP3). Raises IncompleteReadError at the end of the stream."""
    frame, missing = bytearray(), 1
    while missing:
        line = await reader.readuntil(b"\r\n")
        frame += line
        missing -= 1
        kind, count = line[:1], line[1:-2]
        if kind in _AGGREGATE:
            missing += max(int(count), 0) * _AGGREGATE[kind]
        elif kind == b"|":
            missing += 2 * int(count) + 1  # attributes, and the reply that they belong to
        elif kind in _BULK and int(count) >= 0:
            frame += await reader.readexactly(int(count) + 2)
    return bytes(frame)


def _words(command: bytes) -> bytes:
    """The first words of a command, `EVALSHA 4f1c…`, for telling one from another."""
    return b" ".join(command.split(b"\r\n", 5)[2:5:2])


async def _others_ended() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait(others, timeout=START_S_MAX) if others else None
    for _ in range(3):
        await asyncio.sleep(0)  # transports that were aborted close in the loop's next turns
