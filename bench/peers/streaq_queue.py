"""streaq: https://streaq.readthedocs.io"""

import os
from contextlib import AsyncExitStack

from streaq import Worker

from bench.peers.marks import MARKER
from bench.peers.sending import Send

worker = Worker(redis_url=os.environ["BENCH_REDIS_URL"], concurrency=100)


async def _step(number: int) -> None:
    MARKER.mark(number)


step = worker.task(ttl=0)(_step)


async def sender() -> Send:
    stack = AsyncExitStack()  # open until the process ends
    await stack.enter_async_context(worker)

    async def send(number: int) -> None:
        await step.enqueue(number)

    return send
