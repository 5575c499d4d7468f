"""SAQ on Redis: https://saq-py.readthedocs.io"""

import os
from typing import Any

from saq import Queue

from bench.peers.marks import MARKER
from bench.peers.sending import Send

queue = Queue.from_url(os.environ["BENCH_REDIS_URL"])


async def step(_: Any, *, number: int) -> None:
    MARKER.mark(number)


settings = {"queue": queue, "functions": [step], "concurrency": 100}


async def sender() -> Send:
    await queue.connect()

    async def send(number: int) -> None:
        await queue.enqueue("step", number=number, ttl=-1)

    return send
