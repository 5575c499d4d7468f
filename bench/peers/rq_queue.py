"""RQ: https://python-rq.org"""

import os

from redis import Redis
from rq import Queue

from bench.peers.marks import step
from bench.peers.sending import Send


async def sender() -> Send:
    queue = Queue("default", connection=Redis.from_url(os.environ["BENCH_REDIS_URL"]))

    async def send(number: int) -> None:
        queue.enqueue(step, number, result_ttl=0)

    return send
