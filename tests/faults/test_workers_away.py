"""Workers that are not dead but might as well be: frozen, slow, blocked, stopped; and pointers that come twice."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from domain.status import DocumentPhase
from events.document import StepFailed
from events.envelope import Envelope
from events.ids import partition_of
from events.pointer import INBOX_CODES, Pointer, pack_pointer
from events.routing import ToInbox, ToInboxWhenTaskEnds, route
from millstream.stores import Stores
from tests.faults.checker import looking_into, verdict
from tests.faults.documents import evidence_of, status, submit_each, texts
from tests.faults.evidence import Evidence
from tests.faults.history import History, Outcome
from tests.faults.mill import Mill, Role
from tests.faults.results import ROUNDS, recorded
from tests.faults.scenes import (
    SLOW_FILE,
    SMALL_CHUNKS,
    SURVIVOR,
    VICTIM,
    frozen,
    log_times,
    many_chunks,
    started_at,
    state_hash,
)
from tests.waiting import poll

DRAIN_S = 1
LEASE_S = 2.0
STOP_S_MAX = 10.0
PICKED_UP_S_MAX = 2.0
QUEUED = 30
BATCH = 64
AWAY = (
    ("F-03", "worker.parsed", "stop"),
    ("F-03", "worker.batch_embedded", "stop"),
    ("F-03", "worker.rows_written", "stop"),
    ("F-57", "worker.chunked", "sleep:5@3"),
)
"""Faults, in the order in which one worker meets them, a document each: three times it is frozen, then its event loop
is blocked for longer than a lease. The fourth document is the third that it cuts: the first it did not come to."""


@pytest.fixture(scope="module")
def mill() -> Iterator[Mill]:
    """One worker that stays and one that things happen to, step by step; a drain is too short for a slow document."""
    with Mill({"MILLSTREAM_DRAIN_S_MAX": str(DRAIN_S), "MILLSTREAM_THROUGH_BYTES_MAX": "0"}) as started:
        yield started.start_all(workers=[SURVIVOR])


@pytest.mark.timeout(300 * ROUNDS)
def test_what_a_worker_does_after_others_finished_its_work_changes_nothing(mill: Mill, history: History) -> None:
    armed = "; ".join(f"{place}={action}" for _, place, action in AWAY)
    for turn in range(ROUNDS):
        if mill.is_running(VICTIM):
            mill.kill(VICTIM)
        mill.start(Role.WORKER, VICTIM, failpoints=armed)
        for fault, place, action in AWAY:
            with recorded(fault, f"worker away at {place}", f"{action}, others finish, it comes back") as row:
                kb = history.create(place, settings=SMALL_CHUNKS)
                with frozen(mill, SURVIVOR):
                    history.submit(kb, [(f"{turn} {place}.txt", many_chunks(2, BATCH, f"{turn} {place}"))])
                    mill.wait_for_failpoint(place)
                    refused = len(log_times(mill, VICTIM, "attempt_superseded"))
                judged = verdict(mill, history, kb).assert_clean()
                assert judged.attempts_max == 2, "nobody took over"
                before = state_hash(mill, kb)
                mill.cont(VICTIM)
                wait_for_refusal(mill, after=refused)
                verdict(mill, history, kb).assert_clean()
                assert state_hash(mill, kb) == before
                row.add({**judged.figures, "refused": 1, "state_changed": 0})


def test_what_came_in_while_every_worker_was_dead_is_worked_off(mill: Mill, history: History) -> None:
    kb = history.create("F-06")
    with recorded("F-06", "all workers dead", "kill -9 of both, uploads go on, both back") as row:
        with_victim(mill)
        mill.kill(SURVIVOR)
        mill.kill(VICTIM)
        calls = submit_each(history, kb, texts(QUEUED, "queued"))
        assert {call.outcome for call in calls} == {Outcome.OK}
        assert {status(history, kb, call.document_ids[0]).status for call in calls} == {DocumentPhase.QUEUED}
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(mill.revive, (SURVIVOR, VICTIM)))
        row.add(verdict(mill, history, kb).assert_clean().figures)


def test_a_step_that_takes_longer_than_a_lease_is_not_taken_from_its_worker(mill: Mill, history: History) -> None:
    kb = history.create("F-05")
    with recorded("F-05", "lease shorter than a step", "lease 2 s, parsing 4 MB of empty table") as row:
        with_victim(mill)
        call = history.submit(kb, [SLOW_FILE])
        judged = verdict(mill, history, kb, within_s=40).assert_clean()
        evidence = evidence_of(mill)
        step_s = seconds_of_parse(evidence, call.document_ids[0])
        row.add({**judged.figures, "step_s": step_s})
        assert step_s > LEASE_S, "the document was not slow enough to show anything"
        assert judged.attempts_max == 1, "a living worker was robbed"


def test_a_stopping_worker_hands_over_and_others_go_on_at_once(mill: Mill, history: History) -> None:
    kb = history.create("F-07")
    with recorded(
        "F-07", "SIGTERM in the middle of work", f"SIGTERM, drain {DRAIN_S} s, in the middle of a parse"
    ) as row:
        if not mill.is_running(VICTIM):
            mill.start(Role.WORKER, VICTIM)
        with frozen(mill, SURVIVOR):
            slow = history.submit(kb, [SLOW_FILE]).document_ids[0]
            poll(lambda: status(history, kb, slow).status is DocumentPhase.PARSING, "the slow document is parsed")
            quick = [one for call in submit_each(history, kb, texts(3, "quick")) for one in call.document_ids]
        code, seconds = mill.terminate(VICTIM)
        gone_at = time.time()
        judged = verdict(mill, history, kb, within_s=40).assert_clean()
        evidence = evidence_of(mill)
        handed = [one for one in (slow, *quick) if was_handed_over(evidence, one)]
        late_s = [min(started_at(evidence, one, SURVIVOR)) - gone_at for one in handed]
        row.add({**judged.figures, "exit_code": code, "stopped_s": seconds, "handed_over": len(handed)})
        row.tell(picked_up_after_s=max(late_s))
        assert code == 0
        assert seconds <= STOP_S_MAX
        assert slow in handed
        assert max(late_s) <= PICKED_UP_S_MAX


def test_pointers_that_come_again_lead_to_nothing_new(mill: Mill, history: History) -> None:
    kb = history.create("F-41")
    with recorded("F-41", "duplicate deliveries", "every pointer added to its inbox twice more") as row:
        with frozen(mill, *(name for name in (SURVIVOR, VICTIM) if mill.is_running(name))):
            submit_each(history, kb, texts(10, "twice"))
            waiting = asyncio.run(again(mill, history, is_over=False))
        first = verdict(mill, history, kb).assert_clean()
        before = state_hash(mill, kb)
        after = asyncio.run(again(mill, history, is_over=True))
        judged = verdict(mill, history, kb).assert_clean()
        assert state_hash(mill, kb) == before
        assert judged.events == first.events, "a pointer to work that is done led to an event"
        row.add({**judged.figures, "pointers_again": waiting + after})


def with_victim(mill: Mill) -> None:
    """Two workers are up, and nothing is armed that has not fired."""
    if not mill.is_running(VICTIM):
        mill.start(Role.WORKER, VICTIM)


def wait_for_refusal(mill: Mill, *, after: int) -> None:
    """Returns when the victim has been told once more than `after` times that its result came too late."""
    poll(lambda: len(log_times(mill, VICTIM, "attempt_superseded")) > after, "the late result was refused")


async def again(mill: Mill, history: History, *, is_over: bool) -> int:
    """Adds every pointer of this history's tasks twice more: of what waits, or of everything that ever did."""
    tasks = {call.task_id for call in history.accepted}
    async with looking_into(mill) as stores:
        evidence = await Evidence.read(stores.log)
        mine = [envelope for envelope in evidence.envelopes if envelope.correlation_id in tasks]
        added = [await _add_again(stores, evidence, envelope) for envelope in mine for _ in range(2)]
    assert bool(evidence.open_documents) is not is_over
    return sum(added)


