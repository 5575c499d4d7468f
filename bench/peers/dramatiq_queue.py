"""dramatiq with Redis as its broker: https://dramatiq.io"""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench.peers.marks import MARKER
from bench.peers.sending import Send

broker = RedisBroker(url=os.environ["BENCH_REDIS_URL"])
dramatiq.set_broker(broker)


def _step(number: int) -> None:
    MARKER.mark(number)


step = dramatiq.actor(_step, actor_name="step")


async def sender() -> Send:
    async def send(number: int) -> None:
        step.send(number)

    return send
