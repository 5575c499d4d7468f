"""Consuming: deliveries taken from an inbox and acknowledged, beside raw XREADGROUP COUNT 100 and XACK.

    PYTHONPATH=src:. python bench/consume.py [deliveries]

The raw stream holds the same entries, read through redis-py by one consumer, 100 at a time, each hundred acknowledged
by one XACK. Ours are taken by hundreds and acknowledged one by one, all of a hundred at once; in service the append of
a result acknowledges. Goal: 0.5 of the raw rate. Taking alone is told beside it.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.figures import Peer, note, reported
from events.inbox import InboxKey
from events.keys import Keys
from events.redis_border import execute
from events.redis_clients import Clients, make_clients
from events.redis_inbox import RedisInbox
from events.redis_log import RedisLog
from events.steps import Lane, Step
from tests.servers.redis_process import RedisProcess, redis_binary
from tests.workshop import Workshop

DELIVERIES_DEFAULT: Final = 5_000
ROUNDS: Final = 5
COUNT: Final = 100
TASK_DOCUMENTS: Final = 100
INBOX: Final = InboxKey(0, Step.PARSE, Lane.INTERACTIVE)


async def fill(clients: Clients, keys: Keys, deliveries: int, salt: int) -> int:
    """How many lie in the inbox; a copy of each lies in the stream `raw`."""
    workshop = Workshop(RedisLog(clients.commands, clients.blocking, keys), salt=salt)
    knowledge_base = await workshop.create()
    for _ in range(deliveries // TASK_DOCUMENTS):
        await workshop.submit(knowledge_base, TASK_DOCUMENTS)
    name = keys.inbox(INBOX.partition, INBOX.step, INBOX.lane)
    entries: list[Any] = await execute(clients.commands, "XRANGE", name, "-", "+")
    async with clients.commands.pipeline(transaction=False) as pipeline:
        for _, fields in entries:
            pipeline.xadd("raw", fields)
        pipeline.xgroup_create("raw", "group", id="0")
        await pipeline.execute()
    return len(entries)


async def raw(clients: Clients) -> int:
    consumed, group = 0, ("GROUP", "group", "consumer", "COUNT", COUNT, "STREAMS", "raw", ">")
    while found := await execute(clients.commands, "XREADGROUP", *group):
        (entries,) = found.values()
        await clients.commands.xack("raw", "group", *(name for name, _ in entries))
        consumed += len(entries)
    return consumed


async def ours(inbox: RedisInbox, *, acknowledging: bool) -> int:
    consumed = 0
    while taken := await inbox.take([INBOX], consumer="consumer", count=COUNT):
        if acknowledging:
            await asyncio.gather(*(inbox.acknowledge(one) for one in taken))
        consumed += len(taken)
    return consumed


async def measure(clients: Clients, deliveries: int) -> None:
    keys = Keys(1)
    inbox = RedisInbox(clients.commands, clients.blocking, keys)
    found: dict[str, list[float]] = {"ours": [], "taking": [], "raw": []}
    for number in range(ROUNDS):
        for name in ("ours", "taking"):
            count = await fill(clients, keys, deliveries, number)
            begun_s = time.perf_counter()
            assert await ours(inbox, acknowledging=name == "ours") == count
            found[name].append(count / (time.perf_counter() - begun_s))
            if name == "ours":
                begun_s = time.perf_counter()
                assert await raw(clients) == count
                found["raw"].append(count / (time.perf_counter() - begun_s))
            await execute(clients.commands, "FLUSHALL")
    beside = Peer("XREADGROUP and XACK", found["raw"])
    note("taken and acknowledged", "/s", found["ours"], beside=beside)
    note("taken", "/s", found["taking"], beside=beside)
    print(", ".join(f"{name} {statistics.median(rates):,.0f}/s" for name, rates in found.items()))


async def main(deliveries: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ms-bench-") as directory:
        server = RedisProcess(redis_binary(), Path(directory))
        server.start()
        try:
            async with make_clients(server.url) as clients:
                await measure(clients, deliveries)
        finally:
            server.stop()


if __name__ == "__main__":
    with reported():
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else DELIVERIES_DEFAULT))
