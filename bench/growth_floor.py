"""What growth costs anyone: a script that writes as many new keys as an append of a new task, and looks at none."""

import os
from typing import Any, Final

from events.ids import uuid7_hex
from events.keys import Keys
from events.redis_clients import Clients
from tests.event_samples import T0_US

EVENTS: Final = 13
"""Of a life: two of the task, eleven of its document."""

EVENT_BYTES: Final = 96
"""On average (ADR 68)."""

_SCRIPT: Final = """
local ids = {}
for e = 1, #ARGV do ids[e] = redis.call('XADD', KEYS[1], '*', 'e', ARGV[e], 'n', e) end
redis.call('RPUSH', KEYS[2], ids[1], ids[2])
redis.call('HSET', KEYS[3], 'v', 2, 'e', string.sub(ARGV[2], 1, 16))
redis.call('RPUSH', KEYS[4], unpack(ids, 3))
redis.call('HSET', KEYS[5], 'v', #ids - 2, 'e', string.sub(ARGV[#ARGV], 1, 16))
return ids
"""


class Floor:
    """Its stream lies beside the log, its other keys among those of the partition and with names like theirs."""

    def __init__(self, clients: Clients, keys: Keys) -> None:
        self._script = clients.commands.register_script(_SCRIPT)
        self._prefix = keys.prefix(0)
        self._keys = keys

    async def append(self) -> None:
        names = [self._prefix + "floor"]
        for kind in ("task", "doc"):
            stream = f"{kind}_00{uuid7_hex(T0_US // 1_000, os.urandom(10))}"
            names += (self._keys.history(stream), self._keys.stream(stream))
        events = [os.urandom(EVENT_BYTES) for _ in range(EVENTS)]
        written: Any = self._script(keys=names, args=events)
        await written
