"""Steps carried out by workers over gRPC: leased, renewed, completed, failed, lost, and what comes of it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from grpc.aio import AioRpcError, Metadata

from events.redis_clients import make_clients
from millstream.grpc.refusals import REQUEST_ID
from millstream.grpc.v1 import tasks_pb2 as pb
from tests.grpc_as_http import as_http, without_empty
from tests.integration.grpc_facts import cancel_what_is_left, history, refusal, status_when, types_in
from tests.integration.grpc_worker import RemoteWorker, remote_worker, vectors_of
from tests.integration.grpc_world import GUARD_S, GrpcWorld, code_of, grpc_world, shown
from tests.servers.redis_process import RedisProcess

pytest_plugins = ("tests.servers.redis",)
pytestmark = pytest.mark.asyncio(loop_scope="module")

LEASE_S = 2
LOST = (grpc.StatusCode.FAILED_PRECONDITION, "lease_lost")
BAD = (grpc.StatusCode.INVALID_ARGUMENT, "bad_result")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(redis_server: RedisProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GrpcWorld]:
    """One for the module; parsing and embedding are left to the tests."""
    async with make_clients(redis_server.url) as clients:
        await clients.commands.flushall()
    async with grpc_world(
        redis_server.url,
        tmp_path_factory.mktemp("grpc"),
        steps="",
        steps_elsewhere="parse,embed",
        grpc_lease_s=LEASE_S,
        lease_s=2,
        retry_base_ms=10,
    ) as made:
        yield made


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def nothing_is_left(world: GrpcWorld) -> AsyncIterator[None]:
    """Work that one test leaves is not offered to the next."""
    yield
    await cancel_what_is_left(world)


async def embed_all(worker: RemoteWorker) -> None:
    while True:
        delivery = await worker.next()
        await worker.embedded(delivery.lease, vectors_of(delivery.embed))


async def test_a_document_is_parsed_and_embedded_elsewhere_and_found_here(world: GrpcWorld) -> None:
    content = b"The bytes that only the worker can read."
    submitted = await world.submit(world.write, ("plan.txt", content))
    pages = ["Quern stones are dressed.", "".join(f"磨坊{n} dresses stone number {n}. " for n in range(4_000))]

    async with remote_worker(world, worker="node-1") as parser, remote_worker(world, pb.STEP_EMBED) as embedder:
        embedding = asyncio.create_task(embed_all(embedder))
        delivery = await parser.next()
        assert (delivery.document_id, delivery.attempt) == (submitted.documents[0].document_id, 1)
        assert (delivery.parse.filename, delivery.parse.media_type) == ("plan.txt", "text/plain")
        assert await parser.source(delivery.lease) == content
        assert delivery.parse.sha256 == hashlib.sha256(content).hexdigest()
        await parser.parsed(delivery.lease, *pages, parser="reader 7", title="A plan", numbers=[2, 5])
        document = await status_when(world, submitted, pb.DOCUMENT_PHASE_COMPLETED)
        embedding.cancel()

    path = f"/knowledge-bases/{world.own}/documents/{document.document_id}"
    shown_by_http = (await world.app.call("GET", path, world.admin)).json()
    assert as_http(document) == without_empty(shown_by_http)
    assert [stage.step for stage in document.stages] == ["parse", "chunk", "embed", "index"]
    facts = await history(world, submitted)
    (parsed,) = [fact["data"] for fact in facts if fact["type"] == "DocumentParsed"]
    assert (parsed["parser"], parsed["title"], parsed["pages"]) == ("reader 7", "A plan", 2)
    batches = [fact for fact in facts if fact["type"] == "ChunksEmbedded"]
    assert len(batches) > 1, "a batch is recorded as it comes"
    assert (document.pages, document.chunks, document.chunks_embedded) == (2, document.chunks, document.chunks)
    workers = {fact["data"]["worker"].split("@")[0] for fact in facts if fact["type"] == "StepStarted"}
    assert workers == {"node-1", "remote", "local"}
    found = await world.app.call(
        "POST", f"/knowledge-bases/{world.own}/search", world.read, json={"query": "quern", "mode": "keyword"}
    )
    assert [(one["filename"], one["page"]) for one in found.json()["passages"]][:1] == [("plan.txt", 2)]


async def test_markdown_gets_its_headings_and_tables_here(world: GrpcWorld) -> None:
    submitted = await world.submit(world.write, ("notes.bin.txt", b"something"))
    async with remote_worker(world) as worker:
        lease = (await worker.next()).lease
        await worker.parsed(
            lease, "# Querns\n\n| a | b |\n|---|---|\n| 1 | 2 |\r\n", numbers=[0, 0], format=pb.TEXT_FORMAT_MARKDOWN
        )
    document = submitted.documents[0].document_id
    path = f"/knowledge-bases/{world.own}/documents/{document}/text"
    text = (await world.app.call("GET", path, world.read)).json()

    assert text["text"] == "# Querns\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    assert [heading["text"] for heading in text["headings"]] == ["Querns"]
    assert len(text["tables"]) == 1
    assert text["pages"] == []


async def test_a_refused_call_of_a_worker_names_its_request(world: GrpcWorld) -> None:
    for offered in ("of-the-worker.1", None):
        metadata = shown(world.write) if offered is None else Metadata(*shown(world.write), ("x-request-id", offered))
        with pytest.raises(AioRpcError) as raised:
            await world.calls.ReportProgress(pb.ReportProgressRequest(lease="none"), metadata=metadata, timeout=GUARD_S)
        assert code_of(raised.value) == LOST
        told = dict(raised.value.trailing_metadata())[REQUEST_ID]
        assert told == offered or (offered is None and len(told) >= 16)


async def test_a_lease_lives_as_long_as_it_is_renewed_and_whoever_is_silent_is_overtaken(world: GrpcWorld) -> None:
    submitted = await world.submit(world.write, ("slow.txt", b"Slow rye."))
    loop = asyncio.get_running_loop()
    async with remote_worker(world, worker="silent") as silent, remote_worker(world, worker="other") as other:
        asked = {asyncio.create_task(silent.next()): silent, asyncio.create_task(other.next()): other}
        done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        first, (second,) = done.pop(), waiting
        lost, began_s = first.result(), loop.time()
        while loop.time() - began_s < 2 * LEASE_S:
            overtaken, _ = await asyncio.wait({second}, timeout=LEASE_S / 4)
            assert not overtaken
            await asked[first].report(lost.lease)
        # From here on nothing is heard of it: it counts as dead, and is told nothing more.
        again = await second
        assert (again.document_id, again.attempt) == (lost.document_id, 2)
        with pytest.raises(StopAsyncIteration):
            await asked[first].next()
        assert await refusal(asked[first].report(lost.lease)) == LOST
        assert await refusal(asked[first].parsed(lost.lease, "Too late.")) == LOST
        await asked[second].parsed(again.lease, "In time.")

    types = await types_in(world, submitted)
    assert types.count("DocumentParsed") == 1
    assert "StepFailed" not in types
    text = await world.app.call("GET", f"/knowledge-bases/{world.own}/documents/{lost.document_id}/text", world.read)
    assert "In time." in text.text


async def test_three_leases_that_ran_out_park_the_document(world: GrpcWorld) -> None:
    submitted = await world.submit(world.write, ("poison.txt", b"Ergot."))
    attempts = []
    for _ in range(3):
        async with remote_worker(world) as worker:
            attempts.append((await worker.next()).attempt)
            with pytest.raises(StopAsyncIteration):
                await worker.next()
    async with remote_worker(world):
        document = await status_when(world, submitted, pb.DOCUMENT_PHASE_FAILED)

    assert attempts == [1, 2, 3]
    assert (document.error.code, document.error.step) == ("poison_document", "parse")


async def test_a_completion_that_is_repeated_is_answered_as_the_first(world: GrpcWorld) -> None:
    submitted = await world.submit(world.write, ("twice.txt", b"Twice."))
    async with remote_worker(world) as worker:
        lease = (await worker.next()).lease
        await worker.parsed(lease, "Once.")
        await worker.parsed(lease, "Once.")
        assert await refusal(worker.report(lease)) == LOST

    assert (await types_in(world, submitted)).count("DocumentParsed") == 1


async def test_pages_that_do_not_rise_are_a_bad_result_and_the_step_comes_again(world: GrpcWorld) -> None:
    submitted = await world.submit(world.write, ("pages.txt", b"Pages."))
    async with remote_worker(world) as worker:
        first = await worker.next()
        assert await refusal(worker.parsed(first.lease, "a", "b", numbers=[2, 1])) == BAD
        second = await worker.next()
        assert second.attempt == 2
        assert await refusal(worker.embedded(second.lease, [[1.0]])) == BAD
        third = await worker.next()
        assert await refusal(worker.parsed(third.lease, "  \n ")) == BAD

    document = await status_when(world, submitted, pb.DOCUMENT_PHASE_FAILED)
    assert document.error.code == "no_text"
    failures = [fact["data"]["code"] for fact in await history(world, submitted) if fact["type"] == "StepFailed"]
    assert failures == ["bad_result", "bad_result"]


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda vectors: vectors[:-1],
        lambda vectors: [[float("nan"), *vectors[0][1:]], *vectors[1:]],
        lambda vectors: [[0.0] * len(vectors[0]), *vectors[1:]],
    ],
    ids=["too few", "not finite", "no direction"],
)
async def test_bad_vectors_are_refused_and_asked_for_once_more(world: GrpcWorld, spoiled: Any) -> None:
    submitted = await world.submit(world.write, ("vectors.txt", f"Bran {spoiled}.".encode()))
    async with remote_worker(world, pb.STEP_PARSE, pb.STEP_EMBED) as worker:
        await worker.parsed((await worker.next()).lease, f"Bran is sifted {spoiled}.")
        for _ in range(2):
            delivery = await worker.next()
            assert await refusal(worker.embedded(delivery.lease, spoiled(vectors_of(delivery.embed)))) == BAD
        document = await status_when(world, submitted, pb.DOCUMENT_PHASE_FAILED)

    assert (document.error.code, document.error.step) == ("embedding_invalid", "embed")


async def test_vectors_of_another_length_are_another_model(world: GrpcWorld) -> None:
    submitted = await world.submit(world.write, ("length.txt", b"Length."))
    async with remote_worker(world, pb.STEP_PARSE, pb.STEP_EMBED) as worker:
        await worker.parsed((await worker.next()).lease, "Of another length.")
        delivery = await worker.next()
        assert await refusal(worker.embedded(delivery.lease, [[1.0, 2.0] for _ in delivery.embed.texts])) == BAD
        document = await status_when(world, submitted, pb.DOCUMENT_PHASE_FAILED)

    assert document.error.code == "dimensions_changed"


async def test_a_failure_is_retried_as_it_says_and_a_final_one_is_a_dead_letter(world: GrpcWorld) -> None:
    submitted = await world.submit(world.write, ("fails.txt", b"Fails."))
    async with remote_worker(world) as worker:
        await worker.fail((await worker.next()).lease, "ocr_busy", retry_after=Duration(nanos=1_000_000))
        await worker.fail((await worker.next()).lease, "worker_stopped")
        third = await worker.next()
        assert third.attempt == 3
        assert await refusal(worker.fail(third.lease, "Not a code!")) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "validation_failed",
        )
        await worker.fail(third.lease, "handwriting", is_final=True)
        document = await status_when(world, submitted, pb.DOCUMENT_PHASE_FAILED)

    assert (document.error.code, document.error.message) == ("handwriting", "as the test says")
    listed = await world.app.call("GET", "/dead-letters?code=handwriting", world.read)
    assert [one["document_id"] for one in listed.json()["data"]] == [document.document_id]


async def test_work_that_nobody_wants_any_more_is_lost(world: GrpcWorld) -> None:
    submitted = await world.submit(world.write, ("cancelled.txt", b"Cancelled."))
    async with remote_worker(world) as worker:
        lease = (await worker.next()).lease
        await world.app.call("POST", f"/tasks/{submitted.task_id}/cancel", world.write)
        assert await refusal(worker.parsed(lease, "Nobody wants it.")) == LOST

    assert "DocumentParsed" not in await types_in(world, submitted)


async def test_a_lease_outlives_its_poll_and_belongs_to_one_key(world: GrpcWorld) -> None:
    await world.submit(world.write, ("outlives.txt", b"Outlives."))
    other = await world.app.make_key(world.admin, scopes=["write"])
    async with remote_worker(world) as worker:
        lease = (await worker.next()).lease
    thief = RemoteWorker(world, other, world.calls.PollSteps(pb.PollStepsRequest()))
    assert await refusal(thief.source(lease)) == LOST
    assert await refusal(thief.parsed(lease, "Stolen.")) == LOST
    await worker.parsed(lease, "Outlived.")


async def test_slots_bound_what_one_worker_holds(world: GrpcWorld) -> None:
    files = [(f"slots-{n}.txt", f"Slot {n}.".encode()) for n in range(3)]
    await world.submit(world.write, *files)
    async with remote_worker(world, slots=2) as worker:
        held = [await worker.next(), await worker.next()]
        third = asyncio.create_task(worker.next())
        await worker.report(held[0].lease)
        await worker.report(held[1].lease)
        assert not third.done()
        await worker.parsed(held[0].lease, "Slot free.")
        await worker.parsed((await third).lease, "Slot taken.")
        await worker.parsed(held[1].lease, "Slot too.")


@pytest.mark.parametrize(
    ("key", "asked", "expected"),
    [
        ("read", {}, (grpc.StatusCode.PERMISSION_DENIED, "insufficient_scope")),
        ("bound", {}, (grpc.StatusCode.PERMISSION_DENIED, "insufficient_scope")),
        ("write", {"slots": 65}, (grpc.StatusCode.INVALID_ARGUMENT, "validation_failed")),
        ("write", {"worker": "a b"}, (grpc.StatusCode.INVALID_ARGUMENT, "validation_failed")),
        ("write", {"steps": []}, (grpc.StatusCode.INVALID_ARGUMENT, "validation_failed")),
    ],
)
async def test_a_poll_that_may_not_be_is_refused(world: GrpcWorld, key: str, asked: Any, expected: Any) -> None:
    request = pb.PollStepsRequest(**{"steps": [pb.STEP_PARSE], **asked})
    call = world.calls.PollSteps(request, metadata=shown(getattr(world, key)), timeout=GUARD_S)
    assert await refusal(anext(aiter(call))) == expected
    lease = pb.ReportProgressRequest(lease="none")
    report = world.calls.ReportProgress(lease, metadata=shown(getattr(world, key)), timeout=GUARD_S)
    assert await refusal(report) == (LOST if key == "write" else expected)
