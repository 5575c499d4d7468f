"""What a step of ours has to have done before it begins, in the fewest lines: log, inbox, versions, two durable calls.

`python -m bench.start_floor` is a worker process, `sender` enqueues. A job is two facts in a log, the version of its
stream and a pointer in an inbox, written by one call. Of the workers that wait for the inbox the server wakes one; it
appends the begin, which only counts at the version that it saw, and then the step may begin. Its result is appended
with the acknowledgement. Nothing else is there: no partitions, lanes, types, ids, folds, decisions, attempts, timers,
digests, tallies, retries or takeovers, and no batches of what waits.
"""

import asyncio
import os
from contextlib import suppress
from typing import Any, Final

import msgspec
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import ResponseError

from bench.peers.marks import MARKER
from bench.peers.sending import Send
from millstream.collecting import collect_seldom

GROUP: Final = "workers"
WAIT_MS: Final = 1_000
CONNECTIONS_MAX: Final = 64
"""Of a process. Jobs that are to warm it come hundreds at a time; those that are timed come one by one."""
FACT: Final = {"text": "x" * 150}

APPEND: Final = """
local version = tonumber(redis.call('HGET', KEYS[2], 'v') or 0)
if version ~= tonumber(ARGV[1]) then return 0 end
for i = 3, #ARGV do redis.call('XADD', KEYS[1], '*', 'e', ARGV[i]) end
redis.call('HSET', KEYS[2], 'v', version + #ARGV - 2)
if version == 0 then redis.call('XADD', KEYS[3], '*', 'p', ARGV[2]) end
if version > 2 then
  redis.call('XACK', KEYS[3], 'workers', ARGV[2])
  redis.call('XDEL', KEYS[3], ARGV[2])
end
return 1
"""


class Log:
    """Over redis-py as it is. The inbox is told of the first events of a stream, and of a result."""

    def __init__(self) -> None:
        pool = BlockingConnectionPool.from_url(
            os.environ["BENCH_REDIS_URL"],
            max_connections=CONNECTIONS_MAX,
            timeout=None,
            protocol=3,
            legacy_responses=False,
        )
        self.redis = Redis(connection_pool=pool)
        self._append = self.redis.register_script(APPEND)

    async def ask(self, *command: str | int) -> Any:
        return await self.redis.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py has no types here

    async def append(self, number: int, version: int, pointed: str | bytes, *facts: Any) -> bool:
        payloads = map(msgspec.msgpack.encode, facts)
        return bool(await self._append(("log", f"stream:{number}", "inbox"), (version, pointed, *payloads)))


async def sender() -> Send:
    log = Log()

    async def send(number: int) -> None:
        assert await log.append(number, 0, str(number), FACT, FACT)

    return send


async def carry_out(log: Log, number: int, entry: bytes) -> None:
    assert await log.append(number, 2, entry, FACT)
    MARKER.mark(number)
    assert await log.append(number, 3, entry, FACT)


async def work() -> None:
    log, running = Log(), set[asyncio.Task[None]]()
    with suppress(ResponseError):  # the other worker was first
        await log.ask("XGROUP", "CREATE", "inbox", GROUP, "0", "MKSTREAM")
    reads = ("XREADGROUP", "GROUP", GROUP, f"w{os.getpid()}", "COUNT", 16, "BLOCK", WAIT_MS, "STREAMS", "inbox", ">")
    while True:
        found: Any = await log.ask(*reads)
        for entry, fields in [one for entries in (found or {}).values() for one in entries]:
            task = asyncio.create_task(carry_out(log, int(fields[b"p"]), entry))
            running.add(task)
            task.add_done_callback(running.discard)


if __name__ == "__main__":
    import uvloop

    collect_seldom()
    uvloop.run(work())
