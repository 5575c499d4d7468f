"""The service as grpc calls it: each method hands over, and what is refused becomes a status."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import TypeVar

import msgspec
import structlog
from grpc.aio import AbortError

from ingest.answers import problem_of
from ingest.problems import Problem, ProblemCode, problem
from ingest.request_id import request_id_from
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

    def __init__(self, tasks: TaskCalls, workers: WorkerCalls, new_request_id: Callable[[], str]) -> None:
        self._tasks = tasks
        self._workers = workers
        self._new_request_id = new_request_id

    async def SubmitTask(  # noqa: N802
        self, requests: AsyncIterator[pb.SubmitTaskRequest], context: Context
    ) -> pb.SubmitTaskResponse:
        return await self._answered(self._tasks.submit(requests, context), context)

    async def GetTask(self, request: pb.GetTaskRequest, context: Context) -> pb.Task:  # noqa: N802
        return await self._answered(self._tasks.get(request, context), context)

    async def WatchTask(  # noqa: N802
        self, request: pb.WatchTaskRequest, context: Context
    ) -> AsyncIterator[pb.WatchTaskResponse]:
        async for response in self._streamed(self._tasks.watch(request, context), context):
            yield response

    async def CancelTask(self, request: pb.CancelTaskRequest, context: Context) -> pb.CancelTaskResponse:  # noqa: N802
        return await self._answered(self._tasks.cancel(request, context), context)

    async def PollSteps(self, request: pb.PollStepsRequest, context: Context) -> AsyncIterator[pb.Delivery]:  # noqa: N802
        async for delivery in self._streamed(self._workers.poll(request, context), context):
            yield delivery

    async def ReadSource(  # noqa: N802
        self, request: pb.ReadSourceRequest, context: Context
    ) -> AsyncIterator[pb.SourcePiece]:
        async for piece in self._streamed(self._workers.read(request, context), context):
            yield piece

    async def ReportProgress(  # noqa: N802
        self, request: pb.ReportProgressRequest, context: Context
    ) -> pb.ReportProgressResponse:
        return await self._answered(self._workers.report(request, context), context)

    async def CompleteStep(  # noqa: N802
        self, request: pb.CompleteStepRequest, context: Context
    ) -> pb.CompleteStepResponse:
        return await self._answered(self._workers.complete(request, context), context)

    async def FailStep(self, request: pb.FailStepRequest, context: Context) -> pb.FailStepResponse:  # noqa: N802
        return await self._answered(self._workers.fail(request, context), context)

    async def _answered(self, answer: Awaitable[T], context: Context) -> T:
        with self._bound(context) as request_id:
            try:
                return await answer
            except AbortError:
                raise
            except Exception as error:
                await refuse(context, _problem_of(error, request_id))

    async def _streamed(self, answers: AsyncGenerator[T, None], context: Context) -> AsyncIterator[T]:
        with self._bound(context) as request_id:
            try:
                async with aclosing(answers):
                    async for answer in answers:
                        yield answer
            except AbortError:
                raise
            except Exception as error:
                await refuse(context, _problem_of(error, request_id))

    @contextmanager
    def _bound(self, context: Context) -> Iterator[str]:
        """The id of a call is on each line of the log meanwhile."""
        offered = dict(context.invocation_metadata() or ()).get("x-request-id", "")
        request_id = request_id_from(str(offered), self._new_request_id)
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            yield request_id


def _problem_of(error: Exception, request_id: str) -> Problem:
    """The text of an unexpected error may hold anything: it goes to the log alone."""
    known = lost_problem() if isinstance(error, LeaseLost) else problem_of(error)
    if known is None:
        _log.error("unexpected_error", exc_info=error)
        known = problem(ProblemCode.INTERNAL_ERROR, "The error was recorded in the log of the service.")
    return msgspec.structs.replace(known, request_id=request_id)
