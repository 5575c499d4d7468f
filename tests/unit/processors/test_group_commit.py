import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from events.envelope import Envelope
from events.ids import EventId, KnowledgeBaseId
from events.inbox import Delivery
from events.steps import Lane, Step
from processors.group_commit import GroupCommit
from processors.observing import Ended, ErrandEnded
from processors.settings import WorkerSettings
from processors.under_way import HANDED_ON_S, HANDED_ON_S_MAX, CountedDeliveries, UnderWay
from processors.worker import group_commit

LONG_S = 3_600.0
"""Longer than a test: nobody leaves because of the time."""


class Told:
    """An observer that keeps what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def began(self, step: Step) -> None:
        self.said.append(f"began {step.value}")

    def ended(self, attempt: Ended) -> None:
        self.said.append(f"ended {attempt.step.value} of {attempt.document}")

    def left(self, step: Step) -> None:
        self.said.append(f"left {step.value}")

    def errand_ended(self, errand: ErrandEnded) -> None:
        self.said.append(f"ended {errand.step.value}")


def ended(step: Step, document: str, *, hop_s: float = 0) -> Ended:
    return Ended(
        step=step,
        task="task",
        document=document,
        number=1,
        worker="worker",
        outcome="done",
        code=None,
        asked_us=0,
        began_us=int(hop_s * 1_000_000),
        ran_us=0,
        recorded_us=0,
        trace_parent=None,
    )


AGAIN_S = 7.0


class Taken:
    """A delivery whose history is being read."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def carry_out(self, delivery: Delivery, tries: int, _history: list[Envelope] | None = None) -> float | None:
        await self.may_end.wait()
        return AGAIN_S


def delivery_of(document: str, step: Step) -> Delivery:
    return Delivery(
        step=step,
        lane=Lane.INTERACTIVE,
        partition=0,
        entry_id="1-0",
        stream_id=document,
        version=1,
        event_id=EventId("e"),
        correlation_id="task",
        knowledge_base_id=KnowledgeBaseId("kb_1"),
    )


class Crossing:
    """Documents that go into the index, each when its group does."""

    def __init__(self, *, places: int = 9, wait_s: float = LONG_S, handed_on_s: float = LONG_S) -> None:
        self.told = Told()
        self.under_way = UnderWay(self.told, handed_on_s=handed_on_s)
        self.group = GroupCommit(self.under_way, places=places, wait_s=wait_s)
        self.written: list[str] = []
        self.may_end = asyncio.Event()

    async def arrive(self, name: str) -> "asyncio.Task[None]":
        """A document in hand at the index, and ready for it."""
        task = asyncio.create_task(self._index(name))
        await turn()
        return task

    @contextmanager
    def busy(self, step: Step) -> Iterator[None]:
        with self.under_way.in_hand(step, "another"):
            yield

    async def _index(self, name: str, is_ready: asyncio.Event | None = None) -> None:
        with self.under_way.in_hand(Step.INDEX, name):
            if is_ready is not None:
                await is_ready.wait()
            async with self.group.together(name):
                self.written.append(name)
                await self.may_end.wait()


