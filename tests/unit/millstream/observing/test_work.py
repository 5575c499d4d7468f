"""Who watches a worker is told of each attempt as it was; every line that is logged meanwhile says what it was for."""

import asyncio
import io
import json
import logging

import msgspec
import structlog

from events.document import StepStarted
from events.envelope import Position
from events.ids import DocumentId
from events.inbox import Delivery
from events.steps import Step
from events.trace_context import traced_by
from millstream.observing import catalogue
from millstream.observing.exposition import exposed
from millstream.observing.registry import Registry
from millstream.observing.work import MeasuredAttempts, MeasuredCommits
from processors.documents import DocumentDeliveries
from processors.knowledge_bases import KnowledgeBases
from processors.observing import Ended
from processors.runner import Runner
from processors.step import Outcome, Retry, Work
from tests.event_samples import accepted, new_document, new_knowledge_base, new_task, write
from tests.prometheus_text import Metric, read
from tests.unit.processors.mill import PARTITIONS, WORKER, Mill, Obedient, done

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Watched(MeasuredAttempts):
    """A mill whose attempts are measured, and kept as they were told."""

    def __init__(self, mill: Mill) -> None:
        self.mill = mill
        self.attempts: list[Ended] = []
        self._figures = Registry()
        super().__init__(self._figures)

    def ended(self, attempt: Ended) -> None:
        self.attempts.append(attempt)
        super().ended(attempt)

    def metrics(self) -> dict[str, Metric]:
        return read(exposed(self._figures).decode())

    def deliveries(self, processor: Obedient) -> DocumentDeliveries:
        bench = msgspec.structs.replace(self.mill.bench(), observer=self)
        return DocumentDeliveries(processor, bench, KnowledgeBases(self.mill.log, clock_us=self.mill.clock))


async def one_document(trace_parent: str | None = None) -> tuple[Mill, DocumentId, Delivery]:
    mill = Mill()
    with traced_by(trace_parent):
        await mill.create()
        _, (document,) = await mill.submit()
    return mill, document, await mill.take_one(Step.PARSE)


async def test_an_attempt_is_told_with_its_times_and_what_came_of_it() -> None:
    mill, document, delivery = await one_document()
    watched = Watched(mill)
    mill.clock.advance(3)

    async def work(work: Work) -> Outcome:
        assert watched.metrics()["millstream_worker_attempts_running"].value(step="parse") == 1
        mill.clock.advance(2)
        return Retry("provider_unavailable", "away")

    await watched.deliveries(Obedient(work)).carry_out(delivery, 1)
    (told,) = watched.attempts
    assert (told.document, told.task, told.number, told.worker) == (document, delivery.correlation_id, 1, WORKER)
    assert (told.outcome, told.code) == ("retry", "provider_unavailable")
    assert (told.began_us - told.asked_us, told.ran_us - told.began_us) == (3_000_000, 2_000_000)
    metrics = watched.metrics()
    assert metrics["millstream_worker_attempts_running"].value(step="parse") == 0
    labels = {"step": "parse", "outcome": "retry", "code": "provider_unavailable"}
    assert metrics["millstream_worker_attempts_total"].value(**labels) == 1
    assert metrics["millstream_worker_queue_wait_seconds"].samples[_sum("queue_wait")] == 3
    assert metrics["millstream_worker_run_seconds"].samples[_sum("run")] == 2


async def test_a_retry_waits_in_the_queue_from_when_it_is_due_and_not_from_the_failure() -> None:
    mill, _, delivery = await one_document()
    watched = Watched(mill)
    answers = iter([Retry("provider_unavailable", "away", retry_after_s=60.0), None])

    async def work(work: Work) -> Outcome:
        return next(answers) or await done(work)

    deliveries = watched.deliveries(Obedient(work))
    await deliveries.carry_out(delivery, 1)
    mill.clock.advance(600)
    await mill.inbox.move_due(delivery.partition)
    await deliveries.carry_out(await mill.take_one(Step.PARSE), 1)
    second = watched.attempts[1]
    # Due after a minute at least, with some jitter; without the delay it would be ten minutes.
    assert second.began_us - second.asked_us <= 540_000_000
    assert second.outcome == "done"


def test_a_page_waits_for_the_views_from_its_append_and_not_from_when_its_events_came_to_pass() -> None:
    figures, task, base = Registry(), new_task(0), new_knowledge_base(0)
    begun = write(new_document(0), 0, accepted(task, base), knowledge_base=base, task=task)
    appended = msgspec.structs.replace(begun.envelopes[0], recorded_at_us=1_000_000, position=Position(1, 5_000, 0))

    MeasuredCommits(figures, clock_us=lambda: 5_250_000).committed(0, [appended], 5_200_000)

    name = catalogue.VISIBLE_SECONDS.name
    assert read(exposed(figures).decode())[name].samples[f"{name}_sum", ()] == 0.25


async def test_what_an_upload_leads_to_belongs_to_its_trace_and_other_work_to_none() -> None:
    for parent in (PARENT, None):
        mill, document, delivery = await one_document(parent)
        watched = Watched(mill)
        await watched.deliveries(Obedient(done)).carry_out(delivery, 1)
        (told,) = watched.attempts
        history = await mill.log.history(document)
        assert {envelope.trace_parent for envelope in history} == {parent}
        assert any(isinstance(envelope.event, StepStarted) for envelope in history)
        assert told.trace_parent == parent


async def test_every_line_that_a_step_logs_says_what_it_was_for_whoever_writes_it(log_lines: io.StringIO) -> None:
    mill, document, delivery = await one_document()
    watched, has_run = Watched(mill), asyncio.Event()

    async def work(work: Work) -> Outcome:
        logging.getLogger("a.library").warning("a page without text")
        structlog.get_logger().info("ours")
        await asyncio.to_thread(logging.getLogger("in.a.thread").warning, "slow")
        has_run.set()
        return await done(work)

    runner = Runner(
        Step.PARSE,
        watched.deliveries(Obedient(work)),
        mill.inbox,
        consumer=WORKER,
        partitions=PARTITIONS,
        slots=1,
        take_wait_ms=1,
        random=lambda: 0.5,
    )
    runner.begin([delivery])
    async with asyncio.timeout(20):
        await has_run.wait()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
    structlog.get_logger().info("afterwards")
    lines = [json.loads(line) for line in log_lines.getvalue().splitlines()]
    *within, afterwards = [line for line in lines if line["level"] != "debug"]
    assert {line["event"] for line in within} == {"a page without text", "ours", "slow", "attempt_ended"}
    for line in within:
        named = (line["task"], line["document"], line["step"], line["attempt"])
        assert named == (delivery.correlation_id, document, "parse", 1)
    assert "task" not in afterwards


def _sum(part: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return f"{catalogue.QUEUE_SECONDS.name.replace('queue_wait', part)}_sum", (("step", "parse"),)
