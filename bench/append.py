"""Append rate of one process: the log beside its bare script awaited and beside raw XADD, on one real server.

    PYTHONPATH=src:. python bench/append.py [calls a round]

Rounds of the contestants alternate, medians of their rates are printed. `awaited` is the ratio to the bare script that
is awaited call by call with as many in flight; goals: at least 0.85 at 1 and 50 in flight, 2.5 at 200.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from bench.figures import Peer, note, reported
from events.append_plan import plan_append
from events.document import StepStarted
from events.keys import Keys
from events.log import EVENTS_PER_STREAM_MAX, Appended, Write
from events.redis_append import append_call
from events.redis_border import Script, execute
from events.redis_clients import Clients, make_clients
from events.redis_log import GROUP, RedisLog
from events.redis_wire import Command
from events.steps import Step
from tests.event_samples import new_document, new_knowledge_base, new_task, write
from tests.servers.redis_process import RedisProcess, redis_binary

IN_FLIGHT: Final = (1, 50, 200)
ROUNDS: Final = 5
ALONE_FEWER: Final = 8
"""One call at a time waits for the disk each time: a round of it has so many times fewer calls."""
PARTITIONS: Final = 8

Contestant = Callable[[int], Awaitable[None]]

_KB, _TASK = new_knowledge_base(), new_task()
_STARTED = StepStarted(step=Step.PARSE, attempt=1, worker="worker-1")


def first_write() -> Write:
    return write(new_document(), 0, _STARTED, knowledge_base=_KB, task=_TASK)


class Prepared:
    """Calls of the bare script, encoded beforehand: the client library and the server alone are measured."""

    def __init__(self, script: Script, keys: Keys, count: int) -> None:
        self.commands: list[Command] = []
        for _ in range(count):
            plan = plan_append([first_write()], partitions=PARTITIONS)
            own, shared = append_call(plan, keys, None), keys.of_append(plan.partition)
            arguments = (GROUP, EVENTS_PER_STREAM_MAX, *own.arguments)
            self.commands.append(script.command([*shared, *own.keys], arguments))


async def rate(contestant: Contestant, in_flight: int, calls: int) -> float:
    """Calls a second; `in_flight` tasks share the calls."""
    begun = time.perf_counter()
    each = calls // in_flight
    await asyncio.gather(*(_several(contestant, worker * each, each) for worker in range(in_flight)))
    return each * in_flight / (time.perf_counter() - begun)


async def _several(contestant: Contestant, first: int, count: int) -> None:
    for call in range(first, first + count):
        await contestant(call)


async def measure(clients: Clients, calls: int) -> None:
    keys, script = Keys(PARTITIONS), Script("append.lua")
    await script.load(clients.commands, ())
    log = RedisLog(clients.commands, clients.blocking, keys)
    payload = plan_append([first_write()], partitions=PARTITIONS).writes[0].payloads[0]
    for in_flight in IN_FLIGHT:
        round_calls = calls if in_flight > 1 else calls // ALONE_FEWER
        found: dict[str, list[float]] = {"log": [], "script": [], "xadd": []}
        for _ in range(ROUNDS):
            writes, prepared = [first_write() for _ in range(round_calls)], Prepared(script, keys, round_calls)

            async def by_log(call: int, writes: list[Write] = writes) -> None:
                assert isinstance(await log.append([writes[call]]), Appended)

            async def by_script(call: int, prepared: Prepared = prepared) -> None:
                await execute(clients.commands, *prepared.commands[call])

            async def by_xadd(_call: int) -> None:
                await execute(clients.commands, "XADD", "raw", "*", "e", payload)

            contestants: dict[str, Contestant] = {"log": by_log, "script": by_script, "xadd": by_xadd}
            for name, contestant in contestants.items():
                found[name].append(await rate(contestant, in_flight, round_calls))
            await execute(clients.commands, "FLUSHALL")
        medians = {name: statistics.median(rates) for name, rates in found.items()}
        note(f"{in_flight} in flight", "/s", found["log"], beside=Peer("bare script, awaited", found["script"]))
        print(
            f"{in_flight:4} in flight: log {medians['log']:8.0f}/s   script awaited {medians['script']:8.0f}/s"
            f"   XADD awaited {medians['xadd']:8.0f}/s   log/script {medians['log'] / medians['script']:.2f}"
        )
    await print_server_time(clients, log, calls)


async def print_server_time(clients: Clients, log: RedisLog, calls: int) -> None:
    """The server's own account of the script, whose calls carry several appends each."""
    await execute(clients.commands, "CONFIG", "RESETSTAT")
    arguments: list[Awaitable[object]] = [log.append([first_write()]) for _ in range(calls)]
    await asyncio.gather(*arguments)
    stats = (await clients.commands.info("commandstats"))["cmdstat_evalsha"]
    append_us = stats["usec"] / calls
    note("server time of an append", "µs", append_us)
    print(f"server time of an append: {append_us:.1f} µs, {calls / stats['calls']:.0f} a call (goal: at most 15)")


async def main(calls: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ms-bench-") as directory:
        server = RedisProcess(redis_binary(), Path(directory))
        server.start()
        try:
            async with make_clients(server.url) as clients:
                await measure(clients, calls)
        finally:
            server.stop()


def number_of_calls(arguments: list[str]) -> int:
    return int(arguments[0]) if arguments else 4_000


if __name__ == "__main__":
    with reported():
        asyncio.run(main(number_of_calls(sys.argv[1:])))
