"""Millstream as a queue of empty steps: a task of one document is a job, and parsing it does nothing but mark it.

`python -m bench.own_queue` is a worker process: the runner, attempts and loops of the product, two appends a job, with
a processor that does nothing. `sender` submits tasks through the deciders and the real append.
"""

import asyncio
import os
import random
import signal
import time
from contextlib import AsyncExitStack

import structlog

from bench.peers.marks import MARKER
from bench.peers.sending import Send
from domain.commands import RecordParsed
from domain.document import Accepted, DocumentState
from events.ids import IdFactory
from events.redis_clients import make_clients
from events.redis_inbox import RedisInbox
from events.redis_log import RedisLog
from events.redis_setup import open_installation
from events.steps import Step
from millstream.collecting import collect_seldom
from processors.documents import DocumentDeliveries
from processors.knowledge_bases import KnowledgeBases
from processors.liveness import beat_until, claim_until
from processors.patience import PatientLog
from processors.runner import Runner
from processors.settings import WorkerSettings
from processors.step import Done, Outcome, Work
from processors.timers import move_due_until
from processors.watch import look_until
from processors.workbench import Workbench
from tests.workshop import Workshop

SLOTS = 100
"""As many as the peers may have in hand."""


class EmptyStep:
    """Parsing without parsing; the document's name is the number of the job."""

    step = Step.PARSE
    time_limit_s = 60.0

    async def run(self, work: Work) -> Outcome:
        assert isinstance(work.document, Accepted)
        MARKER.mark(int(work.document.record.about.filename))
        return Done((RecordParsed(attempt=work.attempt, text_blob="text", parser="none", pages=1, characters=1),))

    async def abandon(self, work: Work, now: DocumentState) -> None:
        """There is nothing to take back."""


async def sender() -> Send:
    stack = AsyncExitStack()  # open until the process ends
    clients = await stack.enter_async_context(make_clients(os.environ["BENCH_REDIS_URL"]))
    keys = await open_installation(clients.commands, partitions=None)
    workshop = Workshop(RedisLog(clients.commands, clients.blocking, keys))
    bases = [await workshop.create(partition=partition) for partition in range(keys.partitions)]

    async def send(number: int) -> None:
        await workshop.submit(bases[number % len(bases)], 1, filename=str(number))

    return send


async def work(stop: asyncio.Event) -> None:
    """The loops of processors.worker around one step."""
    name, settings, rng = f"worker-{os.getpid()}", WorkerSettings(), random.Random()
    ids = IdFactory(lambda: time.time_ns() // 1_000_000, os.urandom)
    async with make_clients(os.environ["BENCH_REDIS_URL"]) as clients:
        keys = await open_installation(clients.commands, partitions=None)
        inbox = RedisInbox(clients.commands, clients.blocking, keys)
        log = PatientLog(RedisLog(clients.commands, clients.blocking, keys), random=rng.random)
        bench = Workbench(
            log=log, inbox=inbox, worker=name, clock_us=clock_us, new_event_id=ids.event, random=rng.random
        )
        runner = Runner(
            Step.PARSE,
            DocumentDeliveries(EmptyStep(), bench, KnowledgeBases(log, clock_us=clock_us)),
            inbox,
            consumer=name,
            partitions=keys.partitions,
            slots=SLOTS,
            take_wait_ms=settings.take_wait_ms,
            random=rng.random,
        )
        heartbeat_s, claim_s = settings.heartbeat_ms / 1_000, settings.claim_interval_ms / 1_000
        timer_s, watch_s = settings.timer_interval_ms / 1_000, settings.watch_interval_ms / 1_000
        async with asyncio.TaskGroup() as loops:
            loops.create_task(beat_until(stop, inbox, name, heartbeat_s=heartbeat_s))
            loops.create_task(claim_until(stop, inbox, [runner], name, interval_s=claim_s, lease_ms=settings.lease_ms))
            loops.create_task(move_due_until(stop, inbox, interval_s=timer_s))
            loops.create_task(look_until(stop, bench.watch, log, interval_s=watch_s))
            loops.create_task(runner.run(stop, settings.drain_s))


def clock_us() -> int:
    return time.time_ns() // 1_000


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))  # as a service at level warning
    collect_seldom()  # as every worker does
    await work(stop)


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
