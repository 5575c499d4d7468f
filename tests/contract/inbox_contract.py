"""What every Inbox must do. A test file per implementation subclasses this and provides the fixture `world`."""

import asyncio
import contextlib

import msgspec

from events.document import StepStarted
from events.ids import partition_of
from events.inbox import Delivery, InboxDepth, InboxKey
from events.knowledge_base import KnowledgeBaseDeleted
from events.log import Appended
from events.steps import Lane, Step
from tests.contract.log_world import LogWorld, inbox_key
from tests.event_samples import accepted, new_document, new_knowledge_base, new_task, write

INTERACTIVE = inbox_key(Step.PARSE)
BULK = inbox_key(Step.PARSE, Lane.BULK)
BOTH = (INTERACTIVE, BULK)
HOUR_MS = 3_600_000


async def put(
    world: LogWorld, key: InboxKey = INTERACTIVE, *, count: int = 1, not_before_us: int | None = None
) -> list[str]:
    """Puts pointers to new documents into a parse inbox; answers the documents."""
    knowledge_base, task = new_knowledge_base(key.partition), new_task(key.partition)
    documents = [str(new_document(key.partition)) for _ in range(count)]
    writes = [
        write(
            document,
            0,
            accepted(task, knowledge_base, not_before_us=not_before_us),
            knowledge_base=knowledge_base,
            task=task,
            lane=key.lane,
        )
        for document in documents
    ]
    assert isinstance(await world.log.append(writes), Appended)
    return documents


async def start(world: LogWorld, document: str, times: int = 1, *, worker: str = "w") -> None:
    """Parsing begins, so many times."""
    last = (await world.log.history(document))[-1]
    begun = write(
        document,
        last.version,
        *(StepStarted(step=Step.PARSE, attempt=attempt, worker=worker) for attempt in range(1, times + 1)),
        knowledge_base=new_knowledge_base(partition_of(document)),
        task=last.correlation_id,
    )
    assert isinstance(await world.log.append([begun]), Appended)


def streams(deliveries: list[Delivery]) -> list[str]:
    return [delivery.stream_id for delivery in deliveries]


