"""What every EventLog must do. A test file per implementation subclasses this and provides the fixture `world`."""

import asyncio

import msgspec
import pytest

from events.document import (
    DocumentFailed,
    DocumentParsed,
    DocumentSkipped,
    ReprocessingRequested,
    StepFailed,
    StepStarted,
)
from events.envelope import Envelope, Event, Position, UnknownEvent, UnknownReason
from events.errors import InvalidAppend, InvalidId
from events.ids import document_id
from events.inbox import Delivery, InboxDepth
from events.log import EVENTS_PER_APPEND_MAX, Appended, Conflict, Head, Tally, Unreadable, Write
from events.steps import Lane, Step
from events.task import TaskFinished, TaskSubmitted
from tests.contract.log_world import EVENTS_PER_STREAM_MAX, PARTITIONS, LogWorld, inbox_key
from tests.event_samples import accepted, indexed, new_document, new_knowledge_base, new_task, write

KB = new_knowledge_base()
TASK = new_task()
STARTED = StepStarted(step=Step.PARSE, attempt=1, worker="w")
PARSED = DocumentParsed(text_blob="t", parser="plain", pages=1, characters=9)
OPENS = Tally(open_documents=1)
SUCCEEDS = Tally(open_documents=-1, succeeded=1)


def document_write(document: str, expected: int, *events: Event, tally: tuple[Tally, ...] = ()) -> Write:
    return write(document, expected, *events, knowledge_base=KB, task=TASK, tally=tally)


async def append(world: LogWorld, *writes: Write, acknowledge: Delivery | None = None) -> Appended:
    answer = await world.log.append(writes, acknowledge=acknowledge)
    assert isinstance(answer, Appended)
    return answer


async def depth(world: LogWorld, step: Step, lane: Lane = Lane.INTERACTIVE) -> InboxDepth:
    return await world.inbox.depth(inbox_key(step, lane))


def stripped(envelope: Envelope | Unreadable) -> Envelope:
    """As the writer had it."""
    assert isinstance(envelope, Envelope)
    return msgspec.structs.replace(envelope, position=None, number=None)


