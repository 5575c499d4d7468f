"""PollSteps and what is done under a lease."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, assert_never

from ingest.problems import Problem, ProblemCode, Rejected, problem
from millstream.admission.admit import Admission
from millstream.grpc.admitted import LEASE, POLL, admitted
from millstream.grpc.refusals import Context
from millstream.grpc.results import delivery_of, duration_of, failure_of, result_of, steps_of
from millstream.grpc.v1 import tasks_pb2 as pb
from millstream.grpc.workers import Workers
from processors.lease_takeover import LeaseBusy
from processors.leased_work import Answer
from processors.leases import LeaseLost, NoSource
from processors.retry import OUTAGE_CODES
from processors.verdicts import Lost, Recorded, Refused

PIECE_BYTES_MAX: Final = 1_048_576
"""Of a source, in one message: clients take 4 MB by default."""

BUSY: Final = "Another process is recording an answer to this lease; repeat it in a moment."
NO_SOURCE: Final = "Only a lease of parse has a source; embed has its texts."
LOST: Final = "It ran out, or the document went on without it: drop the work and take the next delivery."


class WorkerCalls:
    """Over the workers of this process."""

    def __init__(self, admission: Admission, workers: Workers) -> None:
        self._admission = admission
        self._workers = workers

    async def poll(self, request: pb.PollStepsRequest, context: Context) -> AsyncGenerator[pb.Delivery, None]:
        """Deliveries until the caller has enough, or lets a lease run out; until its key ends or the service stops.
        Raises Rejected."""
        async with admitted(self._admission, POLL, context) as (principal, visit):
            steps, slots = steps_of(request), request.slots or 1
            with self._workers.poll(principal.actor, request.worker or "worker", steps, slots) as poll:
                # The first delivery may be hours away: until then this says that the poll was let in.
                await context.send_initial_metadata(())
                async with aclosing(poll.leases(visit.ended)) as leases:
                    async for lease in leases:
                        yield delivery_of(lease, self._workers.lease_s)
                if poll.is_silent:
                    return
            if visit.ended.is_set():
                raise Rejected(ProblemCode.UNAUTHENTICATED, "The key was revoked, or has expired, meanwhile.")
        raise Rejected(ProblemCode.DEPENDENCY_UNAVAILABLE, "The service is being stopped; poll another, or again.")

    async def read(self, request: pb.ReadSourceRequest, context: Context) -> AsyncGenerator[pb.SourcePiece, None]:
        """The source of a document to parse. Raises Rejected, LeaseLost and what the blob store raises."""
        async with (
            admitted(self._admission, LEASE, context) as (principal, _),
            aclosing(self._workers.source(request.lease, principal.actor)) as pieces,
        ):
            try:
                async for piece in pieces:
                    for start in range(0, len(piece), PIECE_BYTES_MAX):
                        yield pb.SourcePiece(data=piece[start : start + PIECE_BYTES_MAX])
            except NoSource as error:
                raise Rejected(ProblemCode.BAD_REQUEST, NO_SOURCE) from error

    async def report(self, request: pb.ReportProgressRequest, context: Context) -> pb.ReportProgressResponse:
        """The lease begins anew. Raises Rejected and LeaseLost."""
        async with admitted(self._admission, LEASE, context) as (principal, _):
            await self._workers.renew(request.lease, principal.actor)
            return pb.ReportProgressResponse(lease_duration=duration_of(self._workers.lease_s))

    async def complete(self, request: pb.CompleteStepRequest, context: Context) -> pb.CompleteStepResponse:
        """Raises Rejected and LeaseLost."""
        await self._give(request.lease, result_of(request), context)
        return pb.CompleteStepResponse()

    async def fail(self, request: pb.FailStepRequest, context: Context) -> pb.FailStepResponse:
        """Raises Rejected and LeaseLost."""
        await self._give(request.lease, failure_of(request), context)
        return pb.FailStepResponse()

    async def _give(self, lease: str, answer: Answer, context: Context) -> None:
        async with admitted(self._admission, LEASE, context) as (principal, _):
            try:
                verdict = await self._workers.give(lease, principal.actor, answer)
            except LeaseBusy as error:
                raise Rejected(ProblemCode.DEPENDENCY_UNAVAILABLE, BUSY) from error
        match verdict:
            case Recorded():
                return
            case Lost():
                raise LeaseLost
            case Refused(code=code, message=message) if code in OUTAGE_CODES:
                detail = f"{message} ({code}); the step is tried again."
                raise Rejected(ProblemCode.DEPENDENCY_UNAVAILABLE, detail)
            case Refused(code=code, message=message):
                raise Rejected(ProblemCode.BAD_RESULT, f"{message} ({code}).")
            case _:
                assert_never(verdict)


def lost_problem() -> Problem:
    """What whoever is late is told."""
    return problem(ProblemCode.LEASE_LOST, LOST)
