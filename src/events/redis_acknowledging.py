"""Acknowledgements that wait in the same turn of the event loop leave as one call for each inbox."""

import asyncio
from collections.abc import Sequence
from typing import Final

from events.errors import LogUnavailable
from events.redis_border import RedisClient, Script

ENTRIES_MAX: Final = 1_000
"""Acknowledged in one call: 1 ms of server time, and within what Lua's stack holds."""

Waiting = Sequence[tuple[str, asyncio.Future[None]]]
"""Entries of one inbox, and who waits for each."""


class Acknowledging:
    """Of one consumer group. A call that is cancelled may still take effect."""

    def __init__(self, client: RedisClient, group: str) -> None:
        self._client = client
        self._group = group
        self._script = Script("acknowledge.lua")
        self._waiting: dict[str, list[tuple[str, asyncio.Future[None]]]] = {}
        self._calls: set[asyncio.Task[None]] = set()

    def run(self, inbox: str, entry_id: str) -> asyncio.Future[None]:
        """Done when the entry is out of the inbox, if it was in somebody's hands. Raises LogUnavailable.

        A future, not a coroutine: whoever waits for a hundred of them needs no task for each.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._launch)
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(inbox, []).append((entry_id, done))
        return done

    def _launch(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for inbox, entries in waiting.items():
            for start in range(0, len(entries), ENTRIES_MAX):
                part = entries[start : start + ENTRIES_MAX]
                call = asyncio.get_running_loop().create_task(self._send(inbox, part))
                self._calls.add(call)
                call.add_done_callback(self._calls.discard)

    async def _send(self, inbox: str, entries: Waiting) -> None:
        try:
            await self._script.run(self._client, [inbox], (self._group, *(entry_id for entry_id, _ in entries)))
        except Exception as error:  # whatever it is, those who wait must hear of it
            _settle(entries, error)
        except asyncio.CancelledError:
            _settle(entries, LogUnavailable("the call was broken off; whether it took effect is unknown"))
            raise
        else:
            _settle(entries, None)


def _settle(entries: Waiting, error: Exception | None) -> None:
    for _, done in entries:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
