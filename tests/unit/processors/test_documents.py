"""What becomes of one delivery: outcomes, redeliveries, zombies, poison."""

import asyncio
import copy

import pytest

from blobs.errors import BlobMissing, BlobStoreUnavailable
from domain.commands import CancelDocument, RemoveDocument, StartStep
from domain.document import Accepted, Cancelled, DocumentState, Failed, Parsed, Removed, Running, Waiting
from domain.errors import RefusalCode, Refused
from events.document import DocumentCancelled, DocumentFailed, DocumentParsed, StepFailed, StepStarted
from events.inbox import Delivery, InboxDepth
from events.steps import Step
from knowledge.errors import EmbeddingError, IndexUnavailable, ParseError, ParseErrorCode
from processors.failures import MESSAGE_CHARS_MAX
from processors.step import Done, Drop, Outcome, Retry, Superseded, Work
from tests.unit.processors.mill import Mill, Obedient, answering, done, raising, result_of

NOTHING = InboxDepth(waiting=0, pending=0)
IN_HAND = InboxDepth(waiting=0, pending=1)


@pytest.fixture
def mill() -> Mill:
    return Mill()


async def deliver(mill: Mill, processor: Obedient) -> tuple[str, Delivery]:
    """Submits a document and carries out its delivery."""
    _, (document,) = await mill.submit()
    delivery = await mill.take_one(processor.step)
    assert await mill.deliveries(processor).carry_out(delivery, 1) is None
    return document, delivery


async def come_due(mill: Mill, document: str) -> None:
    """Time passes until the retry of the document lies in its inbox again."""
    mill.clock.advance(600)
    assert sum([await mill.inbox.move_due(partition) for partition in range(mill.log.partitions)]) == 1


async def test_a_history_that_came_along_and_is_behind_by_now_begins_nothing_twice(mill: Mill) -> None:
    _, (document,) = await mill.submit()
    delivery = await mill.take_one(Step.PARSE)
    behind = await mill.log.history(document)
    first, second = Obedient(done), Obedient(done)
    await mill.deliveries(first).carry_out(delivery, 1)
    before = await mill.history(document)
    assert await mill.deliveries(second, "worker-2").carry_out(delivery, 1, behind) is None
    assert (len(first.attempts), second.attempts) == (1, [])
    assert await mill.history(document) == before


