"""Leases: who may answer, until when, and what whoever answers is told."""

import asyncio
import time
from collections.abc import Callable
from itertools import count

import pytest

from domain.document import Unknown
from events.envelope import Envelope
from events.ids import EventId, KnowledgeBaseId
from events.inbox import Delivery
from events.steps import Lane, Step
from processors.failures import WORKER_STOPPED
from processors.given_answer import GivenAnswer
from processors.lease_records import LeaseRecords, token_for
from processors.leased_work import EmbedAsked, Failed, VectorsMade
from processors.leases import Lease, LeaseDesk
from processors.leasing import HandedBack, LeasedDeliveries, Leasing
from processors.memory_lease_records import MemoryLeaseRecords
from processors.step import Done, Outcome, Reject, Retry, Superseded, Work, WorkerLost
from processors.verdicts import Lost, Recorded, Refused, Verdict

ASKED = EmbedAsked("hash", 2, ("a",))
ANSWER = VectorsMade([[1.0, 0.0]])
DELIVERY = Delivery(
    step=Step.EMBED,
    lane=Lane.INTERACTIVE,
    partition=0,
    entry_id="1-0",
    stream_id="doc_1",
    version=1,
    event_id=EventId("e"),
    correlation_id="task_1",
    knowledge_base_id=KnowledgeBaseId("kb_1"),
)


async def never(*_: object) -> None:
    raise AssertionError("nobody asks")


WORK = Work(
    delivery=DELIVERY,
    document=Unknown(),
    version=2,
    fence=2,
    attempt=1,
    worker="w",
    failures=(),
    record=never,  # type: ignore[arg-type]
    caught_up=never,  # type: ignore[arg-type]
    knowledge_base=never,  # type: ignore[arg-type]
    knowledge_base_now=never,  # type: ignore[arg-type]
)


