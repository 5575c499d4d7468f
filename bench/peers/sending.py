"""Enqueues jobs of one queue as told on standard input: `python -m bench.peers.sending MODULE`, a line an order.

An order is `FIRST COUNT SECONDS`: so many jobs, that far apart, or as fast as it goes with 0. The answer is a line of
JSON: the times at which each was begun to be sent.
"""

import asyncio
import importlib
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final

Send = Callable[[int], Awaitable[None]]

TOGETHER: Final = 50
"""Jobs sent at a time where nothing is said of their pace, by those that can."""


async def fast(send: Send, numbers: range) -> list[float]:
    sent = list[float]()
    for start in range(0, len(numbers), TOGETHER):
        some = numbers[start : start + TOGETHER]
        sent += [time.perf_counter()] * len(some)
        await asyncio.gather(*(send(number) for number in some))
    return sent


async def paced(send: Send, numbers: range, seconds: float) -> list[float]:
    sent, begun = list[float](), time.perf_counter()
    for place, number in enumerate(numbers):
        await asyncio.sleep(max(begun + place * seconds - time.perf_counter(), 0))
        sent.append(time.perf_counter())
        await send(number)
    return sent


async def obey(send: Send) -> None:
    """Until standard input ends."""
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        first, count, seconds = line.split()
        numbers = range(int(first), int(first) + int(count))
        sent = await (paced(send, numbers, float(seconds)) if float(seconds) else fast(send, numbers))
        print(json.dumps(sent), flush=True)


async def main(module: str) -> None:
    await obey(await importlib.import_module(module).sender())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