async def test_with_a_history_that_came_along_the_log_is_not_asked_for_it(
    mill: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, (document,) = await mill.submit()
    delivery, processor = await mill.take_one(Step.PARSE), Obedient(done)
    along = await mill.log.history(document)
    monkeypatch.setattr(mill.log, "history", None)
    await mill.deliveries(processor).carry_out(delivery, 1, along)
    assert len(processor.attempts) == 1


class LosingTheEnd(Obedient):
    """The log goes back to what it was at first while what was done is taken back."""

    def __init__(self, mill: Mill, partition: int) -> None:
        super().__init__(done)
        self._mill = mill
        self._partition = partition
        self._backup = copy.deepcopy(mill.log.store.partitions[partition])

    async def abandon(self, work: Work, now: DocumentState) -> None:
        await super().abandon(work, now)
        self._mill.log.store.partitions[self._partition] = self._backup


async def test_a_delivery_that_a_log_without_its_end_asks_for_again_stays(mill: Mill) -> None:
    _, (document,) = await mill.submit()
    delivery = await mill.take_one(Step.PARSE)
    losing = LosingTheEnd(mill, delivery.partition)
    await mill.say(document, CancelDocument())
    assert await mill.deliveries(losing).carry_out(delivery, 1) is None
    assert [type(state) for state in losing.abandoned] == [Cancelled]
    assert await mill.depth(Step.PARSE) == IN_HAND, "nobody else would ever take it up"
    assert await mill.deliveries(Obedient(done)).carry_out(delivery, 1) is None
    assert isinstance(await mill.document(document), Parsed)


async def test_a_result_enters_the_log_and_takes_the_delivery_out(mill: Mill) -> None:
    document, delivery = await deliver(mill, Obedient(done))
    assert [type(event) for event in (await mill.history(document))[1:]] == [StepStarted, DocumentParsed]
    assert await mill.depth(Step.PARSE) == NOTHING
    assert await mill.depth(Step.CHUNK) == InboxDepth(waiting=1, pending=0)
    envelopes = (await mill.log.history(document))[1:]
    assert {one.causation_id for one in envelopes} == {delivery.event_id}
    assert {one.correlation_id for one in envelopes} == {delivery.correlation_id}


async def test_a_retry_is_due_when_the_policy_says_and_runs_as_the_next_attempt(mill: Mill) -> None:
    processor = Obedient(answering(Retry("odd", "try again")))
    document, _ = await deliver(mill, processor)
    failed = (await mill.history(document))[-1]
    assert isinstance(failed, StepFailed)
    assert failed.retry_at_us == mill.clock.now_us + 500_000
    assert await mill.depth(Step.PARSE) == NOTHING
    assert await mill.take(Step.PARSE) == []
    await come_due(mill, document)
    await mill.deliveries(processor).carry_out(await mill.take_one(Step.PARSE), 1)
    assert [work.attempt for work in processor.attempts] == [1, 2]
    assert processor.attempts[1].failures == ("odd",)


async def test_a_provider_that_asks_for_time_is_given_it(mill: Mill) -> None:
    error = EmbeddingError("provider_429", "slow down", retry_after_s=40)
    document, _ = await deliver(mill, Obedient(raising(error)))
    failed = (await mill.history(document))[-1]
    assert isinstance(failed, StepFailed)
    assert failed.retry_at_us >= mill.clock.now_us + 40_000_000


async def test_the_fifth_failure_is_a_dead_letter(mill: Mill) -> None:
    processor = Obedient(answering(Retry("odd", "try again")))
    document, _ = await deliver(mill, processor)
    for _ in range(4):
        await come_due(mill, document)
        await mill.deliveries(processor).carry_out(await mill.take_one(Step.PARSE), 1)
    state = await mill.document(document)
    assert isinstance(state, Failed)
    assert state.code == "odd"
    assert len(processor.attempts) == 5
    assert [name for partition in range(2) for name in mill.log.dead_letters(partition)] == [document]


async def test_an_outage_is_waited_out_and_burns_no_attempt(mill: Mill) -> None:
    processor = Obedient(raising(BlobStoreUnavailable("refused")))
    document, _ = await deliver(mill, processor)
    for _ in range(20):
        await come_due(mill, document)
        await mill.deliveries(processor).carry_out(await mill.take_one(Step.PARSE), 1)
    assert isinstance(await mill.document(document), Accepted)
    odd = Obedient(answering(Retry("odd", "try again")))
    for _ in range(4):
        await come_due(mill, document)
        await mill.deliveries(odd).carry_out(await mill.take_one(Step.PARSE), 1)
        assert isinstance(await mill.document(document), Accepted)
    await come_due(mill, document)
    await mill.deliveries(odd).carry_out(await mill.take_one(Step.PARSE), 1)
    assert isinstance(await mill.document(document), Failed)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ParseError(ParseErrorCode.ENCRYPTED_DOCUMENT, "a password is needed"), "encrypted_document"),
        (EmbeddingError("provider_401", "who are you", is_permanent=True), "provider_401"),
        (BlobMissing("documents/x/source"), "blob_missing"),
        (Refused(RefusalCode.UNKNOWN_KNOWLEDGE_BASE, "gone"), "unknown_knowledge_base"),
    ],
)
async def test_what_cannot_get_better_is_a_dead_letter_at_once(mill: Mill, error: Exception, code: str) -> None:
    document, _ = await deliver(mill, Obedient(raising(error)))
    state = await mill.document(document)
    assert isinstance(state, Failed)
    assert state.code == code
    assert await mill.depth(Step.PARSE) == NOTHING


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EmbeddingError("provider_500", "x" * 100_000), "provider_500"),
        (IndexUnavailable("locked"), "index_unavailable"),
        (KeyError("a bug"), "internal_error"),
        (TimeoutError("the processor's own"), "internal_error"),
    ],
)
async def test_what_may_get_better_is_tried_again(mill: Mill, error: Exception, code: str) -> None:
    document, _ = await deliver(mill, Obedient(raising(error)))
    failed = (await mill.history(document))[-1]
    assert isinstance(failed, StepFailed)
    assert failed.code == code
    assert len(failed.message) <= MESSAGE_CHARS_MAX