class EventLogContract:
    """Needs the fixture `world`: an empty log of `PARTITIONS` partitions."""

    async def test_what_was_appended_is_read_back_as_it_was_written(self, world: LogWorld) -> None:
        document = new_document()
        wanted = document_write(document, 0, accepted(TASK, KB), STARTED, PARSED)
        answer = await append(world, wanted)
        history = await world.log.history(document)
        assert [stripped(found) for found in history] == list(wanted.envelopes)
        assert tuple(found.position for found in history) == answer.positions
        assert [found.number for found in history] == [1, 2, 3]
        assert await world.log.read(0) == history
        assert not answer.is_repeat

    async def test_positions_rise_and_numbers_are_dense_over_all_streams_of_a_partition(self, world: LogWorld) -> None:
        for _ in range(5):
            await append(world, document_write(new_document(), 0, accepted(TASK, KB), STARTED))
        entries = await world.log.read(0)
        positions = [found.position for found in entries if found.position is not None]
        assert len(positions) == 10
        assert positions == sorted(set(positions))
        assert [found.number for found in entries] == list(range(1, 11))

    async def test_partitions_do_not_see_one_another(self, world: LogWorld) -> None:
        knowledge_base, task, document = new_knowledge_base(1), new_task(1), new_document(1)
        first = write(document, 0, accepted(task, knowledge_base), knowledge_base=knowledge_base, task=task)
        await append(world, first)
        assert await world.log.read(0) == []
        assert len(await world.log.read(1)) == 1
        assert (await world.log.head(0), (await world.log.head(1)).number) == (Head(1, 0, None), 1)

    async def test_an_append_at_another_version_answers_the_actual_one_and_writes_nothing(
        self, world: LogWorld
    ) -> None:
        document = new_document()
        await append(world, document_write(document, 0, accepted(TASK, KB), STARTED))
        for expected in (0, 1, 3, 7):
            late = document_write(document, expected, PARSED)
            assert await world.log.append([late]) == Conflict(document, 2)
        assert len(await world.log.read(0)) == 2
        assert (await depth(world, Step.CHUNK)).waiting == 0

    async def test_several_streams_enter_together(self, world: LogWorld) -> None:
        first, second = new_document(), new_document()
        answer = await append(world, document_write(first, 0, accepted(TASK, KB)), document_write(second, 0, STARTED))
        assert [found.stream_id for found in await world.log.read(0) if isinstance(found, Envelope)] == [first, second]
        assert len(answer.positions) == 2

    async def test_several_streams_enter_not_at_all_if_one_stands_elsewhere(self, world: LogWorld) -> None:
        known, fresh = new_document(), new_document()
        await append(world, document_write(known, 0, accepted(TASK, KB)))
        answer = await world.log.append([document_write(fresh, 0, STARTED), document_write(known, 0, STARTED)])
        assert answer == Conflict(known, 1)
        assert await world.log.history(fresh) == []

    async def test_a_repeated_append_answers_as_the_first_time_and_writes_nothing(self, world: LogWorld) -> None:
        document, other = new_document(), new_document()
        writes = (document_write(document, 0, accepted(TASK, KB), STARTED), document_write(other, 0, STARTED))
        first = await append(world, *writes)
        assert await append(world, *writes) == Appended(first.positions, is_repeat=True)
        await append(world, document_write(document, 2, PARSED, STARTED))
        assert await append(world, *writes) == Appended(first.positions, is_repeat=True)
        assert len(await world.log.read(0)) == 5
        assert (await depth(world, Step.PARSE)).waiting == 1

    async def test_an_append_of_other_events_at_a_taken_version_is_no_repeat(self, world: LogWorld) -> None:
        document = new_document()
        await append(world, document_write(document, 0, accepted(TASK, KB)))
        assert await world.log.append([document_write(document, 0, accepted(TASK, KB))]) == Conflict(document, 1)

    async def test_an_append_that_is_known_in_one_stream_only_is_no_repeat(self, world: LogWorld) -> None:
        known = document_write(new_document(), 0, STARTED)
        await append(world, known)
        fresh = document_write(new_document(), 0, STARTED)
        assert await world.log.append([known, fresh]) == Conflict(known.stream_id, 1)
        assert await world.log.history(fresh.stream_id) == []

    async def test_a_stream_without_events_is_compared_and_nothing_is_written_to_it(self, world: LogWorld) -> None:
        guard, fresh = new_document(), new_document()
        await append(world, document_write(guard, 0, accepted(TASK, KB), STARTED))
        for seen in (0, 1, 3):
            answer = await world.log.append([document_write(fresh, 0, STARTED), document_write(guard, seen)])
            assert answer == Conflict(guard, 2)
        assert await world.log.history(fresh) == []
        writes = (document_write(guard, 2), document_write(fresh, 0, STARTED))
        first = await append(world, *writes)
        assert len(first.positions) == 1
        assert await world.log.versions([guard, fresh]) == [2, 1]
        await append(world, document_write(guard, 2, PARSED))
        assert await append(world, *writes) == Appended(first.positions, is_repeat=True)
        assert len(await world.log.read(0)) == 4

    async def test_a_stream_that_does_not_exist_can_be_compared_and_does_not_come_to_be(self, world: LogWorld) -> None:
        absent = new_document()
        await append(world, document_write(absent, 0), document_write(new_document(), 0, STARTED))
        assert await world.log.versions([absent]) == [0]
        assert await world.log.history(absent) == []

    async def test_of_many_writers_at_one_version_exactly_one_succeeds(self, world: LogWorld) -> None:
        document = new_document()
        answers = await asyncio.gather(*(world.log.append([document_write(document, 0, STARTED)]) for _ in range(50)))
        assert sum(isinstance(answer, Appended) for answer in answers) == 1
        assert answers.count(Conflict(document, 1)) == 49

    async def test_many_appends_in_flight_all_enter_once(self, world: LogWorld) -> None:
        documents = [new_document() for _ in range(600)]
        answers = await asyncio.gather(*(world.log.append([document_write(each, 0, STARTED)]) for each in documents))
        assert all(isinstance(answer, Appended) for answer in answers)
        entries = await world.log.read(0, limit=1_000)
        assert {found.stream_id for found in entries if isinstance(found, Envelope)} == set(documents)
        assert [found.number for found in entries] == list(range(1, 601))

    async def test_a_task_of_a_thousand_documents_is_one_append(self, world: LogWorld) -> None:
        documents = [document_id(TASK, ordinal) for ordinal in range(1_000)]
        submitted = document_write(TASK, 0, TaskSubmitted(knowledge_base_id=KB, documents=1_000))
        writes = [document_write(each, 0, accepted(TASK, KB), tally=(OPENS,)) for each in documents]
        answer = await append(world, submitted, *writes)
        assert len(answer.positions) == 1_001
        assert await append(world, submitted, *writes) == Appended(answer.positions, is_repeat=True)
        assert await world.log.tally(TASK) == Tally(open_documents=1_000)
        assert await depth(world, Step.PARSE) == InboxDepth(waiting=1_000, pending=0)
        several = await world.inbox.depths([inbox_key(Step.CHUNK), inbox_key(Step.PARSE)])
        assert several == [InboxDepth(0, 0), InboxDepth(1_000, 0)]
        assert await world.inbox.depths([]) == []

    async def test_what_breaks_the_contract_is_refused_before_anything_is_written(self, world: LogWorld) -> None:
        good = document_write(new_document(), 0, STARTED)
        elsewhere = new_document(1)
        for writes in (
            [],
            [document_write(new_document(), 0)],
            [good, document_write(new_document(), 0, tally=(OPENS,))],
            [good, document_write(new_document(), -1)],
            [good, good],
            [good, document_write(elsewhere, 0, STARTED)],
            [good, write(new_document(), 0, STARTED, knowledge_base=new_knowledge_base(1), task=TASK)],
            [document_write(new_document(), -1, STARTED)],
            [msgspec.structs.replace(good, expected_version=4)],
            [msgspec.structs.replace(good, stream_id=new_document())],
            [good, *(document_write(new_document(), 0, STARTED) for _ in range(EVENTS_PER_APPEND_MAX))],
            [document_write(new_document(), 0, msgspec.structs.replace(STARTED, worker="字" * 22_000))],
            [document_write(new_document(), 0, UnknownEvent("Future", 1, UnknownReason.UNKNOWN_TYPE))],
        ):
            with pytest.raises(InvalidAppend):
                await world.log.append(writes)
        assert await world.log.read(0) == []

    async def test_a_partition_that_does_not_exist_is_refused(self, world: LogWorld) -> None:
        document = new_document(PARTITIONS)
        beyond = new_knowledge_base(PARTITIONS)
        with pytest.raises(InvalidId):
            await world.log.append([write(document, 0, STARTED, knowledge_base=beyond, task=TASK)])
        with pytest.raises(InvalidId):
            await world.log.history(document)
        with pytest.raises(InvalidId):
            await world.log.read(PARTITIONS)
        with pytest.raises(InvalidId):
            await world.log.head(PARTITIONS)

    async def test_a_stream_that_is_full_is_refused(self, world: LogWorld) -> None:
        document = new_document()
        await append(world, document_write(document, 0, *[STARTED] * EVENTS_PER_STREAM_MAX))
        with pytest.raises(InvalidAppend):
            await world.log.append([document_write(document, EVENTS_PER_STREAM_MAX, STARTED)])
        assert len(await world.log.history(document)) == EVENTS_PER_STREAM_MAX

    async def test_a_history_begins_behind_the_version_that_is_known(self, world: LogWorld) -> None:
        document = new_document()
        await append(world, document_write(document, 0, accepted(TASK, KB), STARTED, PARSED))
        whole = await world.log.history(document)
        assert await world.log.history(document, after_version=1) == whole[1:]
        assert await world.log.history(document, after_version=3) == []
        assert await world.log.history(document, after_version=9) == []
        assert await world.log.history(new_document()) == []

    async def test_reading_goes_on_behind_a_position_page_by_page(self, world: LogWorld) -> None:
        for _ in range(7):
            await append(world, document_write(new_document(), 0, STARTED))
        whole, paged = await world.log.read(0), list[Envelope | Unreadable]()
        while page := await world.log.read(0, after=paged[-1].position if paged else None, limit=3):
            paged.extend(page)
        assert paged == whole

    async def test_a_waiting_reader_is_woken_by_an_append(self, world: LogWorld) -> None:
        await append(world, document_write(new_document(), 0, STARTED))
        after = (await world.log.head(0)).position
        reader = asyncio.create_task(world.log.read(0, after=after, wait_ms=30_000))
        await asyncio.sleep(0)
        document = new_document()
        await append(world, document_write(document, 0, STARTED))
        async with asyncio.timeout(10):
            assert [found.stream_id for found in await reader if isinstance(found, Envelope)] == [document]

    async def test_a_reader_stops_waiting_when_its_time_is_over(self, world: LogWorld) -> None:
        async with asyncio.timeout(10):
            assert await world.log.read(0, wait_ms=20) == []

    async def test_an_entry_that_is_no_envelope_is_handed_over_as_it_is_and_reading_goes_on(
        self, world: LogWorld
    ) -> None:
        await append(world, document_write(new_document(), 0, STARTED))
        position = await world.put_raw(0, b"\x93\x01\x02")
        await append(world, document_write(new_document(), 0, STARTED))
        first, damaged, last = await world.log.read(0)
        assert isinstance(first, Envelope)
        assert isinstance(last, Envelope)
        assert isinstance(damaged, Unreadable)
        assert (damaged.position, damaged.number, damaged.payload) == (position, 2, b"\x93\x01\x02")
        assert last.number == 3

    async def test_versions_of_many_streams_are_told_at_once(self, world: LogWorld) -> None:
        early, late, elsewhere = new_document(), new_document(), new_document(1)
        await append(world, document_write(early, 0, accepted(TASK, KB), STARTED, PARSED))
        await append(world, document_write(late, 0, accepted(TASK, KB)))
        knowledge_base, task = new_knowledge_base(1), new_task(1)
        await append(
            world, write(elsewhere, 0, accepted(task, knowledge_base), knowledge_base=knowledge_base, task=task)
        )
        asked = [late, new_document(), early, elsewhere, late]
        assert await world.log.versions(asked) == [1, 0, 3, 1, 1]
        assert await world.log.versions([]) == []

    async def test_the_head_is_the_last_event(self, world: LogWorld) -> None:
        assert await world.log.head(0) == Head(1, 0, None)
        answer = await append(world, document_write(new_document(), 0, accepted(TASK, KB), STARTED))
        assert await world.log.head(0) == Head(1, 2, answer.positions[-1])

    async def test_of_all_who_miss_what_they_saw_one_begins_the_next_epoch(self, world: LogWorld) -> None:
        first = await append(world, document_write(new_document(), 0, accepted(TASK, KB)))
        (seen,) = first.positions
        assert [await world.epochs.raise_epoch(0, seen) for _ in range(2)] == [True, False]
        assert (await world.log.head(0)).epoch == seen.epoch + 1
        assert (await world.log.head(1)).epoch == seen.epoch
        second = await append(world, document_write(new_document(), 0, accepted(TASK, KB)))
        assert [one.epoch for one in second.positions] == [seen.epoch + 1]
        assert [one.position and one.position.epoch for one in await world.log.read(0)] == [seen.epoch + 1] * 2
        assert (await world.log.head(0)).number == 2
        later = Position(seen.epoch + 4, seen.ms, seen.sequence)
        assert await world.epochs.raise_epoch(0, later), "the epoch itself may be what was lost"
        assert (await world.log.head(0)).epoch == seen.epoch + 5

    async def test_no_entry_gets_an_id_that_lies_before_what_was_lost(self, world: LogWorld) -> None:
        far = Position(1, await world.now_us() // 1_000 + 3_600_000, 7)
        for partition in (0, 1):
            await world.epochs.raise_epoch(partition, far)
            assert await world.log.read(partition) == [], "nothing is put into the log for it"
            assert (await world.log.head(partition)).number == 0
        answer = await append(world, document_write(new_document(), 0, accepted(TASK, KB)))
        assert answer.positions[0] > Position(2, far.ms, far.sequence)
        (entry,) = await world.log.read(0, after=far)
        assert entry.number == 1

    async def test_an_event_leads_to_the_inbox_of_its_step_and_lane(self, world: LogWorld) -> None:
        document = new_document()
        bulk = write(document, 0, accepted(TASK, KB), knowledge_base=KB, task=TASK, lane=Lane.BULK)
        await append(world, bulk)
        assert (await depth(world, Step.PARSE)).waiting == 0
        (found,) = await world.inbox.take([inbox_key(Step.PARSE, Lane.BULK)], consumer="c", count=9)
        envelope = bulk.envelopes[0]
        assert (found.stream_id, found.version, found.event_id) == (document, 1, envelope.event_id)
        assert (found.correlation_id, found.knowledge_base_id) == (TASK, KB)
        assert (found.step, found.lane, found.partition) == (Step.PARSE, Lane.BULK, 0)

    async def test_an_event_for_later_waits_for_its_time(self, world: LogWorld) -> None:
        later_us = await world.now_us() + 60_000_000
        await append(world, document_write(new_document(), 0, accepted(TASK, KB, not_before_us=later_us)))
        failed = StepFailed(step=Step.EMBED, attempt=1, code="x", message="x", retry_at_us=later_us)
        await append(world, document_write(new_document(), 0, failed))
        assert await world.inbox.move_due(0) == 0
        await world.pass_time(61_000)
        assert await world.inbox.move_due(0) == 2
        assert ((await depth(world, Step.PARSE)).waiting, (await depth(world, Step.EMBED)).waiting) == (1, 1)

    async def test_a_task_ends_with_its_last_open_document(self, world: LogWorld) -> None:
        first, second = new_document(), new_document()
        await append(
            world,
            document_write(first, 0, accepted(TASK, KB), tally=(OPENS,)),
            document_write(second, 0, accepted(TASK, KB), tally=(OPENS,)),
        )
        await append(world, document_write(first, 1, indexed(), tally=(SUCCEEDS,)))
        assert (await depth(world, Step.FINISH)).waiting == 0
        await append(world, document_write(second, 1, indexed(), tally=(SUCCEEDS,)))
        assert await world.log.tally(TASK) == Tally(succeeded=2)
        (found,) = await world.inbox.take([inbox_key(Step.FINISH)], consumer="c", count=9)
        assert (found.stream_id, found.correlation_id) == (second, TASK)

    async def test_a_task_whose_documents_all_end_in_one_append_ends_once(self, world: LogWorld) -> None:
        skipped = DocumentSkipped(
            knowledge_base_id=KB,
            task_id=TASK,
            filename="a",
            media_type="text/plain",
            size_bytes=1,
            sha256="00" * 32,
            duplicate_of=new_document(),
        )
        change = (Tally(skipped=1),)
        writes = [document_write(new_document(), 0, skipped, tally=change) for _ in range(3)]
        await append(world, *writes)
        assert await world.log.tally(TASK) == Tally(skipped=3)
        assert (await depth(world, Step.FINISH)).waiting == 1

    async def test_an_ended_document_without_a_change_of_its_tally_ends_no_task(self, world: LogWorld) -> None:
        await append(world, document_write(new_document(), 0, indexed()))
        assert (await depth(world, Step.FINISH)).waiting == 0

    async def test_a_finished_task_has_no_tally_and_gets_none_back(self, world: LogWorld) -> None:
        document = new_document()
        await append(world, document_write(document, 0, accepted(TASK, KB), tally=(OPENS,)))
        await append(world, document_write(document, 1, indexed(), tally=(SUCCEEDS,)))
        finished = TaskFinished(succeeded=1, failed=0, cancelled=0, skipped=0)
        await append(world, document_write(TASK, 0, finished))
        assert await world.log.tally(TASK) == Tally()
        await append(world, document_write(document, 2, indexed(), tally=(Tally(succeeded=-1, cancelled=1),)))
        assert await world.log.tally(TASK) == Tally()
        assert (await depth(world, Step.FINISH)).waiting == 1

    async def test_a_repeat_changes_no_tally(self, world: LogWorld) -> None:
        first = document_write(new_document(), 0, accepted(TASK, KB), tally=(OPENS,))
        await append(world, first)
        await append(world, first)
        assert await world.log.tally(TASK) == OPENS

    async def test_a_failed_document_is_a_dead_letter_until_it_is_tried_again(self, world: LogWorld) -> None:
        document = new_document()
        await append(world, document_write(document, 0, DocumentFailed(step=Step.PARSE, code="x", message="x")))
        assert await world.dead_letters(0) == [document]
        again = ReprocessingRequested(from_step=Step.PARSE, reason="retry", task_id=TASK)
        await append(world, document_write(document, 1, again))
        assert await world.dead_letters(0) == []
        assert (await depth(world, Step.PARSE)).waiting == 1

    async def test_an_append_takes_the_delivery_that_led_to_it_out_of_its_inbox(self, world: LogWorld) -> None:
        document = new_document()
        await append(world, document_write(document, 0, accepted(TASK, KB)))
        (delivery,) = await world.inbox.take([inbox_key(Step.PARSE)], consumer="c", count=1)
        await append(world, document_write(document, 1, PARSED), acknowledge=delivery)
        assert await depth(world, Step.PARSE) == InboxDepth(waiting=0, pending=0)
        assert (await depth(world, Step.CHUNK)).waiting == 1

    async def test_a_conflict_acknowledges_nothing_and_a_repeat_does(self, world: LogWorld) -> None:
        document = new_document()
        await append(world, document_write(document, 0, accepted(TASK, KB)))
        parsed = document_write(document, 1, PARSED)
        await append(world, parsed)
        (delivery,) = await world.inbox.take([inbox_key(Step.PARSE)], consumer="c", count=1)
        conflict = await world.log.append([document_write(document, 1, PARSED)], acknowledge=delivery)
        assert conflict == Conflict(document, 2)
        assert (await depth(world, Step.PARSE)).pending == 1
        assert (await append(world, parsed, acknowledge=delivery)).is_repeat
        assert await depth(world, Step.PARSE) == InboxDepth(waiting=0, pending=0)

    async def test_a_delivery_of_another_partition_is_refused(self, world: LogWorld) -> None:
        await append(world, document_write(new_document(), 0, accepted(TASK, KB)))
        (delivery,) = await world.inbox.take([inbox_key(Step.PARSE)], consumer="c", count=1)
        elsewhere = msgspec.structs.replace(delivery, partition=1)
        with pytest.raises(InvalidAppend):
            await world.log.append([document_write(new_document(), 0, STARTED)], acknowledge=elsewhere)
