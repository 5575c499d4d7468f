"""Server-sent events that are made for one request alone: an answer as it is written, a verification as it goes on."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from projections.sse import HEADERS, StalledReader, Wire
from projections.watching import STALL_S


class StreamedEvents(Response):
    """Events as they come. Who hangs up, or takes nothing for too long, ends them, and with them the work behind."""

    def __init__(self, events: AsyncGenerator[bytes, None], stall_s: float = STALL_S) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._events = events
        self._stall_s = stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            sending = asyncio.create_task(self._send_all(Wire(scope, send, self._stall_s)))
            leaving = asyncio.create_task(_left(receive))
            try:
                await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                leaving.cancel()
                sending.cancel()
                ended, _ = await asyncio.gather(sending, leaving, return_exceptions=True)
        if isinstance(ended, Exception) and not isinstance(ended, StalledReader):
            raise ended

    async def _send_all(self, wire: Wire) -> None:
        async for event in self._events:
            await wire.send((event,))
        await wire.end()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
