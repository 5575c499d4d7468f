"""Tasks over gRPC: submitted, read and watched with the same keys, answers and refusals as over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc.aio import AioRpcError, Metadata
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from domain.access import unknown_instead
from events.redis_clients import make_clients
from events.redis_log import RedisLog
from events.redis_setup import open_installation
from millstream.grpc.error_details import KEY as DETAILS
from millstream.grpc.refusals import CODE, REQUEST_ID
from millstream.grpc.v1 import tasks_pb2 as pb
from tests.grpc_as_http import as_http, without_empty
from tests.integration.grpc_world import GUARD_S, GrpcWorld, code_of, grpc_world, parts_of, shown
from tests.servers.redis_process import RedisProcess

pytest_plugins = ("tests.servers.redis",)
pytestmark = pytest.mark.asyncio(loop_scope="module")

MESSAGE_BYTES_MAX = 65_536
SENTENCE = "磨坊主每两周修磨一次磨石。"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(redis_server: RedisProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GrpcWorld]:
    """One for the module; the worker finishes tasks and nothing else, so that documents wait."""
    async with make_clients(redis_server.url) as clients:
        await clients.commands.flushall()
    folder = tmp_path_factory.mktemp("grpc")
    limits = {"grpc_message_bytes_max": MESSAGE_BYTES_MAX, "auth_failures_per_minute_max": 0}
    async with grpc_world(redis_server.url, folder, steps="finish", **limits) as made:
        yield made


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(AioRpcError) as raised:
        await call
    return code_of(raised.value)


async def test_what_is_submitted_is_the_task_that_http_shows(world: GrpcWorld) -> None:
    name = '论文 "draft".txt'
    metadata = {"year": 2024, "score": 0.5, "draft": True, "author": "老子"}
    submitted = await world.submit(
        world.write,
        (name, "磨坊主每两周修磨一次磨石。".encode()),
        ("b.txt", b"Rye."),
        metadata=metadata,
        lane=pb.LANE_BULK,
    )

    assert [line.filename for line in submitted.documents] == [name, "b.txt"]
    shown_by_http = (await world.app.call("GET", f"/tasks/{submitted.task_id}", world.admin)).json()
    assert (shown_by_http["documents"]["total"], shown_by_http["lane"]) == (2, "bulk")
    path = f"/knowledge-bases/{world.own}/documents/{submitted.documents[0].document_id}"
    document = (await world.app.call("GET", path, world.admin)).json()
    assert (document["metadata"], document["filename"]) == (metadata, name)
    content = await world.app.call("GET", f"{path}/content", world.admin)
    assert content.text == SENTENCE
    task = await world.calls.GetTask(pb.GetTaskRequest(task_id=submitted.task_id), metadata=shown(world.read))
    assert (task.phase, task.documents.total) == (pb.TASK_PHASE_QUEUED, 2)
    assert (task.filename, task.source, task.lane) == (name, pb.TASK_SOURCE_UPLOAD, pb.LANE_BULK)
    watched = world.calls.WatchTask(pb.WatchTaskRequest(task_id=submitted.task_id), metadata=shown(world.read))
    told = {one.document.filename: one.document for one in [await anext(aiter(watched)) for _ in range(3)]}
    assert dict(told[name].metadata) == metadata
    assert (told[name].enabled, told[name].waiting.reason) == (True, pb.WAIT_REASON_FREE_WORKER)
    assert as_http(task) == without_empty(shown_by_http)
    assert as_http(told[name]) == without_empty(document)


async def test_a_repeated_submission_is_the_same_task(world: GrpcWorld) -> None:
    once = await world.submit(world.write, ("a.txt", b"Oats."), idempotency_key="again")
    twice = await world.submit(world.write, ("a.txt", b"Oats."), idempotency_key="again")

    assert twice.task_id == once.task_id
    assert await refusal(world.submit(world.write, ("a.txt", b"Barley."), idempotency_key="again")) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "idempotency_key_reused",
    )


async def test_the_trace_of_a_caller_goes_into_the_facts_that_the_call_leads_to(
    world: GrpcWorld, redis_server: RedisProcess
) -> None:
    trace_parent = f"00-{'a1' * 16}-{'b2' * 8}-01"
    metadata = Metadata(*shown(world.write), ("traceparent", trace_parent))
    parts = parts_of(pb.TaskHeader(knowledge_base_id=world.own), (("traced.txt", b"Meal."),))
    submitted = await world.calls.SubmitTask(parts, metadata=metadata, timeout=GUARD_S)

    async with make_clients(redis_server.url) as clients:
        keys = await open_installation(clients.commands, partitions=None)
        first, *_ = await RedisLog(clients.commands, clients.blocking, keys).history(submitted.task_id)
    assert first.trace_parent == trace_parent


async def test_a_watch_tells_every_state_to_the_last_and_goes_on_from_its_cursor(world: GrpcWorld) -> None:
    submitted = await world.submit(world.write, ("watched.txt", b"Spelt is watched."))
    call = world.calls.WatchTask(pb.WatchTaskRequest(task_id=submitted.task_id), metadata=shown(world.read))
    watched = aiter(call)
    beginning = [await anext(watched), await anext(watched)]
    assert [one.WhichOneof("state") for one in beginning] == ["task", "document"]
    assert beginning[1].document.phase == pb.DOCUMENT_PHASE_QUEUED

    await world.app.call("POST", f"/tasks/{submitted.task_id}/cancel", world.write)
    told = [one async for one in watched]
    again = world.calls.WatchTask(
        pb.WatchTaskRequest(task_id=submitted.task_id, cursor=beginning[1].cursor),
        metadata=shown(world.read),
        timeout=GUARD_S,
    )
    resumed = [one async for one in again]

    assert told[-1].task.phase == pb.TASK_PHASE_CANCELLED
    assert pb.DOCUMENT_PHASE_CANCELLED in {one.document.phase for one in told}
    assert resumed[-1].task == told[-1].task
    assert pb.DOCUMENT_PHASE_QUEUED not in {one.document.phase for one in resumed if one.WhichOneof("state") != "task"}


async def test_a_task_is_cancelled_as_over_http(world: GrpcWorld) -> None:
    submitted = await world.submit(world.write, ("cancelled.txt", b"Cancelled rye."))
    request = pb.CancelTaskRequest(task_id=submitted.task_id, reason="uploaded by mistake")
    denied = world.calls.CancelTask(request, metadata=shown(world.read), timeout=GUARD_S)
    assert await refusal(denied) == (grpc.StatusCode.PERMISSION_DENIED, "insufficient_scope")
    cancelled = await world.calls.CancelTask(request, metadata=shown(world.write), timeout=GUARD_S)

    assert cancelled.task_id == submitted.task_id
    assert [one.phase for one in cancelled.documents] == [pb.DOCUMENT_PHASE_CANCELLED]
    events = await world.app.call("GET", f"/tasks/{submitted.task_id}/events", world.admin)
    assert "uploaded by mistake" in events.text
    watched = [
        one
        async for one in world.calls.WatchTask(
            pb.WatchTaskRequest(task_id=submitted.task_id), metadata=shown(world.read), timeout=GUARD_S
        )
    ]
    assert [one.task.phase for one in watched if one.WhichOneof("state") == "task"][-1] == pb.TASK_PHASE_CANCELLED


async def test_a_call_ends_with_its_deadline_and_leaves_nothing_of_an_upload(world: GrpcWorld) -> None:
    async def endless() -> AsyncIterator[pb.SubmitTaskRequest]:
        yield pb.SubmitTaskRequest(header=pb.TaskHeader(knowledge_base_id=world.foreign))
        yield pb.SubmitTaskRequest(file=pb.FileHead(filename="slow.txt"))
        yield pb.SubmitTaskRequest(data=b"never")
        await asyncio.Event().wait()

    call = world.calls.SubmitTask(endless(), metadata=shown(world.write), timeout=0.5)
    assert (await refusal(call))[0] is grpc.StatusCode.DEADLINE_EXCEEDED
    listed = await world.app.call("GET", f"/tasks?knowledge_base={world.foreign}", world.admin)
    assert listed.json()["total"] == 0


@pytest.mark.parametrize(
    ("key", "kb", "files", "expected"),
    [
        (None, "own", [("a.txt", b"a")], (grpc.StatusCode.UNAUTHENTICATED, "unauthenticated")),
        ("read", "own", [("a.txt", b"a")], (grpc.StatusCode.PERMISSION_DENIED, "insufficient_scope")),
        ("bound", "foreign", [("a.txt", b"a")], (grpc.StatusCode.NOT_FOUND, "unknown_knowledge_base")),
        ("write", "own", [], (grpc.StatusCode.INVALID_ARGUMENT, "missing_file")),
        ("write", "own", [("a.txt", b"")], (grpc.StatusCode.INVALID_ARGUMENT, "empty_file")),
        ("write", "own", [("a.exe", b"MZ\x90\0" * 99)], (grpc.StatusCode.INVALID_ARGUMENT, "unsupported_type")),
    ],
)
async def test_what_http_refuses_is_refused_with_its_code(
    world: GrpcWorld, key: str | None, kb: str, files: Any, expected: Any
) -> None:
    head = pb.TaskHeader(knowledge_base_id=getattr(world, kb))
    metadata = shown(None if key is None else getattr(world, key))

    assert await refusal(world.calls.SubmitTask(parts_of(head, tuple(files)), metadata=metadata)) == expected


async def test_a_stream_that_is_no_upload_is_refused(world: GrpcWorld) -> None:
    header = pb.SubmitTaskRequest(header=pb.TaskHeader(knowledge_base_id=world.own))
    for parts in ([], [pb.SubmitTaskRequest(data=b"a")], [header, pb.SubmitTaskRequest(data=b"a")], [header, header]):
        call = world.calls.SubmitTask(iter(parts), metadata=shown(world.write))
        assert await refusal(call) == (grpc.StatusCode.INVALID_ARGUMENT, "bad_request")


async def test_a_message_may_not_be_larger_than_the_settings_allow(world: GrpcWorld) -> None:
    content = b"a" * (2 * MESSAGE_BYTES_MAX + 2)
    status, _ = await refusal(world.submit(world.write, ("large.txt", content)))
    assert status is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_foreign_task_is_an_unknown_one(world: GrpcWorld) -> None:
    submitted = await world.submit(world.admin, ("a.txt", b"Foreign rye."), kb=world.foreign)
    expected = (grpc.StatusCode.NOT_FOUND, "unknown_task")

    for task_id in (submitted.task_id, unknown_instead(submitted.task_id)):
        for request in (pb.GetTaskRequest(task_id=task_id), pb.WatchTaskRequest(task_id=task_id)):
            call = world.calls.GetTask if isinstance(request, pb.GetTaskRequest) else world.calls.WatchTask
            answer = call(request, metadata=shown(world.bound), timeout=GUARD_S)
            assert await refusal(answer if isinstance(request, pb.GetTaskRequest) else anext(aiter(answer))) == expected
    with pytest.raises(AioRpcError) as raised:
        await world.calls.GetTask(pb.GetTaskRequest(task_id="../keys"), metadata=shown(world.bound))
    assert code_of(raised.value) == (grpc.StatusCode.NOT_FOUND, "not_found")
    assert dict(raised.value.trailing_metadata())[REQUEST_ID]


async def test_a_refusal_carries_the_details_that_google_has_for_errors(world: GrpcWorld) -> None:
    with pytest.raises(AioRpcError) as raised:
        await world.calls.GetTask(pb.GetTaskRequest(task_id="t_none"), metadata=shown(world.read))
    trailing = dict(raised.value.trailing_metadata())
    status = status_pb2.Status.FromString(trailing[DETAILS])
    info, asked = error_details_pb2.ErrorInfo(), error_details_pb2.RequestInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(asked)

    assert (status.code, status.message) == (raised.value.code().value[0], raised.value.details())
    assert (info.reason, info.domain) == (str(trailing[CODE]).upper(), "millstream")
    assert asked.request_id == trailing[REQUEST_ID]


async def test_reflection_lists_the_service_and_health_says_that_it_serves(world: GrpcWorld) -> None:
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    answers = reflection_pb2_grpc.ServerReflectionStub(world.channel).ServerReflectionInfo(asked)
    listed = [service.name async for answer in answers for service in answer.list_services_response.service]
    health = health_pb2_grpc.HealthStub(world.channel)
    serving = await health.Check(health_pb2.HealthCheckRequest(service="millstream.v1.TaskService"))

    assert {"millstream.v1.TaskService", "grpc.health.v1.Health"} <= set(listed)
    assert serving.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_watch_ends_when_its_key_does(world: GrpcWorld) -> None:
    key = await world.app.make_key(world.admin, scopes=["read"])
    submitted = await world.submit(world.write, ("revoked.txt", b"Until the key ends."))
    call = world.calls.WatchTask(pb.WatchTaskRequest(task_id=submitted.task_id), metadata=shown(key))
    watched = aiter(call)
    await anext(watched)
    await world.app.call("DELETE", f"/keys/{key.split('_')[1]}", world.admin)

    async def all_of_it() -> None:
        async for _ in watched:
            pass

    assert await refusal(all_of_it()) == (grpc.StatusCode.UNAUTHENTICATED, "unauthenticated")
