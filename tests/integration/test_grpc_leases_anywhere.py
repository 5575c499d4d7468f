"""Leases that one API process gives and another takes the answers of: a worker behind a balancer loses nothing."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from itertools import count
from typing import Any

import grpc
import pytest
import pytest_asyncio

from events.errors import LogUnavailable
from events.redis_clients import make_clients
from millstream.grpc.v1 import tasks_pb2 as pb
from processors.lease_records import Found
from processors.redis_lease_records import RedisLeaseRecords
from processors.verdicts import Recorded
from tests.integration.grpc_facts import cancel_what_is_left, history, refusal, status_when, types_in
from tests.integration.grpc_worker import RemoteWorker, remote_worker, vectors_of
from tests.integration.grpc_world import GrpcWorld, grpc_world
from tests.servers.redis_process import RedisProcess

pytest_plugins = ("tests.servers.redis",)
pytestmark = pytest.mark.asyncio(loop_scope="module")

LEASE_S = 10
"""Longer than the process stands still for while it loads its libraries, on a busy machine."""
LOST = (grpc.StatusCode.FAILED_PRECONDITION, "lease_lost")
BAD = (grpc.StatusCode.INVALID_ARGUMENT, "bad_result")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(redis_server: RedisProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GrpcWorld]:
    """Two API processes' worth of gRPC on one Redis; parsing and embedding are left to the tests."""
    async with make_clients(redis_server.url) as clients:
        await clients.commands.flushall()
    async with grpc_world(
        redis_server.url,
        tmp_path_factory.mktemp("grpc"),
        steps="",
        apis=2,
        steps_elsewhere="parse,embed",
        grpc_lease_s=LEASE_S,
        lease_s=LEASE_S,
        retry_base_ms=10,
    ) as made:
        yield made


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def nothing_is_left(world: GrpcWorld) -> AsyncIterator[None]:
    yield
    await cancel_what_is_left(world)


async def test_what_one_process_leases_is_read_and_completed_at_another(world: GrpcWorld) -> None:
    content = b"Leased here, answered there."
    submitted = await world.submit(world.write, ("there.txt", content))
    async with remote_worker(world, pb.STEP_PARSE, pb.STEP_EMBED) as here:
        there = here.at(world.at_other())
        parse = await here.next()
        assert await there.source(parse.lease) == content
        await there.report(parse.lease)
        await there.parsed(parse.lease, "Leased here, answered there.", parser="reader 7")
        embed = await here.next()
        await there.embedded(embed.lease, vectors_of(embed.embed))
        document = await status_when(world, submitted, pb.DOCUMENT_PHASE_COMPLETED)

    types = await types_in(world, submitted)
    assert (types.count("DocumentParsed"), types.count("DocumentEmbedded"), types.count("StepFailed")) == (1, 1, 0)
    steps = [fact["data"]["step"] for fact in await history(world, submitted) if fact["type"] == "StepStarted"]
    assert steps.count("parse") == steps.count("embed") == 1, "the attempt that was begun here was ended there"
    assert document.chunks_embedded == document.chunks > 0


async def test_an_answer_that_is_repeated_at_either_process_gets_the_first_verdict(world: GrpcWorld) -> None:
    submitted = await world.submit(world.write, ("twice.txt", b"Twice."), ("again.txt", b"Again."))
    async with remote_worker(world) as here:
        there = here.at(world.at_other())
        for first, second in ((here, there), (there, here)):
            lease = (await here.next()).lease
            await first.parsed(lease, f"Once {lease}.")
            await second.parsed(lease, "Something else.")
            await first.parsed(lease, "Something else.")
            assert await refusal(second.report(lease)) == LOST

    assert (await types_in(world, submitted)).count("DocumentParsed") == 2


async def test_both_processes_asked_at_once_record_one_result(world: GrpcWorld) -> None:
    submitted = await world.submit(world.write, ("race.txt", b"Race."))
    async with remote_worker(world) as here:
        there = here.at(world.at_other())
        lease = (await here.next()).lease
        answers = await asyncio.gather(
            *(one.parsed(lease, f"By {number}.") for number, one in enumerate((here, there, here, there))),
            return_exceptions=True,
        )
    assert None in answers
    busy = {error.code() for error in answers if isinstance(error, grpc.aio.AioRpcError)}
    assert busy <= {grpc.StatusCode.UNAVAILABLE}, "whoever asks while it is recorded asks again"
    types = await types_in(world, submitted)
    assert (types.count("DocumentParsed"), types.count("StepFailed")) == (1, 0)


