"""SubmitTask, GetTask, WatchTask, CancelTask: each is a call of the HTTP API, admitted, counted and refused there."""

from collections.abc import AsyncGenerator, AsyncIterator
from secrets import token_hex
from typing import TypeVar
from urllib.parse import quote

import msgspec
from starlette.types import ASGIApp

from domain.status import DocumentStatus, TaskStatus
from ingest.accepted import AcceptedTask
from ingest.problems import ProblemCode, Rejected, problem
from millstream.grpc.callers import client_of, headers_of
from millstream.grpc.event_frames import EventFrame, frames_of
from millstream.grpc.inner_call import InnerCall, inner_answer
from millstream.grpc.messages import cancelled_of, document_of, submitted_of, task_of
from millstream.grpc.refusals import Context, refuse, refuse_as_answered
from millstream.grpc.upload_form import form_of, header_of
from millstream.grpc.v1 import tasks_pb2 as pb

API = "/api/v1"
T = TypeVar("T")


class TaskCalls:
    """Over an application in the same process."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def submit(self, requests: AsyncIterator[pb.SubmitTaskRequest], context: Context) -> pb.SubmitTaskResponse:
        """An upload, its bytes handed on as they come. Raises Rejected."""
        header = await header_of(requests)
        boundary = token_hex(16)
        more = {"content-type": f"multipart/form-data; boundary={boundary}"}
        if header.idempotency_key:
            more["idempotency-key"] = _header_value(header.idempotency_key)
        path = f"/knowledge-bases/{_segment(header.knowledge_base_id)}/documents"
        call = self._call("POST", path, context, more)
        async with inner_answer(self._app, call, form_of(header, requests, boundary)) as answer:
            if answer.status >= 400:
                await refuse_as_answered(context, answer)
            return submitted_of(msgspec.json.decode(await answer.content(), type=AcceptedTask))

    async def get(self, request: pb.GetTaskRequest, context: Context) -> pb.Task:
        """A task as GET shows it. Raises Rejected."""
        call = self._call("GET", f"/tasks/{_segment(request.task_id)}", context, {})
        async with inner_answer(self._app, call) as answer:
            if answer.status >= 400:
                await refuse_as_answered(context, answer)
            return task_of(msgspec.json.decode(await answer.content(), type=TaskStatus))

    async def cancel(self, request: pb.CancelTaskRequest, context: Context) -> pb.CancelTaskResponse:
        """A task is cancelled. Raises Rejected."""
        path = f"/tasks/{_segment(request.task_id)}/cancel"
        body = msgspec.json.encode({"reason": request.reason})
        call = self._call("POST", path, context, {"content-type": "application/json", "content-length": str(len(body))})
        async with inner_answer(self._app, call, _once(body)) as answer:
            if answer.status >= 400:
                await refuse_as_answered(context, answer)
            return cancelled_of(msgspec.json.decode(await answer.content(), type=AcceptedTask))

    async def watch(self, request: pb.WatchTaskRequest, context: Context) -> AsyncGenerator[pb.WatchTaskResponse, None]:
        """A task's event stream, from its cursor. Raises Rejected."""
        more = {"last-event-id": _header_value(request.cursor)} if request.cursor else {}
        call = self._call("GET", f"/tasks/{_segment(request.task_id)}/stream", context, more)
        async with inner_answer(self._app, call) as answer:
            if answer.status >= 400:
                await refuse_as_answered(context, answer)
            async for frame in frames_of(answer.pieces):
                match frame.event:
                    case "end":
                        return
                    case "unauthenticated":
                        reason = "The key was revoked, or has expired, meanwhile."
                        await refuse(context, problem(ProblemCode.UNAUTHENTICATED, reason))
                    case _:
                        yield _response_of(frame)
        reason = "The stream was cut off; go on from the last cursor."
        await refuse(context, problem(ProblemCode.DEPENDENCY_UNAVAILABLE, reason))

    def _call(self, method: str, path: str, context: Context, more: dict[str, str]) -> InnerCall:
        headers = {**headers_of(context), **more}
        return InnerCall(method=method, path=f"{API}{path}", headers=headers, client=client_of(context))


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _response_of(frame: EventFrame) -> pb.WatchTaskResponse:
    if frame.event == "document":
        document = document_of(msgspec.json.decode(frame.data, type=DocumentStatus))
        return pb.WatchTaskResponse(document=document, cursor=frame.place)
    return pb.WatchTaskResponse(task=task_of(msgspec.json.decode(frame.data, type=TaskStatus)), cursor=frame.place)


def _segment(value: str) -> str:
    """An id leads out of its place in no path."""
    return quote(value, safe="") or "-"


def _header_value(value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise Rejected(ProblemCode.BAD_REQUEST, "Keys and cursors are visible ASCII characters.")
    return value
