"""Appends to one partition that wait together are one call of the server, and each is decided by itself."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from events.digests import DigestChange, DigestClaim, Move
from events.document import DocumentFailed, StepStarted
from events.envelope import Envelope, Event
from events.errors import FormatMismatch
from events.ids import DocumentId
from events.inbox import InboxKey
from events.log import Appended, Conflict, Taken, Tally, Write
from events.redis_border import execute
from events.redis_clients import Clients
from events.redis_groups import GROUP_CALLS_MAX
from events.steps import Step
from tests.contract.log_world import RedisWorld, inbox_key
from tests.event_samples import accepted, new_document, new_knowledge_base, new_task, write

pytest_plugins = ("tests.servers.redis",)

KB = new_knowledge_base()
TASK = new_task()
STARTED = StepStarted(step=Step.PARSE, attempt=1, worker="w")
SHA = "0123456789abcdef" * 4


def started(document: DocumentId, expected: int = 0, *, count: int = 1) -> Write:
    return write(document, expected, *[STARTED] * count, knowledge_base=KB, task=TASK)


@pytest.fixture
async def world(redis_clients: Clients) -> RedisWorld:
    """A server that knows the script."""
    found = RedisWorld(redis_clients)
    await found.log.append([started(new_document())])
    return found


async def calls_of_scripts(clients: Clients) -> int:
    stats: dict[str, Any] = await clients.commands.info("commandstats")
    return int(stats["cmdstat_evalsha"]["calls"])


async def together(world: RedisWorld, *writes: Write | list[Write]) -> list[Any]:
    """Their answers; a refusal is its error."""
    calls = (world.log.append(one if isinstance(one, list) else [one]) for one in writes)
    return await asyncio.gather(*calls, return_exceptions=True)


async def entries(world: RedisWorld) -> list[Envelope]:
    """Behind the one that the world begins with. Their numbers have no gap."""
    found = [one for one in await world.log.read(0, limit=10_000) if isinstance(one, Envelope)]
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    assert (await world.log.head(0)).number == len(found)
    assert (await world.log.head(0)).position == found[-1].position
    return found[1:]


async def test_what_waits_together_is_one_call_of_the_server(world: RedisWorld, redis_clients: Clients) -> None:
    before = await calls_of_scripts(redis_clients)
    answers = await together(world, *(started(new_document()) for _ in range(16)))
    assert all(isinstance(one, Appended) for one in answers)
    assert await calls_of_scripts(redis_clients) == before + 1


async def test_a_call_holds_so_many_appends_that_the_server_is_not_held_up(
    world: RedisWorld, redis_clients: Clients
) -> None:
    before, count = await calls_of_scripts(redis_clients), 10 * GROUP_CALLS_MAX
    answers = await together(world, *(started(new_document()) for _ in range(count)))
    assert all(isinstance(one, Appended) for one in answers)
    assert count // GROUP_CALLS_MAX <= await calls_of_scripts(redis_clients) - before <= 2 * count // GROUP_CALLS_MAX
    assert len(await entries(world)) == count


async def test_events_of_one_append_lie_next_to_each_other(world: RedisWorld) -> None:
    appends = [[started(new_document(), count=2), started(new_document(), count=3)] for _ in range(10)]
    answers = await together(world, *appends)
    events = [one.envelopes for append in appends for one in append]
    assert [one.event_id for one in await entries(world)] == [one.event_id for part in events for one in part]
    positions = [position for one in answers for position in one.positions]
    assert positions == [one.position for one in await entries(world)]


async def test_one_that_conflicts_is_told_and_holds_up_no_other(world: RedisWorld) -> None:
    late, documents = new_document(), [new_document() for _ in range(6)]
    writes = [started(one) for one in documents]
    answers = await together(world, *writes[:3], [started(new_document()), started(late, 7)], *writes[3:])
    assert answers.pop(3) == Conflict(late, 0)
    assert all(isinstance(one, Appended) for one in answers)
    assert [one.stream_id for one in await entries(world)] == documents


async def test_one_that_a_foreign_key_refuses_leaves_nothing_and_holds_up_no_other(
    world: RedisWorld, redis_clients: Clients
) -> None:
    refused, documents = new_document(), [new_document() for _ in range(6)]
    failed = DocumentFailed(step=Step.PARSE, code="x", message="x")
    ended = write(refused, 0, accepted(TASK, KB), failed, knowledge_base=KB, task=TASK, tally=(Tally(failed=1),))
    writes = [started(one) for one in documents]
    keys = world.keys
    for foreign in (keys.stream(refused), keys.history(refused), keys.tally(TASK), keys.dead(0)):
        await execute(redis_clients.commands, "FLUSHDB")
        await world.log.append([started(new_document())])
        await execute(redis_clients.commands, "SET", foreign, "foreign")
        answers = await together(world, *writes[:3], [started(new_document()), ended], *writes[3:])
        assert isinstance(answers.pop(3), FormatMismatch), foreign
        assert all(isinstance(one, Appended) for one in answers)
        assert [one.stream_id for one in await entries(world)] == documents
        assert await execute(redis_clients.commands, "GET", foreign) == b"foreign"


async def test_a_later_one_sees_what_an_earlier_wrote(world: RedisWorld) -> None:
    document = new_document()
    first, second, late = started(document), started(document, 1), started(document, 1)
    one, other, too_late, again = await together(world, first, second, late, first)
    assert isinstance(one, Appended)
    assert isinstance(other, Appended)
    assert too_late == Conflict(document, 2)
    assert again == replace(one, is_repeat=True)
    assert [one.version for one in await entries(world)] == [1, 2]


@pytest.mark.parametrize("last", [10**8 - 1, 10**15 - 1, 2**53 - 3])
async def test_numbers_are_written_in_digits_however_long_the_log_is(
    world: RedisWorld, redis_clients: Clients, last: int
) -> None:
    """Servers before 7.2.5 write what scripts tell them as 1e+8."""
    await execute(redis_clients.commands, "HSET", world.keys.meta(0), "number", last)
    await together(world, started(new_document()), started(new_document()))
    _, *found = await world.log.read(0)
    assert [one.number for one in found] == [last + 1, last + 2]
    assert (await world.log.head(0)).number == last + 2


async def test_of_two_with_the_same_bytes_the_first_holds_them(world: RedisWorld) -> None:
    def uploaded(document: DocumentId) -> Write:
        plain = write(document, 0, accepted(TASK, KB), knowledge_base=KB, task=TASK)
        return replace(plain, digests=(DigestChange(SHA, Move.LAST),), claims=(DigestClaim(SHA, None),))

    first, second = new_document(), new_document()
    one, other = await together(world, uploaded(first), uploaded(second))
    assert isinstance(one, Appended)
    assert other == Taken((DigestClaim(SHA, first),))


async def test_a_task_whose_last_documents_end_together_is_finished_once(world: RedisWorld) -> None:
    def changed(document: DocumentId, event: Event, expected: int, tally: Tally) -> Write:
        return write(document, expected, event, knowledge_base=KB, task=task, tally=(tally,))

    task, documents = new_task(), [new_document() for _ in range(5)]
    failed = DocumentFailed(step=Step.PARSE, code="x", message="x")
    await together(world, *(changed(one, STARTED, 0, Tally(open_documents=1)) for one in documents))
    assert await world.log.tally(task) == Tally(open_documents=5)
    await together(world, *(changed(one, failed, 1, Tally(open_documents=-1, failed=1)) for one in documents))
    assert await world.log.tally(task) == Tally(failed=5)
    assert (await world.inbox.depth(inbox_key(Step.FINISH))).waiting == 1


async def test_each_takes_its_own_delivery_out(world: RedisWorld) -> None:
    documents = [new_document() for _ in range(8)]
    uploads = [write(one, 0, accepted(TASK, KB), knowledge_base=KB, task=TASK) for one in documents]
    await together(world, *uploads)
    parse: InboxKey = inbox_key(Step.PARSE)
    taken = await world.inbox.take([parse], consumer="a", count=9)
    calls = (world.log.append([started(one.stream_id, 1)], acknowledge=one) for one in taken[:7])  # type: ignore[arg-type]
    assert all(isinstance(one, Appended) for one in await asyncio.gather(*calls))
    assert await world.inbox.mine([parse], consumer="a", count=9) == taken[7:]