async def turn() -> None:
    """Lets every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_document_alone_waits_for_nobody() -> None:
    crossing = Crossing()
    await crossing.arrive("alone")
    assert crossing.written == ["alone"]


@pytest.mark.parametrize("step", [Step.PARSE, Step.CHUNK, Step.EMBED])
async def test_a_document_waits_for_one_on_its_way_until_that_step_has_ended(step: Step) -> None:
    crossing = Crossing()
    with crossing.busy(step):
        await crossing.arrive("first")
        assert crossing.written == []
    await turn()
    assert crossing.written == ["first"]


async def test_a_document_waits_for_one_whose_rows_are_being_read_and_both_go_together() -> None:
    crossing, is_ready = Crossing(), asyncio.Event()
    second = asyncio.create_task(crossing._index("second", is_ready))
    await turn()
    await crossing.arrive("first")
    assert crossing.written == []
    is_ready.set()
    await turn()
    assert sorted(crossing.written) == ["first", "second"]
    crossing.may_end.set()
    await second


@pytest.mark.parametrize("step", [Step.PARSE, Step.CHUNK, Step.EMBED, Step.INDEX])
async def test_a_document_waits_for_one_that_was_taken_and_has_not_begun(step: Step) -> None:
    crossing, taken = Crossing(), Taken()
    deliveries = CountedDeliveries(step, taken, crossing.under_way)
    carried_out = asyncio.create_task(deliveries.carry_out(delivery_of("second", step), 1))
    await turn()
    await crossing.arrive("first")
    assert crossing.written == []
    taken.may_end.set()
    assert await carried_out == AGAIN_S
    await turn()
    assert crossing.written == ["first"], "nobody is waited for who comes again later"


async def test_nobody_waits_for_a_delivery_that_broke_or_was_cancelled() -> None:
    crossing, taken = Crossing(), Taken()
    deliveries = CountedDeliveries(Step.PARSE, taken, crossing.under_way)
    carried_out = asyncio.create_task(deliveries.carry_out(delivery_of("second", Step.PARSE), 1))
    await turn()
    carried_out.cancel()
    await asyncio.gather(carried_out, return_exceptions=True)
    await crossing.arrive("first")
    assert crossing.written == ["first"]


async def test_nobody_waits_for_what_is_being_fetched() -> None:
    crossing = Crossing()
    with crossing.busy(Step.FETCH):
        await crossing.arrive("first")
        assert crossing.written == ["first"]


async def test_nobody_waits_for_those_that_are_being_written() -> None:
    crossing = Crossing()
    await crossing.arrive("first")
    await crossing.arrive("second")
    assert sorted(crossing.written) == ["first", "second"]


async def test_a_group_that_takes_all_places_goes_while_others_are_on_their_way() -> None:
    crossing = Crossing(places=2)
    with crossing.busy(Step.EMBED):
        await crossing.arrive("first")
        await crossing.arrive("second")
        assert sorted(crossing.written) == ["first", "second"]


@pytest.mark.parametrize(("settings", "places"), [(WorkerSettings(), 16), (WorkerSettings(index_slots=4), 4)])
async def test_a_workers_groups_are_as_large_as_its_settings_say(settings: WorkerSettings, places: int) -> None:
    crossing = Crossing()
    crossing.group = group_commit(crossing.under_way, settings)
    with crossing.busy(Step.EMBED):
        for number in range(places - 1):
            await crossing.arrive(f"{number}")
        assert crossing.written == []
        await crossing.arrive("last")
        assert len(crossing.written) == places
    crossing.may_end.set()


async def test_a_group_goes_when_its_first_document_has_waited_long_enough() -> None:
    crossing = Crossing(wait_s=0.001)
    crossing.may_end.set()
    with crossing.busy(Step.EMBED):
        first = await crossing.arrive("first")
        async with asyncio.timeout(20):
            await first
    assert crossing.written == ["first"]


async def test_the_next_group_waits_as_long_again() -> None:
    crossing = Crossing(places=2)
    with crossing.busy(Step.EMBED):
        for name in ("first", "second", "third"):
            await crossing.arrive(name)
        assert sorted(crossing.written) == ["first", "second"]
    await turn()
    assert sorted(crossing.written) == ["first", "second", "third"]


async def test_an_attempt_that_is_cancelled_while_it_waits_keeps_nobody() -> None:
    crossing = Crossing(places=2)
    with crossing.busy(Step.EMBED):
        first = await crossing.arrive("first")
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await crossing.arrive("second")
        assert crossing.written == [], "the place of the cancelled one is free"
        await crossing.arrive("third")
    assert sorted(crossing.written) == ["second", "third"]


async def test_a_document_that_was_handed_on_is_waited_for_until_it_is_here() -> None:
    crossing = Crossing()
    with crossing.busy(Step.EMBED):
        crossing.under_way.ended(ended(Step.EMBED, "second"))
    await crossing.arrive("first")
    assert crossing.written == []
    await crossing.arrive("second")
    assert sorted(crossing.written) == ["first", "second"]


async def test_a_document_that_goes_on_at_another_worker_is_not_waited_for_long() -> None:
    crossing = Crossing(handed_on_s=0.001)
    crossing.may_end.set()
    crossing.under_way.ended(ended(Step.CHUNK, "elsewhere"))
    first = await crossing.arrive("first")
    async with asyncio.timeout(20):
        await first
    assert crossing.written == ["first"]


async def test_where_documents_take_long_from_step_to_step_one_is_expected_longer_but_not_for_ever() -> None:
    under_way = UnderWay(Told())
    for number in range(20):
        under_way.ended(ended(Step.PARSE, f"upload {number}", hop_s=9))
    assert under_way.expected_s == HANDED_ON_S, "the inbox of a large upload is no measure"
    for number in range(20):
        under_way.ended(ended(Step.INDEX, f"before {number}", hop_s=0.07))
    assert HANDED_ON_S < under_way.expected_s <= 0.14
    for number in range(20):
        under_way.ended(ended(Step.INDEX, f"before {number}", hop_s=9))
    assert under_way.expected_s == HANDED_ON_S_MAX


async def test_nobody_waits_for_a_document_that_is_behind_already() -> None:
    crossing = Crossing()
    crossing.may_end.set()
    with crossing.under_way.in_hand(Step.PARSE, "behind"):
        with crossing.group.here("behind"):
            await crossing.arrive("first")
            assert crossing.written == ["first"]
            async with crossing.group.together("behind"):
                assert crossing.written == ["first"], "it waits for nobody either"
            await crossing.arrive("second")
            assert crossing.written == ["first", "second"], "it is here until it has left as a whole"
        await crossing.arrive("third")
        assert crossing.written == ["first", "second"]
    await turn()
    assert crossing.written == ["first", "second", "third"]


async def test_a_document_does_not_wait_for_itself() -> None:
    crossing = Crossing()
    for step in (Step.PARSE, Step.CHUNK, Step.EMBED):
        with crossing.busy(step):
            crossing.under_way.ended(ended(step, "alone"))
    await crossing.arrive("alone")
    assert crossing.written == ["alone"]


def test_what_is_told_is_passed_on() -> None:
    told = Told()
    under_way = UnderWay(told)
    under_way.began(Step.FINISH)
    under_way.ended(ended(Step.FINISH, "document"))
    under_way.left(Step.FINISH)
    assert told.said == ["began finish", "ended finish of document", "left finish"]
    assert under_way.documents == 0
