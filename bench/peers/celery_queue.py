"""Celery with Redis as its broker: https://docs.celeryq.dev"""

import os

from celery import Celery

from bench.peers.marks import MARKER
from bench.peers.sending import Send

app = Celery("bench", broker=os.environ["BENCH_REDIS_URL"])
app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False)


def _step(number: int) -> None:
    MARKER.mark(number)


step = app.task(_step, name="step")


async def sender() -> Send:
    async def send(number: int) -> None:
        step.delay(number)

    return send
