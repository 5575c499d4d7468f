"""Documents with the same bytes: what follows from the policy, and who claims the bytes."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from domain import commands as c
from domain.deciders import DOCUMENT, TASK
from domain.document import Accepted, Failed, Indexed, Removed, Skipped
from domain.errors import Contention
from domain.handle import TAKEN_MAX, Context, Request, handle, handle_together, load
from domain.replacing import removals_of, replaced_by
from events.digests import DigestChange, Move, digest_of
from events.document import DocumentAccepted, DocumentSkipped, OnDuplicate
from events.envelope import Event
from events.ids import DocumentId, document_id, unpack_stream_id
from events.log import Tally
from events.memory import MemoryLog
from events.memory_derived import MemoryDerived
from events.steps import Step
from tests.facts import ACCEPT, ACCEPTED, SKIPPED, TASK_ID, UNTIL_ENDED, UNTIL_GONE, UNTIL_OPEN, reprocessing
from tests.specification import given
from tests.strategies import DOCUMENTS, KNOWLEDGE_BASE, TASKS
from tests.unit.domain.busy_log import EVERYTHING_AFTER, BusyLog, new_context, new_log

SHA = ACCEPT.sha256
HOLDER = DOCUMENTS[1]
FIRST, SECOND, THIRD = (document_id(TASK_ID, ordinal) for ordinal in (1, 2, 3))
FAILING: tuple[c.DocumentCommand, ...] = (
    c.StartStep(step=Step.PARSE, attempt=1, worker="w"),
    c.FailStep(step=Step.PARSE, attempt=1, code="broken", message="broken"),
)


def accept(on_duplicate: OnDuplicate, holder: DocumentId | None = None) -> c.AcceptDocument:
    return replace(ACCEPT, on_duplicate=on_duplicate, holder=holder)


@pytest.fixture
def log() -> MemoryLog:
    return new_log()


@pytest.fixture
def context() -> Context:
    return new_context()


@pytest.mark.parametrize("on_duplicate", OnDuplicate)
def test_bytes_that_nobody_has_are_accepted_whatever_was_asked(on_duplicate: OnDuplicate) -> None:
    given(DOCUMENT).when(accept(on_duplicate)).then(ACCEPTED)


def test_bytes_that_somebody_has_are_skipped_replace_or_are_kept() -> None:
    skipped = replace(SKIPPED, filename=ACCEPT.filename, duplicate_of=HOLDER)
    given(DOCUMENT).when(accept(OnDuplicate.SKIP, HOLDER)).then(skipped)
    given(DOCUMENT).when(accept(OnDuplicate.REPLACE, HOLDER)).then(replace(ACCEPTED, replaces=HOLDER))
    given(DOCUMENT).when(accept(OnDuplicate.KEEP, HOLDER)).then(ACCEPTED)


@pytest.mark.parametrize("on_duplicate", OnDuplicate)
def test_a_document_that_is_there_is_not_decided_anew(on_duplicate: OnDuplicate) -> None:
    given(DOCUMENT, ACCEPTED).when(accept(on_duplicate, HOLDER)).then_nothing()
    given(DOCUMENT, SKIPPED).when(accept(on_duplicate, HOLDER)).then_nothing()


def changes(*events: Event) -> list[Move]:
    state, found = DOCUMENT.initial, list[DigestChange]()
    for event in events:
        after = DOCUMENT.evolve(state, event, 1)
        found += DOCUMENT.digests(state, after)
        state = after
    assert {one.sha256 for one in found} <= {SHA}
    return [one.move for one in found]


def test_a_document_claims_its_bytes_as_long_as_it_lives() -> None:
    assert changes(*UNTIL_OPEN[Step.INDEX]) == [Move.LAST]
    assert changes(*UNTIL_ENDED["indexed"]) == [Move.LAST]
    assert changes(*UNTIL_ENDED["failed"]) == [Move.LAST, Move.RELEASE]
    assert changes(*UNTIL_ENDED["cancelled"]) == [Move.LAST, Move.RELEASE]
    assert changes(*UNTIL_ENDED["skipped"]) == []
    assert changes(*UNTIL_GONE["erased"]) == [Move.LAST, Move.RELEASE]


def test_what_begins_again_comes_behind_those_that_took_its_place() -> None:
    again = (*UNTIL_ENDED["failed"], reprocessing(Step.PARSE))
    assert changes(*again) == [Move.LAST, Move.RELEASE, Move.LAST]
    first, *rest = again
    assert first == ACCEPTED
    assert changes(replace(ACCEPTED, replaces=HOLDER), *rest) == [Move.FIRST, Move.RELEASE, Move.LAST]
    assert changes(*UNTIL_ENDED["indexed"], reprocessing(Step.PARSE)) == [Move.LAST]


async def come_in(
    log: MemoryLog, context: Context, document: DocumentId, on_duplicate: OnDuplicate = OnDuplicate.SKIP
) -> Event:
    handled = await handle(log, DOCUMENT, document, [accept(on_duplicate)], context)
    return handled.envelopes[0].event


async def claims(log: MemoryLog) -> tuple[DocumentId, ...]:
    found = await MemoryDerived(log).digests(KNOWLEDGE_BASE)
    return tuple(DocumentId(unpack_stream_id(one)) for one in found.get(digest_of(SHA), ()))


async def become_searchable(log: MemoryLog, context: Context, document: DocumentId) -> None:
    """As the worker does it: what is replaced goes in the same append."""
    before, last = EVERYTHING_AFTER[:-1], EVERYTHING_AFTER[-1:]
    handled = await handle(log, DOCUMENT, document, before, context)
    replaced = replaced_by(handled.folded.state)
    beside = None if replaced is None else lambda: removals_of(log, replaced, context)
    await handle(log, DOCUMENT, document, last, context, beside=beside)


async def test_the_second_upload_of_the_same_bytes_is_a_duplicate_of_the_first(
    log: MemoryLog, context: Context
) -> None:
    assert isinstance(await come_in(log, context, FIRST), DocumentAccepted)
    second = await come_in(log, context, SECOND)
    assert isinstance(second, DocumentSkipped)
    assert second.duplicate_of == FIRST
    assert await claims(log) == (FIRST,)


async def test_of_many_at_once_one_is_accepted_and_all_others_point_at_it(log: MemoryLog, context: Context) -> None:
    names = [document_id(TASK_ID, ordinal) for ordinal in range(32)]
    events = await asyncio.gather(*(come_in(log, context, name) for name in names))
    (winner,) = [name for name, event in zip(names, events, strict=True) if isinstance(event, DocumentAccepted)]
    assert [one.duplicate_of for one in events if isinstance(one, DocumentSkipped)] == [winner] * 31


async def test_bytes_whose_document_has_failed_are_accepted_again(log: MemoryLog, context: Context) -> None:
    await come_in(log, context, FIRST)
    await handle(log, DOCUMENT, FIRST, FAILING, context)
    assert isinstance(await come_in(log, context, SECOND), DocumentAccepted)


async def test_whoever_is_skipped_for_a_document_that_goes_meanwhile_is_accepted_after_all(
    log: MemoryLog, context: Context
) -> None:
    """The answer "you have it already" must be true when it is given."""
    await come_in(log, context, FIRST)

    async def remove() -> None:
        if busy.appends == 2:  # it knows the holder, and is about to point at it
            await handle(log, DOCUMENT, FIRST, [c.RemoveDocument()], context)

    busy = BusyLog(log, remove, times=2)
    handled = await handle(busy, DOCUMENT, SECOND, [accept(OnDuplicate.SKIP)], context)
    assert isinstance(handled.folded.state, Accepted)
    assert busy.appends == 3


async def test_a_digest_whose_holder_never_stays_is_contention(log: MemoryLog, context: Context) -> None:
    async def change_hands() -> None:
        newest = document_id(TASK_ID, 100 + busy.appends)
        await come_in(log, context, newest, OnDuplicate.REPLACE)

    busy = BusyLog(log, change_hands, times=TAKEN_MAX + 1)
    with pytest.raises(Contention):
        await handle(busy, DOCUMENT, SECOND, [accept(OnDuplicate.REPLACE)], context)
    assert busy.appends == TAKEN_MAX


async def test_what_replaces_holds_the_bytes_and_the_old_one_goes_when_it_is_searchable(
    log: MemoryLog, context: Context
) -> None:
    await come_in(log, context, FIRST)
    await become_searchable(log, context, FIRST)
    accepted = await come_in(log, context, SECOND, OnDuplicate.REPLACE)
    assert isinstance(accepted, DocumentAccepted)
    assert accepted.replaces == FIRST
    assert await claims(log) == (SECOND, FIRST)
    assert isinstance((await load(log, DOCUMENT, FIRST)).state, Indexed)
    await become_searchable(log, context, SECOND)
    assert isinstance((await load(log, DOCUMENT, FIRST)).state, Removed)
    assert await claims(log) == (SECOND,)


async def test_where_what_replaces_fails_the_old_one_is_as_it_was(log: MemoryLog, context: Context) -> None:
    await come_in(log, context, FIRST)
    await become_searchable(log, context, FIRST)
    before = await load(log, DOCUMENT, FIRST)
    await come_in(log, context, SECOND, OnDuplicate.REPLACE)
    await handle(log, DOCUMENT, SECOND, [c.CancelDocument()], context)
    assert await load(log, DOCUMENT, FIRST) == before
    assert await claims(log) == (FIRST,)
    third = await come_in(log, context, THIRD)
    assert isinstance(third, DocumentSkipped)
    assert third.duplicate_of == FIRST


@pytest.mark.parametrize("order", [(FIRST, SECOND, THIRD), (THIRD, FIRST, SECOND), (SECOND, THIRD), (THIRD,)])
async def test_a_chain_of_replacements_ends_with_the_newest_alone(
    log: MemoryLog, context: Context, order: Sequence[DocumentId]
) -> None:
    for one in (FIRST, SECOND, THIRD):
        await come_in(log, context, one, OnDuplicate.REPLACE)
    assert await claims(log) == (THIRD, SECOND, FIRST)
    for one in order:
        if not isinstance((await load(log, DOCUMENT, one)).state, Removed):
            await become_searchable(log, context, one)
    assert await claims(log) == (THIRD,)
    for one in (FIRST, SECOND):
        assert isinstance((await load(log, DOCUMENT, one)).state, Removed)


async def test_one_in_the_middle_of_a_chain_that_failed_stays_and_those_before_it_go(
    log: MemoryLog, context: Context
) -> None:
    for one in (FIRST, SECOND, THIRD):
        await come_in(log, context, one, OnDuplicate.REPLACE)
    await become_searchable(log, context, FIRST)
    await handle(log, DOCUMENT, SECOND, FAILING, context)
    await become_searchable(log, context, THIRD)
    assert isinstance((await load(log, DOCUMENT, FIRST)).state, Removed)
    assert isinstance((await load(log, DOCUMENT, SECOND)).state, Failed)
    assert await claims(log) == (THIRD,)


async def test_a_document_that_was_searchable_once_takes_nothing_away_again(log: MemoryLog, context: Context) -> None:
    """What it replaced failed then, and somebody has begun it again since: that is their wish."""
    await come_in(log, context, FIRST)
    await come_in(log, context, SECOND, OnDuplicate.REPLACE)
    await handle(log, DOCUMENT, FIRST, FAILING, context)
    await become_searchable(log, context, SECOND)
    again = c.RequestReprocessing(reason="again", task_id=TASKS[1])
    await handle(log, DOCUMENT, FIRST, [again], context)
    assert await claims(log) == (SECOND, FIRST)
    handled = await handle(log, DOCUMENT, SECOND, [replace(again, from_step=Step.INDEX)], context)
    assert replaced_by(handled.folded.state) is None


async def test_equal_files_of_one_request_are_one_document(log: MemoryLog, context: Context) -> None:
    handled = await handle_together(log, together(OnDuplicate.SKIP, OnDuplicate.SKIP), context)
    states = [one.folded.state for one in handled[1:]]
    assert isinstance(states[0], Accepted)
    assert isinstance(states[1], Skipped)
    assert states[1].duplicate_of == FIRST
    assert await log.tally(TASK_ID) == Tally(open_documents=1, skipped=1)


async def test_equal_files_of_one_request_that_are_there_already_are_both_skipped_for_that_one(
    log: MemoryLog, context: Context
) -> None:
    await come_in(log, context, THIRD)
    handled = await handle_together(log, together(OnDuplicate.SKIP, OnDuplicate.SKIP), context)
    assert [one.folded.state.duplicate_of for one in handled[1:]] == [THIRD, THIRD]


async def test_equal_files_of_one_request_that_replace_are_one_document(log: MemoryLog, context: Context) -> None:
    await come_in(log, context, THIRD)
    handled = await handle_together(log, together(OnDuplicate.REPLACE, OnDuplicate.SKIP), context)
    first, second = (one.folded.state for one in handled[1:])
    assert first.record.about.replaces == THIRD
    assert second.duplicate_of == FIRST
    assert await claims(log) == (FIRST, THIRD)


def together(*policies: OnDuplicate) -> list[Request[Any, Any]]:
    submit = c.SubmitTask(knowledge_base_id=KNOWLEDGE_BASE, documents=len(policies))
    requests: list[Request[Any, Any]] = [Request(TASK, TASK_ID, (submit,))]
    requests += [Request(DOCUMENT, document_id(TASK_ID, n), (accept(one),)) for n, one in enumerate(policies, start=1)]
    return requests
