"""The shell around the decisions, for one stream, on the log in memory."""

from itertools import count

import pytest

from domain import commands as c
from domain.deciders import DOCUMENT
from domain.document import Accepted, Cancelled, Indexed
from domain.errors import Contention, RefusalCode, Refused
from domain.handle import CONFLICTS_MAX, Context, handle, load
from events import ids
from events.inbox import Delivery, InboxKey
from events.memory import MemoryLog
from events.memory_inbox import MemoryInbox
from events.steps import Lane, Step
from tests.facts import ACCEPT, DOCUMENT_ID, OTHER_TASK_ID, TASK_ID, UNTIL_OPEN, result_of
from tests.unit.domain.busy_log import EVERYTHING_AFTER, PARSE, START, BusyLog, new_context, new_log

ACCEPT_AND_START: tuple[c.DocumentCommand, ...] = (ACCEPT, START)
CANCEL = c.CancelDocument(reason="no longer wanted")
INBOX = InboxKey(ids.partition_of(DOCUMENT_ID), Step.PARSE, Lane.INTERACTIVE)


@pytest.fixture
def log() -> MemoryLog:
    return new_log()


@pytest.fixture
def context() -> Context:
    return new_context()


async def types(log: MemoryLog, stream_id: str) -> list[str]:
    return [envelope.type for envelope in await log.history(stream_id)]


async def test_a_command_is_decided_and_its_events_are_in_the_log(log: MemoryLog, context: Context) -> None:
    handled = await handle(log, DOCUMENT, DOCUMENT_ID, ACCEPT_AND_START, context)

    assert await types(log, DOCUMENT_ID) == ["DocumentAccepted", "StepStarted"]
    assert handled.folded == await load(log, DOCUMENT, DOCUMENT_ID)
    assert handled.folded.version == 2


async def test_an_envelope_says_who_when_and_why(log: MemoryLog, context: Context) -> None:
    await handle(log, DOCUMENT, DOCUMENT_ID, ACCEPT_AND_START, context)

    first, second = await log.history(DOCUMENT_ID)
    assert (first.version, second.version) == (1, 2)
    assert first.event_id < second.event_id
    assert first.recorded_at_us < second.recorded_at_us
    for envelope in (first, second):
        assert (envelope.correlation_id, envelope.causation_id) == (TASK_ID, context.causation_id)
        assert (envelope.actor, envelope.trace_parent) == ("key-1", "00-trace")


async def test_a_repeated_command_appends_nothing(log: MemoryLog, context: Context) -> None:
    first = await handle(log, DOCUMENT, DOCUMENT_ID, [ACCEPT], context)
    again = await handle(log, DOCUMENT, DOCUMENT_ID, [ACCEPT], context)

    assert len(first.envelopes) == 1
    assert again.envelopes == ()
    assert again.folded == first.folded
    assert await types(log, DOCUMENT_ID) == ["DocumentAccepted"]


async def test_a_refused_command_appends_nothing_even_behind_one_that_was_decided(
    log: MemoryLog, context: Context
) -> None:
    again = c.RequestReprocessing(from_step=Step.FINISH, reason="again", task_id=OTHER_TASK_ID)
    commands: tuple[c.DocumentCommand, ...] = (ACCEPT, CANCEL, again)
    with pytest.raises(Refused) as refused:
        await handle(log, DOCUMENT, DOCUMENT_ID, commands, context)

    assert refused.value.code is RefusalCode.STEP_NOT_REACHED
    assert await log.history(DOCUMENT_ID) == []


async def test_where_another_writer_was_first_the_command_is_decided_anew(log: MemoryLog, context: Context) -> None:
    accepted = await handle(log, DOCUMENT, DOCUMENT_ID, [ACCEPT], context)
    busy = BusyLog(log, lambda: handle(log, DOCUMENT, DOCUMENT_ID, [CANCEL], context), times=1)

    handled = await handle(busy, DOCUMENT, DOCUMENT_ID, [START], context, known=accepted.folded)

    assert handled.envelopes == ()
    assert isinstance(handled.folded.state, Cancelled)
    assert await types(log, DOCUMENT_ID) == ["DocumentAccepted", "DocumentCancelled"]