class InboxContract:
    """Needs the fixture `world`: an empty log and its inboxes."""

    async def test_deliveries_come_in_the_order_of_their_appends(self, world: LogWorld) -> None:
        documents = await put(world, count=3) + await put(world)
        assert streams(await world.inbox.take(BOTH, consumer="a", count=9)) == documents

    async def test_a_take_never_exceeds_its_count_over_all_inboxes(self, world: LogWorld) -> None:
        first, second = await put(world, count=3), await put(world, BULK, count=3)
        assert streams(await world.inbox.take(BOTH, consumer="a", count=4)) == first + second[:1]
        assert streams(await world.inbox.take(BOTH, consumer="a", count=4)) == second[1:]
        assert await world.inbox.take(BOTH, consumer="a", count=4) == []

    async def test_the_order_of_the_inboxes_is_the_caller_s_even_across_partitions(self, world: LogWorld) -> None:
        keys = [inbox_key(Step.PARSE, lane, partition) for lane in Lane for partition in (2, 0, 3)]
        documents = {key: await put(world, key, count=2) for key in reversed(keys)}
        wanted = [document for key in keys for document in documents[key]]
        assert streams(await world.inbox.take(keys, consumer="a", count=5)) == wanted[:5]
        assert streams(await world.inbox.take(keys, consumer="a", count=50)) == wanted[5:]

    async def test_nothing_is_taken_without_inboxes_or_without_a_count(self, world: LogWorld) -> None:
        await put(world)
        assert await world.inbox.take([], consumer="a", count=9) == []
        assert await world.inbox.take(BOTH, consumer="a", count=0) == []
        assert await world.inbox.mine([], consumer="a", count=9) == []
        assert await world.inbox.claim_from_dead([], consumer="a", count=9, silent_ms_min=0) == []
        assert (await world.inbox.depth(INTERACTIVE)).waiting == 1

    async def test_every_delivery_goes_to_one_consumer(self, world: LogWorld) -> None:
        documents = await put(world, count=60)
        taken = await asyncio.gather(*(world.inbox.take(BOTH, consumer=f"c{n}", count=7) for n in range(12)))
        assert sorted(document for found in taken for document in streams(found)) == sorted(documents)

    async def test_a_waiting_take_is_woken_by_an_append(self, world: LogWorld) -> None:
        await put(world)
        (first,) = await world.inbox.take(BOTH, consumer="a", count=9)
        waiting = asyncio.create_task(world.inbox.take(BOTH, consumer="a", count=9, wait_ms=30_000))
        await asyncio.sleep(0)
        documents = await put(world, BULK)
        async with asyncio.timeout(10):
            assert streams(await waiting) == documents
        assert await world.inbox.mine([INTERACTIVE], consumer="a", count=9) == [first]

    async def test_a_waiting_take_is_woken_by_a_timer(self, world: LogWorld) -> None:
        documents = await put(world, not_before_us=await world.now_us() + 60_000_000)
        await world.pass_time(61_000)
        waiting = asyncio.create_task(world.inbox.take(BOTH, consumer="a", count=9, wait_ms=30_000))
        await asyncio.sleep(0)
        assert await world.inbox.move_due(0) == 1
        async with asyncio.timeout(10):
            assert streams(await waiting) == documents

    async def test_documents_bring_their_histories_as_the_log_tells_them(self, world: LogWorld) -> None:
        (first,), (second,) = await put(world), await put(world, inbox_key(Step.PARSE, partition=2))
        await start(world, second)
        keys = [*BOTH, inbox_key(Step.PARSE, partition=2)]
        handed = await world.inbox.take_with_histories(keys, consumer="a", count=9)
        assert streams([one.delivery for one in handed]) == [first, second]
        assert [one.history for one in handed] == [await world.log.history(one) for one in (first, second)]
        assert await world.inbox.mine(keys, consumer="a", count=9) == [one.delivery for one in handed]

    async def test_a_take_that_waited_brings_histories_too(self, world: LogWorld) -> None:
        waiting = asyncio.create_task(world.inbox.take_with_histories(BOTH, consumer="a", count=9, wait_ms=30_000))
        await asyncio.sleep(0)
        (document,) = await put(world)
        async with asyncio.timeout(10):
            assert [one.history for one in await waiting] == [await world.log.history(document)]

    async def test_a_history_is_of_the_epoch_in_which_its_delivery_was_handed_out(self, world: LogWorld) -> None:
        (document,) = await put(world)
        (last,) = await world.log.history(document)
        assert last.position is not None
        await world.epochs.raise_epoch(0, last.position)
        (handed,) = await world.inbox.take_with_histories(BOTH, consumer="a", count=9)
        assert handed.history is not None
        assert [one.position and one.position.epoch for one in handed.history] == [last.position.epoch + 1]

    async def test_only_documents_bring_histories(self, world: LogWorld) -> None:
        knowledge_base = new_knowledge_base()
        gone = write(knowledge_base, 0, KnowledgeBaseDeleted(), knowledge_base=knowledge_base, task=knowledge_base)
        assert isinstance(await world.log.append([gone]), Appended)
        (handed,) = await world.inbox.take_with_histories([inbox_key(Step.ERASE)], consumer="a", count=9)
        assert (handed.delivery.stream_id, handed.history) == (knowledge_base, None)

    async def test_a_take_stops_waiting_when_its_time_is_over(self, world: LogWorld) -> None:
        async with asyncio.timeout(10):
            assert await world.inbox.take(BOTH, consumer="a", count=9, wait_ms=20) == []

    async def test_a_take_that_is_cancelled_while_it_waits_loses_nothing(self, world: LogWorld) -> None:
        waiting = asyncio.create_task(world.inbox.take(BOTH, consumer="a", count=9, wait_ms=30_000))
        await asyncio.sleep(0)
        documents = await put(world, count=3)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        found = await world.inbox.mine(BOTH, consumer="a", count=9)
        found += await world.inbox.take(BOTH, consumer="b", count=9)
        assert streams(found) == documents

    async def test_mine_is_what_this_consumer_holds(self, world: LogWorld) -> None:
        await put(world, count=3)
        await put(world, BULK, count=2)
        held = await world.inbox.take(BOTH, consumer="a", count=4)
        await world.inbox.take(BOTH, consumer="b", count=4)
        assert await world.inbox.mine(BOTH, consumer="a", count=9) == held
        assert await world.inbox.mine(BOTH, consumer="a", count=2) == held[:2]
        assert await world.inbox.mine(BOTH, consumer="c", count=9) == []

    async def test_what_was_acknowledged_is_gone_and_saying_it_twice_changes_nothing(self, world: LogWorld) -> None:
        await put(world, count=2)
        first, second = await world.inbox.take(BOTH, consumer="a", count=9)
        await world.inbox.acknowledge(first)
        await world.inbox.acknowledge(first)
        assert await world.inbox.mine(BOTH, consumer="a", count=9) == [second]
        assert await world.inbox.depth(INTERACTIVE) == InboxDepth(waiting=0, pending=1)

    async def test_what_is_acknowledged_at_once_is_gone_and_nothing_else_is(self, world: LogWorld) -> None:
        await put(world, count=5)
        await put(world, BULK, count=3)
        held = await world.inbox.take(BOTH, consumer="a", count=7)
        await asyncio.gather(*(world.inbox.acknowledge(one) for one in (*held[:4], *held[5:], held[0])))
        assert await world.inbox.mine(BOTH, consumer="a", count=9) == [held[4]]
        assert await world.inbox.depth(INTERACTIVE) == InboxDepth(waiting=0, pending=1)
        assert await world.inbox.depth(BULK) == InboxDepth(waiting=1, pending=0)

    async def test_what_nobody_holds_cannot_be_acknowledged(self, world: LogWorld) -> None:
        documents = await put(world, count=2)
        (first,) = await world.inbox.take(BOTH, consumer="a", count=1)
        ms, sequence = first.entry_id.split("-")
        untaken = msgspec.structs.replace(first, entry_id=f"{ms}-{int(sequence) + 1}")
        await world.inbox.acknowledge(untaken)
        assert streams(await world.inbox.take(BOTH, consumer="a", count=9)) == documents[1:]

    async def test_of_acknowledgements_that_go_together_each_counts_for_itself(self, world: LogWorld) -> None:
        documents = await put(world, count=5)
        first, second, third = await world.inbox.take(BOTH, consumer="a", count=3)
        await world.inbox.acknowledge(second)
        ms, sequence = third.entry_id.split("-")
        untaken = msgspec.structs.replace(third, entry_id=f"{ms}-{int(sequence) + 1}")
        await asyncio.gather(*map(world.inbox.acknowledge, (second, third, untaken)))
        assert await world.inbox.mine(BOTH, consumer="a", count=9) == [first]
        assert streams(await world.inbox.take(BOTH, consumer="a", count=9)) == documents[3:]

    async def test_the_depth_tells_waiting_from_pending(self, world: LogWorld) -> None:
        assert await world.inbox.depth(INTERACTIVE) == InboxDepth(waiting=0, pending=0)
        await put(world, count=3)
        assert await world.inbox.depth(INTERACTIVE) == InboxDepth(waiting=3, pending=0)
        await world.inbox.take(BOTH, consumer="a", count=1)
        assert await world.inbox.depth(INTERACTIVE) == InboxDepth(waiting=2, pending=1)

    async def test_the_backlog_is_what_lies_in_all_inboxes_in_hands_or_not(self, world: LogWorld) -> None:
        assert await world.inbox.backlog() == 0
        await put(world, count=3)
        await world.inbox.take(BOTH, consumer="a", count=1)
        assert await world.inbox.backlog() == 3

    async def test_what_was_released_may_be_claimed_at_once_by_anybody(self, world: LogWorld) -> None:
        await world.inbox.beat("a")
        await put(world, count=2)
        first, second = await world.inbox.take(BOTH, consumer="a", count=9)
        await world.inbox.release(first, consumer="a")
        claimed = await world.inbox.claim_from_dead(BOTH, consumer="b", count=9, silent_ms_min=HOUR_MS)
        assert claimed == [first]
        assert await world.inbox.mine(BOTH, consumer="a", count=9) == [second]
        assert await world.inbox.mine(BOTH, consumer="b", count=9) == [first]

    async def test_its_former_owner_may_claim_what_it_released(self, world: LogWorld) -> None:
        await put(world)
        (delivery,) = await world.inbox.take(BOTH, consumer="a", count=9)
        await world.inbox.release(delivery, consumer="a")
        assert await world.inbox.mine(BOTH, consumer="a", count=9) == []
        claimed = await world.inbox.claim_from_dead(BOTH, consumer="a", count=9, silent_ms_min=HOUR_MS)
        assert claimed == [delivery]

    async def test_a_former_owner_that_releases_takes_nothing_from_the_new_one(self, world: LogWorld) -> None:
        await world.inbox.beat("a")
        await put(world)
        (delivery,) = await world.inbox.take(BOTH, consumer="a", count=9)
        await world.pass_time(5_000)
        assert await world.inbox.claim_from_dead(BOTH, consumer="b", count=9, silent_ms_min=1_000) == [delivery]
        await world.inbox.beat("b")
        await world.inbox.release(delivery, consumer="a")
        assert await world.inbox.mine(BOTH, consumer="b", count=9) == [delivery]
        assert await world.inbox.claim_from_dead(BOTH, consumer="c", count=9, silent_ms_min=1_000) == []

    async def test_releasing_what_was_acknowledged_brings_nothing_back(self, world: LogWorld) -> None:
        await put(world)
        (delivery,) = await world.inbox.take(BOTH, consumer="a", count=9)
        await world.inbox.acknowledge(delivery)
        await world.inbox.release(delivery, consumer="a")
        assert await world.inbox.claim_from_dead(BOTH, consumer="b", count=9, silent_ms_min=0) == []
        assert await world.inbox.depth(INTERACTIVE) == InboxDepth(waiting=0, pending=0)

    async def test_releasing_into_an_inbox_that_nobody_ever_read_changes_nothing(self, world: LogWorld) -> None:
        await put(world)
        (delivery,) = await world.inbox.take(BOTH, consumer="a", count=9)
        await world.inbox.release(msgspec.structs.replace(delivery, step=Step.ERASE), consumer="a")
        assert await world.inbox.mine(BOTH, consumer="a", count=9) == [delivery]

    async def test_a_silent_consumer_loses_what_it_holds_and_a_living_one_keeps_it(self, world: LogWorld) -> None:
        await world.inbox.beat("a")
        await world.inbox.beat("b")
        await put(world, count=4)
        silent = await world.inbox.take(BOTH, consumer="a", count=2)
        living = await world.inbox.take(BOTH, consumer="b", count=2)
        assert await world.inbox.claim_from_dead(BOTH, consumer="c", count=9, silent_ms_min=1_000) == []
        await world.pass_time(5_000)
        await world.inbox.beat("b")
        assert await world.inbox.claim_from_dead(BOTH, consumer="c", count=9, silent_ms_min=1_000) == silent
        assert await world.inbox.mine(BOTH, consumer="a", count=9) == []
        assert await world.inbox.mine(BOTH, consumer="b", count=9) == living

    async def test_a_consumer_that_left_is_claimed_from_at_once_until_it_beats_again(self, world: LogWorld) -> None:
        await world.inbox.beat("a")
        await put(world)
        held = await world.inbox.take(BOTH, consumer="a", count=9)
        await world.inbox.leave("a")
        await world.inbox.beat("a")
        assert await world.inbox.claim_from_dead(BOTH, consumer="b", count=9, silent_ms_min=HOUR_MS) == []
        await world.inbox.leave("a")
        assert await world.inbox.claim_from_dead(BOTH, consumer="b", count=9, silent_ms_min=HOUR_MS) == held

    async def test_a_consumer_that_never_beat_is_not_dead_while_it_asks_for_work(self, world: LogWorld) -> None:
        await put(world)
        await world.inbox.take(BOTH, consumer="a", count=9)
        assert await world.inbox.claim_from_dead(BOTH, consumer="b", count=9, silent_ms_min=HOUR_MS) == []

    async def test_a_claim_never_exceeds_its_count_and_keeps_the_order_of_the_inboxes(self, world: LogWorld) -> None:
        await put(world, count=3)
        await put(world, BULK, count=3)
        held = await world.inbox.take(BOTH, consumer="a", count=9)
        await world.inbox.leave("a")
        reverse = (BULK, INTERACTIVE)
        wanted = held[3:] + held[:3]
        assert await world.inbox.claim_from_dead(reverse, consumer="b", count=4, silent_ms_min=HOUR_MS) == wanted[:4]
        assert await world.inbox.claim_from_dead(reverse, consumer="b", count=4, silent_ms_min=HOUR_MS) == wanted[4:]
        assert await world.inbox.claim_from_dead(reverse, consumer="b", count=4, silent_ms_min=HOUR_MS) == []

    async def test_two_who_claim_at_once_never_get_the_same(self, world: LogWorld) -> None:
        await put(world, count=40)
        held = await world.inbox.take(BOTH, consumer="a", count=40)
        await world.inbox.leave("a")
        claims = (
            world.inbox.claim_from_dead(BOTH, consumer=f"c{n}", count=8, silent_ms_min=HOUR_MS) for n in range(10)
        )
        claimed = [delivery for found in await asyncio.gather(*claims) for delivery in found]
        assert sorted(streams(claimed)) == sorted(streams(held))

    async def test_nobody_claims_from_itself(self, world: LogWorld) -> None:
        await put(world)
        held = await world.inbox.take(BOTH, consumer="a", count=9)
        await world.inbox.leave("a")
        assert await world.inbox.claim_from_dead(BOTH, consumer="a", count=9, silent_ms_min=0) == []
        assert await world.inbox.mine(BOTH, consumer="a", count=9) == held

    async def test_timers_move_when_their_time_has_come_and_not_before_earliest_first(self, world: LogWorld) -> None:
        now_us = await world.now_us()
        late = await put(world, not_before_us=now_us + 50_000_000)
        early = await put(world, not_before_us=now_us + 30_000_000)
        assert await world.inbox.move_due(0) == 0
        assert await world.inbox.due() == []
        await world.pass_time(40_000)
        assert await world.inbox.due() == [0]
        assert await world.inbox.move_due(0) == 1
        assert await world.inbox.due() == []
        assert streams(await world.inbox.take(BOTH, consumer="a", count=9)) == early
        await world.pass_time(40_000)
        assert await world.inbox.move_due(1) == 0
        assert await world.inbox.move_due(0) == 1
        assert await world.inbox.move_due(0) == 0
        assert streams(await world.inbox.take(BOTH, consumer="a", count=9)) == late

    async def test_timers_move_in_portions(self, world: LogWorld) -> None:
        await put(world, BULK, count=7, not_before_us=await world.now_us() - 1_000)
        moved = [await world.inbox.move_due(0, limit=3) for _ in range(4)]
        assert moved == [3, 3, 1, 0]
        assert await world.inbox.depth(BULK) == InboxDepth(waiting=7, pending=0)

    async def test_an_inbox_holds_an_entry_until_it_is_acknowledged(self, world: LogWorld) -> None:
        await put(world)
        (delivery,) = await world.inbox.take(BOTH, consumer="a", count=9)
        assert await world.inbox.holds(INTERACTIVE, delivery.entry_id)
        assert not await world.inbox.holds(BULK, delivery.entry_id)
        assert not await world.inbox.holds(INTERACTIVE, "1-1")
        await world.inbox.acknowledge(delivery)
        assert not await world.inbox.holds(INTERACTIVE, delivery.entry_id)
