"""The service as grpc calls it: each method hands over, and what is refused becomes a status."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing
from typing import TypeVar

import structlog
from grpc.aio import AbortError

from ingest.answers import problem_of
from ingest.problems import Problem, ProblemCode, problem
from millstream.grpc.refusals import Context, refuse
from millstream.grpc.task_calls import TaskCalls
from millstream.grpc.v1 import tasks_pb2 as pb
from millstream.grpc.v1.tasks_pb2_grpc import TaskServiceServicer
from millstream.grpc.worker_calls import WorkerCalls, lost_problem
from processors.leases import LeaseLost

T = TypeVar("T")

_log = structlog.get_logger()


class TaskService(TaskServiceServicer):
    """Names are those of the proto."""

    def __init__(self, tasks: TaskCalls, workers: WorkerCalls) -> None:
        self._tasks = tasks
        self._workers = workers

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

    async def PollSteps(self, request: pb.PollStepsRequest, context: Context) -> AsyncIterator[pb.Delivery]:  # noqa: N802
        async for delivery in _streamed(self._workers.poll(request, context), context):
            yield delivery

    async def ReadSource(  # noqa: N802
        self, request: pb.ReadSourceRequest, context: Context
    ) -> AsyncIterator[pb.SourcePiece]:
        async for piece in _streamed(self._workers.read(request, context), context):
            yield piece

    async def ReportProgress(  # noqa: N802
        self, request: pb.ReportProgressRequest, context: Context
    ) -> pb.ReportProgressResponse:
        return await _answered(self._workers.report(request, context), context)

    async def CompleteStep(  # noqa: N802
        self, request: pb.CompleteStepRequest, context: Context
    ) -> pb.CompleteStepResponse:
        return await _answered(self._workers.complete(request, context), context)

    async def FailStep(self, request: pb.FailStepRequest, context: Context) -> pb.FailStepResponse:  # noqa: N802
        return await _answered(self._workers.fail(request, context), context)


async def _answered(answer: Awaitable[T], context: Context) -> T:
    try:
        return await answer
    except AbortError:
        raise
    except Exception as error:
        await refuse(context, _problem_of(error))


async def _streamed(answers: AsyncGenerator[T, None], context: Context) -> AsyncIterator[T]:
    try:
        async with aclosing(answers):
            async for answer in answers:
                yield answer
    except AbortError:
        raise
    except Exception as error:
        await refuse(context, _problem_of(error))


def _problem_of(error: Exception) -> Problem:
    """The text of an unexpected error may hold anything: it goes to the log alone."""
    known = lost_problem() if isinstance(error, LeaseLost) else problem_of(error)
    if known is not None:
        return known
    _log.error("unexpected_error", exc_info=error)
    return problem(ProblemCode.INTERNAL_ERROR, "The error was recorded in the log of the service.")
