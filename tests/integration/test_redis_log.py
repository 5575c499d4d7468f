"""What only a real server can do to the log: restart, forget scripts, run full, hold foreign keys, lose its front."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from events.document import DocumentFailed, DocumentParsed, StepStarted
from events.errors import FormatMismatch, HistoryArchived, LogFull, LogUnavailable, VersionGap
from events.ids import DocumentId
from events.log import Appended, Conflict, Tally, Write
from events.redis_border import execute
from events.redis_clients import Clients, make_clients
from events.redis_log import HISTORY_PAGE_EVENTS, RedisLog
from events.steps import Step
from tests.contract.inbox_contract import INTERACTIVE, put
from tests.contract.log_world import RedisWorld
from tests.event_samples import accepted, new_document, new_knowledge_base, new_task, write
from tests.servers.redis_process import RedisProcess

pytest_plugins = ("tests.servers.redis",)

KB = new_knowledge_base()
TASK = new_task()
STARTED = StepStarted(step=Step.PARSE, attempt=1, worker="w")
PARSED = DocumentParsed(text_blob="t", parser="p", pages=1, characters=1)
EVERY_CONSEQUENCE = (
    accepted(TASK, KB, not_before_us=1),
    PARSED,
    DocumentFailed(step=Step.PARSE, code="x", message="x"),
)
"""A timer, an inbox, a dead letter and, with a tally, the end of the task."""

FAILED_TALLY = (Tally(open_documents=-1, failed=1),)


def started(document: DocumentId, expected: int = 0, *, count: int = 1) -> Write:
    return write(document, expected, *[STARTED] * count, knowledge_base=KB, task=TASK)


@pytest.fixture
def world(redis_clients: Clients) -> RedisWorld:
    return RedisWorld(redis_clients)


async def test_a_server_that_is_killed_keeps_every_acknowledged_append(own_redis: RedisProcess) -> None:
    acknowledged: set[DocumentId] = set()
    enough = asyncio.Event()

    async def append_until_it_fails(world: RedisWorld) -> None:
        while True:
            document = new_document()
            try:
                assert isinstance(await world.log.append([started(document)]), Appended)
            except LogUnavailable:
                return
            acknowledged.add(document)
            if len(acknowledged) >= 300:
                enough.set()

    async with make_clients(own_redis.url) as clients:
        writers = [asyncio.create_task(append_until_it_fails(RedisWorld(clients))) for _ in range(20)]
        await enough.wait()
        own_redis.kill()
        await asyncio.gather(*writers)
    own_redis.start()
    async with make_clients(own_redis.url) as clients:
        world = RedisWorld(clients)
        kept = {entry.stream_id for entry in await world.log.read(0, limit=100_000) if hasattr(entry, "stream_id")}
        assert len(acknowledged) >= 300
        assert acknowledged <= kept
        assert (await world.log.head(0)).number == len(kept)
        assert isinstance(await world.log.append([started(new_document())]), Appended)


async def test_an_append_goes_on_after_the_server_has_forgotten_the_scripts(
    world: RedisWorld, redis_clients: Clients
) -> None:
    for documents in ([new_document()], [new_document() for _ in range(300)]):
        await execute(redis_clients.commands, "SCRIPT", "FLUSH")
        answers = await asyncio.gather(*(world.log.append([started(document)]) for document in documents))
        assert all(isinstance(answer, Appended) for answer in answers)
    assert (await world.log.head(0)).number == 301
    await execute(redis_clients.commands, "SCRIPT", "FLUSH")
    assert await put(world)
    assert len(await world.inbox.take([INTERACTIVE], consumer="a", count=1)) == 1


async def test_a_foreign_key_refuses_the_whole_append(world: RedisWorld, redis_clients: Clients) -> None:
    first, second = new_document(), new_document()
    writes = [
        started(first),
        write(second, 0, *EVERY_CONSEQUENCE, knowledge_base=KB, task=TASK, tally=FAILED_TALLY),
    ]
    keys = world.keys
    for key in (
        *(keys.log(0), keys.meta(0), keys.due(0), keys.dead(0), keys.tally(TASK)),
        *(keys.stream(second), keys.history(second), keys.inbox(0, Step.CHUNK, INTERACTIVE.lane)),
    ):
        await execute(redis_clients.commands, "FLUSHALL")
        await execute(redis_clients.commands, "SET", key, "foreign")
        with pytest.raises(FormatMismatch):
            await world.log.append(writes)
        assert await execute(redis_clients.commands, "DBSIZE") == 1, key


async def test_a_refused_append_does_not_harm_those_that_leave_with_it(
    world: RedisWorld, redis_clients: Clients
) -> None:
    refused, documents = new_document(), [new_document() for _ in range(50)]
    await execute(redis_clients.commands, "SET", world.keys.stream(refused), "foreign")
    calls = [world.log.append([started(document)]) for document in (*documents[:25], refused, *documents[25:])]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers.pop(25), FormatMismatch)
    assert all(isinstance(answer, Appended) for answer in answers)


async def test_an_append_that_is_cancelled_harms_no_other(world: RedisWorld) -> None:
    documents = [new_document() for _ in range(20)]
    calls = [asyncio.create_task(world.log.append([started(document)])) for document in documents]
    await asyncio.sleep(0)
    calls[3].cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers.pop(3), asyncio.CancelledError)
    assert all(isinstance(answer, Appended) for answer in answers)
    repeated = await world.log.append([started(documents[3])])
    assert isinstance(repeated, Appended | Conflict)


async def test_a_full_server_refuses_appends_and_lets_the_work_in_hand_end(own_redis: RedisProcess) -> None:
    async with make_clients(own_redis.url) as clients:
        world = RedisWorld(clients)
        await put(world, count=3)
        await execute(clients.commands, "CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(LogFull):
            await world.log.append([started(new_document())])
        await world.inbox.beat("a")
        first, second, third = await world.inbox.take([INTERACTIVE], consumer="a", count=9)
        await world.inbox.acknowledge(first)
        await world.inbox.release(second, consumer="a")
        assert await world.inbox.claim_from_dead([INTERACTIVE], consumer="b", count=9, silent_ms_min=60_000) == [second]
        assert await world.inbox.mine([INTERACTIVE], consumer="a", count=9) == [third]
        await world.inbox.leave("a")
        await execute(clients.commands, "CONFIG", "SET", "maxmemory", "0")
        assert isinstance(await world.log.append([started(new_document())]), Appended)


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "unix:///nowhere/redis.sock"])
async def test_a_server_that_is_not_there_makes_every_call_unavailable(url: str) -> None:
    async with make_clients(url) as clients:
        world = RedisWorld(clients)
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: world.log.append([started(new_document())]),
            lambda: world.log.read(0),
            lambda: world.log.history(new_document()),
            lambda: world.log.tally(TASK),
            lambda: world.log.head(0),
            lambda: world.inbox.take([INTERACTIVE], consumer="a", count=1, wait_ms=10),
            lambda: world.inbox.beat("a"),
            lambda: world.inbox.move_due(0),
            lambda: world.inbox.depth(INTERACTIVE),
        ]
        for call in calls:
            with pytest.raises(LogUnavailable):
                await call()


async def test_a_history_whose_front_is_archived_says_so_and_its_rest_is_read(
    world: RedisWorld, redis_clients: Clients
) -> None:
    document = new_document()
    first, second = started(document, count=3), started(document, 3, count=2)
    await world.log.append([first])
    await world.log.append([second])
    kept = (await world.log.history(document))[2:]
    assert kept[0].position is not None
    await execute(redis_clients.commands, "LTRIM", world.keys.history(document), 2, -1)
    await execute(redis_clients.commands, "XTRIM", world.keys.log(0), "MINID", kept[0].position.entry_id)
    with pytest.raises(HistoryArchived) as raised:
        await world.log.history(document)
    assert raised.value.archived_versions == 2
    assert await world.log.history(document, after_version=2) == kept
    assert await world.log.append([first]) == Conflict(document, 5)
    repeated = await world.log.append([second])
    assert isinstance(repeated, Appended)
    assert repeated.is_repeat


async def test_an_event_that_the_log_has_lost_is_a_gap(world: RedisWorld, redis_clients: Clients) -> None:
    document = new_document()
    answer = await world.log.append([started(document, count=3)])
    assert isinstance(answer, Appended)
    await execute(redis_clients.commands, "XDEL", world.keys.log(0), answer.positions[1].entry_id)
    with pytest.raises(VersionGap):
        await world.log.history(document)


async def test_a_history_that_ends_before_its_version_is_a_gap(world: RedisWorld, redis_clients: Clients) -> None:
    document, other = new_document(), new_document()
    await world.log.append([started(document, count=2), started(other)])
    history = world.keys.history(document)
    foreign = await execute(redis_clients.commands, "LINDEX", world.keys.history(other), 0)
    await execute(redis_clients.commands, "LSET", history, 1, foreign)
    with pytest.raises(VersionGap):
        await world.log.history(document)


async def test_a_long_history_is_read_page_by_page(redis_clients: Clients) -> None:
    log = RedisLog(redis_clients.commands, redis_clients.blocking, RedisWorld(redis_clients).keys)
    document, wanted = new_document(), 2 * HISTORY_PAGE_EVENTS + 1
    await log.append([started(document, count=wanted)])
    assert [found.version for found in await log.history(document)] == list(range(1, wanted + 1))
    assert len(await log.history(document, after_version=HISTORY_PAGE_EVENTS)) == HISTORY_PAGE_EVENTS + 1


async def test_large_events_leave_in_pipelines_of_bounded_size(world: RedisWorld) -> None:
    large = msgspec.structs.replace(PARSED, title="字" * 20_000)
    documents = [new_document() for _ in range(300)]
    calls = (world.log.append([write(document, 0, large, knowledge_base=KB, task=TASK)]) for document in documents)
    answers = await asyncio.gather(*calls)
    assert all(isinstance(answer, Appended) for answer in answers)
    assert (await world.log.head(0)).number == 300
