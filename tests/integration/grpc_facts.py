"""What the tests of gRPC look at: refusals, documents, histories."""

from typing import Any

import grpc
import pytest
from grpc.aio import AioRpcError

from millstream.grpc.v1 import tasks_pb2 as pb
from tests.integration.grpc_world import GUARD_S, GrpcWorld, code_of, shown


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(AioRpcError) as raised:
        await call
    return code_of(raised.value)


async def status_when(world: GrpcWorld, submitted: pb.SubmitTaskResponse, *phases: int) -> pb.Document:
    """The document of a task as soon as it has one of these phases."""
    request = pb.WatchTaskRequest(task_id=submitted.task_id)
    call = world.calls.WatchTask(request, metadata=shown(world.read), timeout=GUARD_S)
    async for told in call:
        if told.WhichOneof("state") == "document" and told.document.phase in phases:
            document: pb.Document = told.document
            return document
    raise AssertionError("the task ended without it")


async def history(world: GrpcWorld, submitted: pb.SubmitTaskResponse) -> list[dict[str, Any]]:
    answer = await world.app.call("GET", f"/tasks/{submitted.task_id}/events?limit=200", world.admin)
    facts: list[dict[str, Any]] = answer.json()["data"]
    return facts


async def types_in(world: GrpcWorld, submitted: pb.SubmitTaskResponse) -> list[str]:
    return [fact["type"] for fact in await history(world, submitted)]


async def cancel_what_is_left(world: GrpcWorld) -> None:
    """Work that one test leaves is not offered to the next."""
    for phase in ("queued", "processing"):
        listed = await world.app.call("GET", f"/tasks?status={phase}", world.admin)
        for task in listed.json()["data"]:
            await world.app.call("POST", f"/tasks/{task['task_id']}/cancel", world.admin)
