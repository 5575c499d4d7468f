"""A document that replaces another: what searches find until it is searchable, and where workers die around that."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from domain.commands import CancelDocument
from domain.document import Embedded, Erased, Indexed, Removed
from events.document import DocumentIndexed, DocumentRemoved, OnDuplicate
from events.failpoints import Action, FailpointReached, Failpoints, Place, Rule, arm
from events.ids import DocumentId, KnowledgeBaseId, TaskId
from events.log import Tally
from events.steps import Step
from processors.erase import EraseStep
from processors.errands import ErrandDeliveries
from tests.searched import search_keyword
from tests.unit.processors.chunked_document import InterruptedIndex, World

TEXTS = ["passage one", "passage two"]


async def with_two(world: World) -> tuple[DocumentId, DocumentId]:
    """A document that is searchable, and one that is to replace it and has its vectors."""
    await world.mill.create()
    old = await world.chunked_too(TEXTS)
    await world.run(world.embed)
    await world.run(world.indexing)
    new = await world.chunked_too(TEXTS, on_duplicate=OnDuplicate.REPLACE)
    await world.run(world.embed)
    return old, new


async def found(world: World) -> set[str]:
    return {hit.document_id for hit in await search_keyword(world.index, world.table, "passage", limit=100)}


async def erase(world: World) -> None:
    async def documents_of(_: KnowledgeBaseId, /) -> AsyncIterator[DocumentId]:
        for document in list[DocumentId]():
            yield document

    bench = world.mill.bench()
    step = EraseStep(world.blobs, world.index, world.knowledge_bases, documents_of, bench, time_limit_s=5)
    errand = ErrandDeliveries(step, bench)
    for delivery in await world.mill.take(Step.ERASE, count=10):
        assert await errand.carry_out(delivery, 1) is None


@contextmanager
def dying_at(place: Place) -> Iterator[None]:
    arm(Failpoints((Rule(place, Action.RAISE, 0.0, 1),)))
    try:
        with pytest.raises(FailpointReached):
            yield
    finally:
        arm(Failpoints())


async def test_searches_find_the_old_document_until_the_new_one_is_searchable_and_then_the_new_one_alone() -> None:
    index = InterruptedIndex()
    world = World(index=index)
    old, new = await with_two(world)
    assert await found(world) == {old}
    seen: list[set[str]] = []

    async def look() -> None:
        seen.append(await found(world))
        assert isinstance(await world.mill.document(old), Indexed)

    index.beforehand.append(look)
    index.meanwhile.append(look)
    await world.run(world.indexing)
    assert seen == [{old}, {old, new}]
    assert isinstance(await world.mill.document(old), Removed)
    await erase(world)
    assert await found(world) == {new}
    assert isinstance(await world.mill.document(old), Erased)
    assert isinstance(await world.mill.document(new), Indexed)


async def test_the_two_facts_are_one_append() -> None:
    world = World()
    old, new = await with_two(world)
    await world.run(world.indexing)
    (indexed,) = [one for one in await world.mill.log.history(new) if isinstance(one.event, DocumentIndexed)]
    (removed,) = [one for one in await world.mill.log.history(old) if isinstance(one.event, DocumentRemoved)]
    assert indexed.number is not None
    assert removed.number == indexed.number + 1
    assert (removed.correlation_id, removed.causation_id) == (indexed.correlation_id, indexed.causation_id)


@pytest.mark.parametrize("place", [Place.WORKER_BEFORE_RESULT, Place.WORKER_RESULT_APPENDED])
async def test_a_worker_killed_around_the_append_leaves_both_or_the_new_one(place: Place) -> None:
    world = World()
    old, new = await with_two(world)
    with dying_at(place):
        await world.run(world.indexing)
    states = type(await world.mill.document(old)), type(await world.mill.document(new))
    assert states == ((Indexed, Embedded) if place is Place.WORKER_BEFORE_RESULT else (Removed, Indexed))
    world.mill.clock.advance(60)
    for delivery in await world.mill.claim(Step.INDEX, "worker-2"):
        await world.run(world.indexing, delivery)
    assert isinstance(await world.mill.document(old), Removed)
    assert isinstance(await world.mill.document(new), Indexed)
    await erase(world)
    assert await found(world) == {new}


async def test_an_old_document_that_changes_in_the_same_moment_goes_all_the_same() -> None:
    """The append compares both streams: it is made again, on what became of the old one."""
    index = InterruptedIndex()
    world = World(index=index)
    await world.mill.create()
    old = await world.chunked_too(TEXTS)
    new = await world.chunked_too(TEXTS, on_duplicate=OnDuplicate.REPLACE)
    for delivery in await world.mill.take(Step.EMBED, count=2):
        await world.run(world.embed, delivery)
    by_document = {one.stream_id: one for one in await world.mill.take(Step.INDEX, count=2)}
    append, is_first = world.mill.log.append, True

    async def start_the_old_one(*args: object, **more: object) -> object:
        nonlocal is_first
        if is_first:
            is_first = False
            await world.run(world.indexing, by_document[old])
        return await append(*args, **more)  # type: ignore[arg-type]

    async def from_now_on() -> None:
        world.mill.log.append = start_the_old_one  # type: ignore[method-assign, assignment]

    index.meanwhile.append(from_now_on)
    await world.run(world.indexing, by_document[new])
    assert isinstance(await world.mill.document(old), Removed)
    assert isinstance(await world.mill.document(new), Indexed)


async def test_a_document_that_is_replaced_while_it_is_being_worked_on_counts_as_cancelled() -> None:
    world = World()
    await world.mill.create()
    old = await world.chunked_too(TEXTS)
    new = await world.chunked_too(TEXTS, on_duplicate=OnDuplicate.REPLACE)
    first, second = await world.mill.take(Step.EMBED, count=2)
    assert (first.stream_id, second.stream_id) == (old, new)
    task = TaskId((await world.mill.log.history(old))[0].event.task_id)  # type: ignore[union-attr]
    await world.run(world.embed, second)
    await world.run(world.indexing)
    assert isinstance(await world.mill.document(old), Removed)
    assert await world.mill.log.tally(task) == Tally(cancelled=1)
    assert {one.correlation_id for one in await world.mill.take(Step.FINISH, count=10)} >= {task}


async def test_what_replaces_and_is_cancelled_leaves_the_old_document_to_be_found() -> None:
    world = World()
    old, new = await with_two(world)
    await world.mill.say(new, CancelDocument())
    await world.run(world.indexing)
    await erase(world)
    assert await found(world) == {old}
    assert isinstance(await world.mill.document(old), Indexed)


async def test_many_that_replace_one_another_leave_the_newest_alone() -> None:
    world = World()
    await world.mill.create()
    documents = [await world.chunked_too(TEXTS, on_duplicate=OnDuplicate.REPLACE) for _ in range(6)]
    for step in (world.embed, world.indexing):
        deliveries = await world.mill.take(step.step, count=10)
        world.mill.rng.shuffle(deliveries)
        await asyncio.gather(*(world.run(step, one) for one in deliveries))
    await erase(world)
    assert await found(world) == {documents[-1]}
    assert [type(await world.mill.document(one)) for one in documents] == [*[Erased] * 5, Indexed]