async def test_a_lease_lives_where_it_is_renewed(world: GrpcWorld) -> None:
    submitted = await world.submit(world.write, ("renewed.txt", b"Renewed elsewhere."))
    loop = asyncio.get_running_loop()
    async with remote_worker(world, worker="renewing") as here:
        delivery, began_s = await here.next(), loop.time()
        async with remote_worker(world, worker="waiting") as waiting:
            there, other = here.at(world.at_other()), asyncio.create_task(waiting.next())
            while loop.time() - began_s < 1.2 * LEASE_S:
                overtaken, _ = await asyncio.wait({other}, timeout=LEASE_S / 5)
                assert not overtaken
                await there.report(delivery.lease)
            await here.parsed(delivery.lease, "Renewed there, completed here.")
            other.cancel()

    assert (await types_in(world, submitted)).count("DocumentParsed") == 1


async def test_a_failure_told_elsewhere_ends_the_attempt(world: GrpcWorld) -> None:
    submitted = await world.submit(world.write, ("fails.txt", b"Fails elsewhere."))
    async with remote_worker(world) as here:
        there = here.at(world.at_other())
        await there.fail((await here.next()).lease, "ocr_busy")
        second = await here.next()
        assert second.attempt == 2
        assert await refusal(there.parsed(second.lease, "a", "b", numbers=[2, 1])) == BAD
        third = await here.next()
        await there.fail(third.lease, "handwriting", is_final=True)
        document = await status_when(world, submitted, pb.DOCUMENT_PHASE_FAILED)

    assert document.error.code == "handwriting"
    failures = [fact["data"]["code"] for fact in await history(world, submitted) if fact["type"] == "StepFailed"]
    assert failures == ["ocr_busy", "bad_result"]


@pytest.mark.parametrize("elsewhere", [(0,), (1, 2), (0, 1, 2, 3, 4, 5, 6, 7)], ids=str)
async def test_batches_that_are_answered_elsewhere_are_of_the_attempt_that_goes_on_here(
    world: GrpcWorld, elsewhere: tuple[int, ...]
) -> None:
    text = " ".join(f"磨坊{n} dresses stone number {n} by {elsewhere}." for n in range(4_000))
    submitted = await world.submit(world.write, ("long.txt", f"Long {elsewhere}.".encode()))
    asked: list[str] = []
    async with remote_worker(world, pb.STEP_PARSE, pb.STEP_EMBED) as here:
        there = here.at(world.at_other())
        await here.parsed((await here.next()).lease, text)
        async for number, delivery in batches_of(here, status_when(world, submitted, pb.DOCUMENT_PHASE_COMPLETED)):
            asked.extend(delivery.embed.texts)
            one = there if number in elsewhere else here
            await one.embedded(delivery.lease, vectors_of(delivery.embed))
            await one.embedded(delivery.lease, vectors_of(delivery.embed))
        document = await status_when(world, submitted, pb.DOCUMENT_PHASE_COMPLETED)

    assert len(asked) == document.chunks, "no batch was asked for twice"
    facts = await history(world, submitted)
    assert [fact["data"]["code"] for fact in facts if fact["type"] == "StepFailed"] == []
    assert [fact["data"]["step"] for fact in facts if fact["type"] == "StepStarted"].count("embed") == 1
    batches = [fact["data"]["batch"] for fact in facts if fact["type"] == "ChunksEmbedded"]
    assert batches == list(range(len(batches)))
    assert len(batches) > 2


