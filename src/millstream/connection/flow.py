"""What goes through the transport, and what does not for the moment."""

import asyncio

from uvicorn.protocols.http.flow_control import FlowControl

from millstream.connection.pace import Pace


class Reading(FlowControl):
    """Flow control that tells the clock of the body when nothing is read on purpose."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(transport)
        self._loop = loop
        self.pace: Pace | None = None

    def pause_reading(self) -> None:
        if self.pace is not None and not self.read_paused:
            self.pace.pause(self._loop.time())
        super().pause_reading()

    def resume_reading(self) -> None:
        if self.pace is not None and self.read_paused:
            self.pace.resume(self._loop.time())
        super().resume_reading()


class Unsent:
    """What waits in the transport for a client that does not take it."""

    def __init__(self) -> None:
        self._bytes = 0
        self._since_s = 0.0

    def is_stuck(self, unsent_bytes: int, now_s: float, silence_s_max: float) -> bool:
        """Whether the client took nothing for that long. To be asked now and then."""
        if unsent_bytes != self._bytes or unsent_bytes == 0:
            self._bytes, self._since_s = unsent_bytes, now_s
        return unsent_bytes > 0 and now_s - self._since_s >= silence_s_max