async def _add_again(stores: Stores, evidence: Evidence, envelope: Envelope) -> int:
    task = evidence.tasks[envelope.correlation_id].state
    pointer = Pointer(
        stream_id=envelope.stream_id,
        version=envelope.version,
        event_id=envelope.event_id,
        correlation_id=envelope.correlation_id,
        knowledge_base_id=task.submitted.knowledge_base_id,
    )
    steps = [one.step for one in route(envelope.event) if isinstance(one, ToInbox | ToInboxWhenTaskEnds)]
    for step in steps:
        lane = task.submitted.lane
        assert (step, lane) in INBOX_CODES
        inbox = stores.keys.inbox(partition_of(envelope.stream_id), step, lane)
        await stores.clients.commands.xadd(inbox, {"p": pack_pointer(pointer)})
    return len(steps)


def seconds_of_parse(evidence: Evidence, document: str) -> float:
    """From its first start to its result."""
    history = {type(one.event).__name__: one.recorded_at_us for one in reversed(evidence.of_document(document))}
    return (history["DocumentParsed"] - history["StepStarted"]) / 1_000_000


def was_handed_over(evidence: Evidence, document: str) -> bool:
    """Whether a worker said that it stopped before a step of the document had ended."""
    events = [one.event for one in evidence.of_document(document)]
    return any(isinstance(event, StepFailed) and event.code == "worker_stopped" for event in events)