async def test_an_internal_error_keeps_its_details_out_of_the_status(mill: Mill) -> None:
    document, _ = await deliver(mill, Obedient(raising(KeyError("secret-canary"))))
    failed = (await mill.history(document))[-1]
    assert isinstance(failed, StepFailed)
    assert "canary" not in failed.message


async def test_an_attempt_that_takes_too_long_is_cut_off(mill: Mill) -> None:
    async def hang(_: Work) -> Outcome:
        await asyncio.Event().wait()
        return Drop("never")

    document, _ = await deliver(mill, Obedient(hang, time_limit_s=0.01))
    failed = (await mill.history(document))[-1]
    assert isinstance(failed, StepFailed)
    assert failed.code == "time_limit"


async def test_a_document_of_a_deleted_knowledge_base_goes_the_same_way(mill: Mill) -> None:
    document, _ = await deliver(mill, Obedient(raising(Refused(RefusalCode.KNOWLEDGE_BASE_DELETED, "gone"))))
    assert isinstance(await mill.document(document), Removed)
    assert await mill.depth(Step.ERASE) == InboxDepth(waiting=1, pending=0)
    assert await mill.depth(Step.PARSE) == NOTHING


async def test_a_redelivery_of_what_is_done_is_acknowledged_without_an_event(mill: Mill) -> None:
    processor = Obedient(done)
    _, (document,) = await mill.submit()
    delivery = await mill.take_one(Step.PARSE)
    await mill.say(document, StartStep(step=Step.PARSE, attempt=1, worker="w"), result_of(Step.PARSE, 1))
    before = await mill.history(document)
    await mill.deliveries(processor).carry_out(delivery, 1)
    assert processor.attempts == []
    assert await mill.history(document) == before
    assert await mill.depth(Step.PARSE) == NOTHING


async def test_a_delivery_older_than_the_last_call_is_a_duplicate(mill: Mill) -> None:
    """A rebuilt inbox may hold the pointer of the first attempt beside the timer of the second."""
    _, (document,) = await mill.submit()
    delivery = await mill.take_one(Step.PARSE)
    await mill.deliveries(Obedient(answering(Retry("odd", "later")))).carry_out(delivery, 1)
    processor = Obedient(done)
    await mill.deliveries(processor).carry_out(delivery, 1)
    assert processor.attempts == []
    assert isinstance(await mill.document(document), Accepted)


async def test_an_attempt_that_the_document_waits_for_cannot_be_dropped(mill: Mill) -> None:
    document, _ = await deliver(mill, Obedient(answering(Drop("no mood"))))
    assert [type(event) for event in (await mill.history(document))[1:]] == [StepStarted, StepFailed]
    assert await mill.depth(Step.PARSE) == NOTHING


async def test_a_zombies_result_is_refused_and_the_new_owners_delivery_stays(mill: Mill) -> None:
    _, (document,) = await mill.submit()
    is_asleep, wakes = asyncio.Event(), asyncio.Event()

    async def sleep(work: Work) -> Outcome:
        is_asleep.set()
        await wakes.wait()
        return await done(work)

    zombie = Obedient(sleep)
    lost = asyncio.create_task(mill.deliveries(zombie).carry_out(await mill.take_one(Step.PARSE), 1))
    await is_asleep.wait()
    mill.clock.advance(120)
    (claimed,) = await mill.claim(Step.PARSE, "worker-2", silent_ms_min=60_000)
    is_at_work, may_finish = asyncio.Event(), asyncio.Event()

    async def work_on(work: Work) -> Outcome:
        is_at_work.set()
        await may_finish.wait()
        return await done(work)

    heir = Obedient(work_on)
    owned = asyncio.create_task(mill.deliveries(heir, "worker-2").carry_out(claimed, 1))
    await is_at_work.wait()
    wakes.set()
    await lost
    assert isinstance(await mill.document(document), Accepted)
    assert await mill.depth(Step.PARSE) == IN_HAND
    assert [type(state) for state in zombie.abandoned] == [Accepted]
    may_finish.set()
    await owned
    assert isinstance(await mill.document(document), Parsed)
    assert await mill.depth(Step.PARSE) == NOTHING
    assert (heir.attempts[0].attempt, heir.abandoned) == (2, [])