async def test_an_attempt_whose_batch_was_answered_elsewhere_goes_on_behind_an_outage(
    world: GrpcWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis does not answer as the verdict is kept, nor as it is asked whether the attempt goes on."""
    text = " ".join(f"磨坊{n} dresses stone number {n}, behind an outage." for n in range(4_000))
    submitted = await world.submit(world.write, ("outage.txt", b"Outage."))
    outages: list[str] = []
    settle, find = RedisLeaseRecords.settle, RedisLeaseRecords.find

    async def settled(records: RedisLeaseRecords, *args: Any, **more: Any) -> None:
        if "settle" in outages:
            outages.remove("settle")
            raise LogUnavailable("an outage")
        await settle(records, *args, **more)

    async def looked_at(records: RedisLeaseRecords, token: str) -> Found | None:
        found = await find(records, token)
        if found is not None and isinstance(found.verdict, Recorded) and "find" in outages:
            outages.remove("find")
            raise LogUnavailable("an outage")
        return found

    monkeypatch.setattr(RedisLeaseRecords, "settle", settled)
    monkeypatch.setattr(RedisLeaseRecords, "find", looked_at)
    async with remote_worker(world, pb.STEP_PARSE, pb.STEP_EMBED) as here:
        there = here.at(world.at_other())
        await here.parsed((await here.next()).lease, text)
        first = await here.next()
        outages += ["settle", "find"]
        await there.embedded(first.lease, vectors_of(first.embed))
        async for _, delivery in batches_of(here, status_when(world, submitted, pb.DOCUMENT_PHASE_COMPLETED)):
            assert delivery.attempt == first.attempt
            await here.embedded(delivery.lease, vectors_of(delivery.embed))
    assert outages == []
    assert "StepFailed" not in await types_in(world, submitted)


async def test_a_bad_batch_told_elsewhere_ends_the_attempt_as_it_does_here(world: GrpcWorld) -> None:
    text = " ".join(f"磨坊{n} dresses stone number {n}, badly." for n in range(4_000))
    await world.submit(world.write, ("bad batch.txt", b"Bad batch."))
    async with remote_worker(world, pb.STEP_PARSE, pb.STEP_EMBED) as here:
        there = here.at(world.at_other())
        await here.parsed((await here.next()).lease, text)
        first = await here.next()
        await there.embedded(first.lease, vectors_of(first.embed))
        second = await here.next()
        assert second.attempt == first.attempt
        assert await refusal(there.embedded(second.lease, vectors_of(second.embed)[1:])) == BAD
        third = await here.next()
        assert (list(third.embed.texts), third.attempt) == (list(second.embed.texts), first.attempt + 1)
        await here.embedded(third.lease, vectors_of(third.embed))


async def batches_of(worker: RemoteWorker, ending: Coroutine[Any, Any, Any]) -> AsyncIterator[tuple[int, pb.Delivery]]:
    """Deliveries with their numbers, until the document has ended."""
    ended = asyncio.create_task(ending)
    for number in count():
        coming = asyncio.create_task(worker.next())
        await asyncio.wait({coming, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not coming.done():
            coming.cancel()
            await ended
            return
        yield number, await coming


async def test_a_lease_belongs_to_one_key_at_every_process(world: GrpcWorld) -> None:
    await world.submit(world.write, ("mine.txt", b"Mine."))
    async with remote_worker(world) as here:
        lease = (await here.next()).lease
        async with remote_worker(world.at_other(), key=world.admin) as thief:
            assert await refusal(thief.source(lease)) == LOST
            assert await refusal(thief.report(lease)) == LOST
            assert await refusal(thief.parsed(lease, "Stolen.")) == LOST
        await here.at(world.at_other()).parsed(lease, "Mine.")


async def test_work_that_nobody_wants_any_more_is_lost_at_every_process(world: GrpcWorld) -> None:
    submitted = await world.submit(world.write, ("cancelled.txt", b"Cancelled."))
    async with remote_worker(world) as here:
        lease = (await here.next()).lease
        await world.app.call("POST", f"/tasks/{submitted.task_id}/cancel", world.write)
        assert await refusal(here.at(world.at_other()).parsed(lease, "Nobody wants it.")) == LOST

    assert "DocumentParsed" not in await types_in(world, submitted)


async def test_only_a_lease_of_parse_has_a_source_at_every_process(world: GrpcWorld) -> None:
    await world.submit(world.write, ("source.txt", b"Source."))
    async with remote_worker(world, pb.STEP_PARSE, pb.STEP_EMBED) as here:
        await here.parsed((await here.next()).lease, "Something to embed.")
        embed = await here.next()
        for one in (here, here.at(world.at_other())):
            assert await refusal(one.source(embed.lease)) == (grpc.StatusCode.INVALID_ARGUMENT, "bad_request")
        await here.embedded(embed.lease, vectors_of(embed.embed))