def records_of_all() -> MemoryLeaseRecords:
    return MemoryLeaseRecords(lambda: time.monotonic_ns() // 1_000_000)


def desk_with(lease_s: float = 60, records: LeaseRecords | None = None) -> LeaseDesk:
    numbers = count(1)
    return LeaseDesk(
        records or records_of_all(),
        process="this",
        lease_s=lease_s,
        new_token=lambda partition: token_for(partition, f"lease-{next(numbers)}"),
        random=lambda: 0.5,
    )


def leasing_at(desk: LeaseDesk, on_silence: Callable[[], None] = lambda: None) -> Leasing:
    return Leasing(desk, "key", on_silence)


async def offered(leasing: Leasing) -> tuple[Lease, asyncio.Task[object]]:
    """A lease, and the step that waits for its answer."""
    asking: asyncio.Task[object] = asyncio.create_task(leasing.answer(WORK, ASKED))
    return await leasing.offered.get(), asking


async def test_an_answer_is_told_what_became_of_it_once_the_attempt_has_ended() -> None:
    cases: list[tuple[Outcome, Verdict | None]] = [
        (Done(()), Recorded()),
        (Retry("blob_store_full", "no room"), Refused("blob_store_full", "no room")),
        (Reject("embedding_invalid", "nan"), Refused("embedding_invalid", "nan")),
        (Superseded(), None),
    ]
    for outcome, verdict in cases:
        desk = desk_with()
        leasing = leasing_at(desk)
        lease, asking = await offered(leasing)
        giving = asyncio.create_task(desk.give(lease.token, "key", ANSWER))
        assert await asking == ANSWER
        assert not giving.done()
        leasing.ends_with(WORK, outcome)
        leasing.close(DELIVERY)
        assert await giving == verdict


async def test_the_next_batch_of_an_attempt_says_that_the_one_before_is_recorded() -> None:
    desk = desk_with()
    leasing = leasing_at(desk)
    first, asking = await offered(leasing)
    giving = asyncio.create_task(desk.give(first.token, "key", ANSWER))
    await asking
    second, waiting = await offered(leasing)

    assert await giving == Recorded()
    assert second.token != first.token
    waiting.cancel()


async def test_a_result_of_an_attempt_that_nobody_wants_is_lost() -> None:
    records = records_of_all()
    desk = desk_with(records=records)
    leasing = leasing_at(desk)
    lease, asking = await offered(leasing)
    giving = asyncio.create_task(desk.give(lease.token, "key", ANSWER))
    await asking
    leasing.ends_with(WORK, Done(()))
    leasing.is_unwanted(WORK)
    leasing.close(DELIVERY)

    assert await giving is None
    await desk.close(20)
    assert await records.find(lease.token) is None


async def test_an_answer_that_another_process_recorded_is_not_called_lost_here() -> None:
    """It is given here while the attempt, which the other has ended, is being laid down."""
    records = records_of_all()
    desk = desk_with(records=records)
    leasing = leasing_at(desk)
    lease, asking = await offered(leasing)
    await records.settle(lease.token, lease.record, Recorded(), by="that", kept_ms=60_000)
    asking.cancel()
    await asyncio.wait({asking})
    giving = asyncio.create_task(desk.give(lease.token, "key", ANSWER))
    await asyncio.sleep(0)
    assert not giving.done()
    leasing.is_unwanted(WORK)
    leasing.close(DELIVERY)

    assert await giving is None
    await desk.close(20)
    found = await records.find(lease.token)
    assert found is not None
    assert found.verdict == Recorded()


async def test_a_lease_runs_out_unless_it_is_renewed() -> None:
    desk, silences = desk_with(lease_s=0.05), list[str]()
    leasing = leasing_at(desk, lambda: silences.append("silent"))
    lease, asking = await offered(leasing)

    assert await desk.renew(lease.token, "key")
    with pytest.raises(WorkerLost):
        await asking
    assert silences == ["silent"], "whoever lets a lease run out gets nothing more"
    assert not await desk.renew(lease.token, "key")
    leasing.close(DELIVERY)
    assert await desk.give(lease.token, "key", ANSWER) is None


async def test_a_lease_that_is_renewed_in_another_process_lives() -> None:
    records, silences = records_of_all(), list[str]()
    desk = desk_with(lease_s=0.05, records=records)
    lease, asking = await offered(leasing_at(desk, lambda: silences.append("silent")))
    assert await records.renew(lease.token, for_ms=60_000)
    began_s = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() < began_s + 0.2:
        await asyncio.wait({asking}, timeout=0.05)

    assert not asking.done()
    assert await desk.give(lease.token, "nobody", ANSWER) is None
    desk.hand_back(lease, "the test is over")
    with pytest.raises(HandedBack):
        await asking
    assert silences == []


async def test_what_another_process_is_ending_is_not_ended_here() -> None:
    records = records_of_all()
    desk = desk_with(records=records)
    leasing = leasing_at(desk)
    lease, asking = await offered(leasing)
    assert await records.take(lease.token, lease.record, by="that", for_ms=60_000, right_ms=60_000)

    assert await desk.give(lease.token, "key", ANSWER) is None
    assert not asking.done()
    asking.cancel()
    leasing.close(DELIVERY)
    await desk.close(20)
    found = await records.find(lease.token)
    assert found is not None, "what became of it is the other's to say"
    assert found.verdict is None


async def test_every_process_learns_what_became_of_an_answer() -> None:
    records = records_of_all()
    desk = desk_with(records=records)
    leasing = leasing_at(desk)
    lease, asking = await offered(leasing)
    found = await records.find(lease.token)
    assert found is not None
    assert (found.record, found.verdict) == (lease.record, None)
    giving = asyncio.create_task(desk.give(lease.token, "key", ANSWER))
    await asking
    leasing.ends_with(WORK, Done(()))
    leasing.close(DELIVERY)
    assert await giving == Recorded()
    await desk.close(20)

    found = await records.find(lease.token)
    assert found is not None
    assert found.verdict == Recorded()
    assert await desk.give(lease.token, "key", ANSWER) is None, "whoever asks again reads it there"


async def test_an_answer_is_lent_once_and_only_to_what_was_asked() -> None:
    lease, asking = await offered(leasing_at(desk_with()))
    asking.cancel()
    given = GivenAnswer(lease.record, ANSWER)
    assert await given.answer(WORK, ASKED) == ANSWER
    with pytest.raises(HandedBack) as handed:
        await given.answer(WORK, EmbedAsked("hash", 2, ("b",)))
    assert handed.value.outcome.code == WORKER_STOPPED
    given.ends_with(WORK, handed.value.outcome)
    assert given.verdict == Recorded()

    late = GivenAnswer(lease.record, ANSWER)
    with pytest.raises(HandedBack) as handed:
        await late.answer(WORK, EmbedAsked("hash", 2, ("b",)))
    late.ends_with(WORK, handed.value.outcome)
    assert (handed.value.outcome.code, late.verdict) == (WORKER_STOPPED, Lost())


async def test_the_verdict_on_a_lent_answer_is_that_of_its_attempt() -> None:
    lease, asking = await offered(leasing_at(desk_with()))
    asking.cancel()
    cases: list[tuple[VectorsMade | Failed, Outcome, Verdict]] = [
        (ANSWER, Done(()), Recorded()),
        (ANSWER, Retry("blob_store_full", "no room"), Refused("blob_store_full", "no room")),
        (ANSWER, Superseded(), Lost()),
        (Failed(Reject("handwriting", "unreadable")), Reject("handwriting", "unreadable"), Recorded()),
    ]
    for answer, outcome, verdict in cases:
        given = GivenAnswer(lease.record, answer)
        given.ends_with(WORK, outcome)
        assert given.verdict == verdict
    given = GivenAnswer(lease.record, ANSWER)
    given.refuse(WORK, "bad_result", "too few")
    given.ends_with(WORK, Retry("embedding_invalid", "too few"))
    assert given.verdict == Refused("bad_result", "too few")
    broken = GivenAnswer(lease.record, ConnectionError("the store is away"))
    with pytest.raises(ConnectionError):
        await broken.answer(WORK, ASKED)


async def test_a_lease_is_its_holders_alone() -> None:
    desk = desk_with()
    lease, asking = await offered(leasing_at(desk))

    assert await desk.give(lease.token, "another key", ANSWER) is None
    assert desk.held(lease.token, "another key") is None
    assert desk.held(lease.token, "key") is lease
    asking.cancel()


async def test_whoever_stops_waiting_for_the_verdict_takes_nothing_back() -> None:
    desk = desk_with()
    leasing = leasing_at(desk)
    lease, asking = await offered(leasing)
    giving = asyncio.create_task(desk.give(lease.token, "key", ANSWER))
    await asking
    giving.cancel()
    leasing.ends_with(WORK, Done(()))
    leasing.close(DELIVERY)

    assert await desk.give(lease.token, "key", ANSWER) == Recorded()


async def test_a_failure_ends_the_attempt_and_is_recorded() -> None:
    desk = desk_with()
    leasing = leasing_at(desk)
    lease, asking = await offered(leasing)
    outcome = Reject("handwriting", "unreadable")
    giving = asyncio.create_task(desk.give(lease.token, "key", Failed(outcome)))
    with pytest.raises(HandedBack) as handed:
        await asking
    assert handed.value.outcome == outcome
    leasing.ends_with(WORK, outcome)
    leasing.is_unwanted(WORK)  # what a failed attempt left behind is taken back
    leasing.close(DELIVERY)

    assert await giving == Recorded()


async def test_what_is_open_when_the_service_stops_is_handed_back() -> None:
    desk = desk_with()
    await desk.drain(within_s=60)  # nothing is open
    leasing = leasing_at(desk)
    lease, asking = await offered(leasing)
    await desk.drain(within_s=0.01)

    with pytest.raises(HandedBack) as handed:
        await asking
    assert handed.value.outcome.code == WORKER_STOPPED
    assert not lease.is_open


async def test_what_a_worker_was_not_told_of_is_handed_back_when_it_leaves() -> None:
    desk = desk_with()
    leasing = leasing_at(desk)
    asking = asyncio.create_task(leasing.answer(WORK, ASKED))
    await asyncio.sleep(0)
    leasing.withdraw()

    with pytest.raises(HandedBack):
        await asking


async def test_what_is_asked_of_a_worker_that_has_left_is_handed_back_at_once() -> None:
    leasing = leasing_at(desk_with())
    leasing.withdraw()

    with pytest.raises(HandedBack) as handed:
        await asyncio.wait_for(leasing.answer(WORK, ASKED), 20)
    assert handed.value.outcome.code == WORKER_STOPPED
    assert leasing.offered.empty()


async def test_every_lease_ends_with_the_delivery_however_that_ends() -> None:
    desk = desk_with()
    leasing = leasing_at(desk)

    class Breaks:
        async def carry_out(
            self, _delivery: Delivery, _tries: int, _history: list[Envelope] | None = None
        ) -> float | None:
            await leasing.answer(WORK, ASKED)
            raise RuntimeError("a bug")

    carrying = asyncio.create_task(LeasedDeliveries(Breaks(), leasing).carry_out(DELIVERY, 1))
    lease = await leasing.offered.get()
    giving = asyncio.create_task(desk.give(lease.token, "key", ANSWER))
    with pytest.raises(RuntimeError):
        await carrying

    assert await giving is None
    await desk.drain(within_s=60)
