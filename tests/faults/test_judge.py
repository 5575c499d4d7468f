"""The test of the tests: what must never happen is made to happen by hand, and the judge sees each of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from events.steps import Lane, Step
from knowledge.lance_imports import import_lancedb
from millstream.stores import Stores, views_of
from tests.faults.checker import Verdict, looking_into, verdict
from tests.faults.documents import texts
from tests.faults.history import Call, History, Outcome
from tests.faults.mill import CANARY, PROJECTOR, WORKERS, Mill

SOON_S = 0.5
"""Where something is left over for ever, waiting for rest is a waste."""

Damage = Callable[[Stores], Awaitable[None]]


@pytest.fixture(scope="module")
def mill() -> Iterator[Mill]:
    """One worker is enough here."""
    with Mill() as started:
        yield started.start_all(workers=WORKERS[:1])


def test_answers_that_break_a_promise_are_seen(mill: Mill, history: History) -> None:
    kb = history.create("promised")
    told = history.submit(kb, texts(1, "promised"))
    verdict(mill, history, kb).assert_clean()
    nobody = "doc_00" + "0" * 32
    assert broken_promise(mill, history, kb, told, document_ids=(nobody,)).lost
    assert broken_promise(mill, history, kb, told, document_ids=(told.document_ids[0], nobody)).twice_accepted
    assert broken_promise(mill, history, kb, told, body=f"your key is {CANARY}").canaries_seen
    assert broken_promise(mill, history, kb, told, body="Traceback (most recent call last)").tracebacks
    oops = {
        "outcome": Outcome.FAIL,
        "status": 500,
        "code": "internal_error",
        "content_type": "application/problem+json",
    }
    assert broken_promise(mill, history, kb, told, **oops).undocumented_answers
    with mill.log_path(PROJECTOR).open("a") as log:
        log.write('{"event": "attempt_broke", "level": "error"}\n')
    assert verdict(mill, history, kb, within_s=SOON_S).unexpected_errors == 1


def test_each_kind_of_damage_is_seen(mill: Mill, history: History) -> None:
    kb = history.create("damaged")
    document = history.submit(kb, texts(3)).document_ids[0]
    before = verdict(mill, history, kb).assert_clean()
    # Nobody may mend, or trip over, what is damaged here.
    mill.kill(WORKERS[0])
    mill.kill(PROJECTOR)
    damages: list[tuple[Damage, str]] = [
        (lambda stores: rows_added_again(stores, kb, document), "rows_twice"),
        (lambda stores: rows_deleted(stores, kb, document), "rows_missing"),
        (lambda stores: row_of_nobody(stores, kb), "rows_stale"),
        (lambda stores: source_altered(stores, document), "blobs_altered"),
        (lambda stores: source_deleted(stores, document), "blobs_absent"),
        (view_changed, "view_differences"),
        (pointer_left, "left_in_inboxes not_converged"),
        (event_added_again, "log_gaps terminal_violations"),
    ]
    for damage, figures in damages:
        asyncio.run(inflicted(mill, damage))
        after = verdict(mill, history, kb, within_s=SOON_S)
        for figure in figures.split():
            assert getattr(before, figure) == 0, f"{figure} was seen before"
            assert getattr(after, figure) > 0, f"{figure} is not seen"
        before = after


async def inflicted(mill: Mill, damage: Damage) -> None:
    async with looking_into(mill) as stores:
        await damage(stores)


def broken_promise(mill: Mill, history: History, kb: str, told: Call, **others: Any) -> Verdict:
    """What the judge says of an answer that never was."""
    digests = told.sha256 * len(others.get("document_ids", told.document_ids))
    history.calls.append(msgspec.structs.replace(told, sha256=digests, **others))
    try:
        return verdict(mill, history, kb, within_s=SOON_S)
    finally:
        history.calls.pop()


@asynccontextmanager
async def table_of(stores: Stores, kb: str) -> AsyncIterator[Any]:
    connection = await import_lancedb().connect_async(str(stores.settings.data_path / "index"))
    yield await connection.open_table(f"{kb}.1")
    connection.close()


async def rows_added_again(stores: Stores, kb: str, document: str) -> None:
    async with table_of(stores, kb) as table:
        await table.add(await table.query().where(f"document_id = '{document}'").to_arrow())


async def rows_deleted(stores: Stores, kb: str, document: str) -> None:
    async with table_of(stores, kb) as table:
        await table.delete(f"document_id = '{document}'")


async def row_of_nobody(stores: Stores, kb: str) -> None:
    async with table_of(stores, kb) as table:
        await table.update({"document_id": "doc_of_nobody"}, where="ordinal = 0")


async def source_altered(stores: Stores, document: str) -> None:
    async for info in stores.blobs.list(f"documents/{document}/source@"):
        if not info.key.endswith(".json"):
            await stores.blobs.put(info.key, b"something else")


async def source_deleted(stores: Stores, document: str) -> None:
    assert await stores.blobs.delete_prefix(f"documents/{document}/source@")


async def view_changed(stores: Stores) -> None:
    for partition in range(stores.log.partitions):
        generation = await views_of(stores).live_generation(partition)
        await stores.clients.commands.delete(stores.keys.view(partition, generation, "rows:tasks"))


async def pointer_left(stores: Stores) -> None:
    await stores.clients.commands.xadd(stores.keys.inbox(0, Step.PARSE, Lane.BULK), {"p": b"left"})


async def event_added_again(stores: Stores) -> None:
    """The last event of each partition, as an append would write it that forgot to look."""
    client = stores.clients.commands
    for partition in range(stores.log.partitions):
        log = stores.keys.log(partition)
        found: Any = await client.xrevrange(log, count=1)
        for _, fields in found:
            await client.xadd(log, fields)
