"""taskiq on Redis streams, which acknowledges what was done: https://taskiq-python.github.io"""

import os

from taskiq_redis import RedisStreamBroker

from bench.peers.marks import MARKER
from bench.peers.sending import Send

broker = RedisStreamBroker(url=os.environ["BENCH_REDIS_URL"])


async def _step(number: int) -> None:
    MARKER.mark(number)


step = broker.task(task_name="step")(_step)


async def sender() -> Send:
    await broker.startup()

    async def send(number: int) -> None:
        await step.kiq(number)

    return send
