"""The service as grpc calls it: each method hands over, and what is refused becomes a status."""

from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

import structlog
from grpc.aio import AbortError

from ingest.answers import problem_of
from ingest.problems import Problem, ProblemCode, problem
from millstream.grpc.refusals import Context, refuse
from millstream.grpc.task_calls import TaskCalls
from millstream.grpc.v1 import tasks_pb2 as pb
from millstream.grpc.v1.tasks_pb2_grpc import TaskServiceServicer

T = TypeVar("T")

_log = structlog.get_logger()


class TaskService(TaskServiceServicer):
    """Names are those of the proto."""

    def __init__(self, tasks: TaskCalls) -> None:
        self._tasks = tasks

    async def SubmitTask(  # noqa: N802
        self, requests: AsyncIterator[pb.SubmitTaskRequest], context: Context
    ) -> pb.SubmitTaskResponse:
        return await _answered(self._tasks.submit(requests, context), context)

    async def GetTask(self, request: pb.GetTaskRequest, context: Context) -> pb.Task:  # noqa: N802
        return await _answered(self._tasks.get(request, context), context)

    async def WatchTask(  # noqa: N802
        self, request: pb.WatchTaskRequest, context: Context
    ) -> AsyncIterator[pb.WatchTaskResponse]:
        async for response in _streamed(self._tasks.watch(request, context), context):
            yield response


async def _answered(answer: Awaitable[T], context: Context) -> T:
    try:
        return await answer
    except AbortError:
        raise
    except Exception as error:
        await refuse(context, _problem_of(error))


async def _streamed(answers: AsyncIterator[T], context: Context) -> AsyncIterator[T]:
    try:
        async for answer in answers:
            yield answer
    except AbortError:
        raise
    except Exception as error:
        await refuse(context, _problem_of(error))


def _problem_of(error: Exception) -> Problem:
    """The text of an unexpected error may hold anything: it goes to the log alone."""
    known = problem_of(error)
    if known is not None:
        return known
    _log.error("unexpected_error", exc_info=error)
    return problem(ProblemCode.INTERNAL_ERROR, "The error was recorded in the log of the service.")
