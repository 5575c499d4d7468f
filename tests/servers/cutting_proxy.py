"""A TCP proxy in front of an HTTP server that ends connections after so many bytes, as bad lines do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager


class CuttingProxy:
    """Each connection takes the next of `cuts`: bytes from the client after which it is cut; those behind are whole.

    A cut of -1 lets the request through and cuts in place of the answer's first byte.
    """

    def __init__(self, target_port: int, cuts: Iterable[int]) -> None:
        self._target_port = target_port
        self._cuts = iter(cuts)
        self._under_way: set[asyncio.Task[None]] = set()
        self.port = 0
        self.done = 0
        """Connections that were cut."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cut = next(self._cuts, None)
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target_port)
        ways = [
            asyncio.create_task(self._pass_on(reader, to_server, None if cut == -1 else cut)),
            asyncio.create_task(self._pass_on(from_server, writer, 0 if cut == -1 else None)),
        ]
        self._under_way.update(ways)
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for one in (writer, to_server):
            one.transport.abort()
        await asyncio.gather(*ways, return_exceptions=True)
        self._under_way.difference_update(ways)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, left: int | None) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(16_384):
                if left is not None and len(data) >= left:
                    sink.write(data[:left])
                    await sink.drain()
                    self.done += 1
                    return
                left = None if left is None else left - len(data)
                sink.write(data)
                await sink.drain()


@asynccontextmanager
async def cutting_proxy(target_port: int, cuts: Iterable[int]) -> AsyncIterator[CuttingProxy]:
    """Listens on loopback as long as the block lasts."""
    proxy = CuttingProxy(target_port, cuts)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
