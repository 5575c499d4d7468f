"""arq: https://arq-docs.helpmanual.io"""

import os
from typing import Any, ClassVar

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import func

from bench.peers.marks import MARKER
from bench.peers.sending import Send

REDIS = RedisSettings.from_dsn(os.environ["BENCH_REDIS_URL"])


async def step(_: dict[str, Any], number: int) -> None:
    MARKER.mark(number)


class WorkerSettings:
    """What `arq` reads; no results are kept, and the queue is asked as often as it may sensibly be."""

    functions: ClassVar = [func(step, keep_result=0)]
    redis_settings = REDIS
    max_jobs = 100
    poll_delay = 0.001


async def sender() -> Send:
    pool = await create_pool(REDIS)

    async def send(number: int) -> None:
        await pool.enqueue_job("step", number)

    return send