async def test_of_two_workers_that_start_the_same_attempt_one_is_first(log: MemoryLog, context: Context) -> None:
    await handle(log, DOCUMENT, DOCUMENT_ID, [ACCEPT], context)
    other = c.StartStep(step=Step.PARSE, attempt=1, worker="w2")
    busy = BusyLog(log, lambda: handle(log, DOCUMENT, DOCUMENT_ID, [other], context), times=1)

    handled = await handle(busy, DOCUMENT, DOCUMENT_ID, [START], context)

    assert handled.envelopes == ()
    assert isinstance(handled.folded.state, Accepted)
    assert "w2" in str(handled.folded.state.activity)


async def test_a_command_that_makes_no_sense_any_more_is_refused_after_the_conflict(
    log: MemoryLog, context: Context
) -> None:
    await handle(log, DOCUMENT, DOCUMENT_ID, [ACCEPT], context)
    remove = c.RemoveDocument(reason="wrong file")
    busy = BusyLog(log, lambda: handle(log, DOCUMENT, DOCUMENT_ID, [remove], context), times=1)

    with pytest.raises(Refused) as refused:
        await handle(busy, DOCUMENT, DOCUMENT_ID, [CANCEL], context)
    assert refused.value.code is RefusalCode.DOCUMENT_ENDED


async def test_contention_without_end_is_given_up_and_nothing_was_appended(log: MemoryLog, context: Context) -> None:
    await handle(log, DOCUMENT, DOCUMENT_ID, [ACCEPT], context)
    attempts = count(1)

    async def start_again() -> None:
        start = c.StartStep(step=Step.PARSE, attempt=next(attempts), worker="w2")
        await handle(log, DOCUMENT, DOCUMENT_ID, [start], context)

    busy = BusyLog(log, start_again, times=10 * CONFLICTS_MAX)
    with pytest.raises(Contention):
        await handle(busy, DOCUMENT, DOCUMENT_ID, [CANCEL], context)

    assert busy.appends == CONFLICTS_MAX
    assert "DocumentCancelled" not in await types(log, DOCUMENT_ID)


async def take_one(log: MemoryLog) -> Delivery:
    (delivery,) = await MemoryInbox(log).take([INBOX], consumer="w1", count=1)
    return delivery


async def pending(log: MemoryLog) -> int:
    return (await MemoryInbox(log).depth(INBOX)).pending


async def test_a_delivery_is_acknowledged_together_with_the_events_that_it_led_to(
    log: MemoryLog, context: Context
) -> None:
    await handle(log, DOCUMENT, DOCUMENT_ID, [ACCEPT], context)
    delivery = await take_one(log)
    assert await pending(log) == 1

    await handle(log, DOCUMENT, DOCUMENT_ID, PARSE, context, acknowledge=delivery)

    assert await pending(log) == 0


async def test_a_delivery_that_leads_to_no_event_stays_with_its_consumer(log: MemoryLog, context: Context) -> None:
    await handle(log, DOCUMENT, DOCUMENT_ID, [ACCEPT], context)
    delivery = await take_one(log)

    zombie = result_of(Step.PARSE, attempt=1)
    handled = await handle(log, DOCUMENT, DOCUMENT_ID, [zombie], context, acknowledge=delivery)

    assert handled.envelopes == ()
    assert await pending(log) == 1


async def test_what_is_known_already_is_not_read_again(log: MemoryLog, context: Context) -> None:
    accepted = await handle(log, DOCUMENT, DOCUMENT_ID, [ACCEPT], context)
    alone = BusyLog(log, lambda: log.head(INBOX.partition), times=0)
    finished = await handle(alone, DOCUMENT, DOCUMENT_ID, EVERYTHING_AFTER, context, known=accepted.folded)

    assert isinstance(finished.folded.state, Indexed)
    assert (alone.appends, alone.histories) == (1, 0)
    assert finished.folded == await load(log, DOCUMENT, DOCUMENT_ID)


def test_the_open_states_of_an_upload_are_all_walked_through_above() -> None:
    steps = [command.step for command in EVERYTHING_AFTER if isinstance(command, c.StartStep)]
    assert steps == [step for step in UNTIL_OPEN if step is not Step.FETCH]