async def test_a_zombie_that_never_started_leaves_the_delivery_to_the_attempt_under_way(mill: Mill) -> None:
    _, (document,) = await mill.submit()
    delivery = await mill.take_one(Step.PARSE)
    processor = Obedient(done)
    deliveries = mill.deliveries(processor)
    history = mill.log.history
    is_first = True

    async def history_then_others(stream_id: str, *, after_version: int = 0) -> object:
        nonlocal is_first
        seen = await history(stream_id, after_version=after_version)
        if is_first:
            is_first = False
            await mill.say(document, StartStep(step=Step.PARSE, attempt=1, worker="worker-2"))
        return seen

    mill.log.history = history_then_others  # type: ignore[method-assign,assignment]
    await deliveries.carry_out(delivery, 1)
    assert processor.attempts == []
    assert await mill.depth(Step.PARSE) == IN_HAND
    state = await mill.document(document)
    assert isinstance(state, Accepted)
    assert isinstance(state.activity, Running)
    assert state.activity.worker == "worker-2"


@pytest.mark.parametrize("command", [CancelDocument(), RemoveDocument()])
async def test_a_result_that_nobody_wants_any_more_is_acknowledged_and_taken_back(
    mill: Mill, command: CancelDocument | RemoveDocument
) -> None:
    _, (document,) = await mill.submit()

    async def meanwhile(work: Work) -> Outcome:
        await mill.say(document, command)
        return await done(work)

    processor = Obedient(meanwhile)
    await mill.deliveries(processor).carry_out(await mill.take_one(Step.PARSE), 1)
    (state,) = processor.abandoned
    assert isinstance(state, Cancelled | Removed)
    assert await mill.depth(Step.PARSE) == NOTHING
    assert DocumentParsed not in {type(event) for event in await mill.history(document)}


async def test_a_processor_that_notices_is_believed(mill: Mill) -> None:
    _, (document,) = await mill.submit()

    async def notice(work: Work) -> Outcome:
        await mill.say(document, CancelDocument())
        assert not await work.record(result_of(Step.PARSE, work.attempt))
        return Superseded()

    await mill.deliveries(Obedient(notice)).carry_out(await mill.take_one(Step.PARSE), 1)
    assert isinstance((await mill.history(document))[-1], DocumentCancelled)
    assert await mill.depth(Step.PARSE) == NOTHING


async def test_a_result_that_fits_no_state_is_not_waited_for_in_silence(mill: Mill) -> None:
    document, _ = await deliver(mill, Obedient(answering(Done((result_of(Step.PARSE, 99),)))))
    state = await mill.document(document)
    assert isinstance(state, Accepted)
    assert isinstance(state.activity, Waiting)
    assert state.activity.code == "internal_error"


async def test_three_starts_without_an_end_park_the_document(mill: Mill) -> None:
    _, (document,) = await mill.submit()
    delivery = await mill.take_one(Step.PARSE)
    processor = Obedient(done)
    for attempt in (1, 2, 3):
        await mill.say(document, StartStep(step=Step.PARSE, attempt=attempt, worker=f"killed-{attempt}"))
    await mill.deliveries(processor).carry_out(delivery, 1)
    assert processor.attempts == []
    failed = (await mill.history(document))[-1]
    assert isinstance(failed, DocumentFailed)
    assert failed.code == "poison_document"
    assert await mill.depth(Step.PARSE) == NOTHING


async def test_two_starts_without_an_end_may_be_bad_luck(mill: Mill) -> None:
    _, (document,) = await mill.submit()
    delivery = await mill.take_one(Step.PARSE)
    for attempt in (1, 2):
        await mill.say(document, StartStep(step=Step.PARSE, attempt=attempt, worker=f"killed-{attempt}"))
    await mill.deliveries(Obedient(done)).carry_out(delivery, 1)
    assert isinstance(await mill.document(document), Parsed)
