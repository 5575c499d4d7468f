"""Problems as gRPC statuses: the stable code of a problem document goes into the trailing metadata, by itself and among
the details that google.rpc has for errors."""

from collections.abc import Mapping
from typing import Any, Final, NoReturn

import grpc
import msgspec
from grpc.aio import ServicerContext

from ingest.problems import Problem, ProblemCode, problem
from millstream.grpc.error_details import KEY, bounded, details_of
from millstream.grpc.inner_call import InnerAnswer

CODE: Final = "millstream-code"
REQUEST_ID: Final = "millstream-request-id"
RETRY_AFTER_S: Final = "retry-after-s"

Context = ServicerContext[Any, Any]

_STATUSES: Final[Mapping[int, grpc.StatusCode]] = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    410: grpc.StatusCode.FAILED_PRECONDITION,
    412: grpc.StatusCode.FAILED_PRECONDITION,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    507: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""As google.rpc.Code maps HTTP; any other below 500 is the caller's mistake, any other above it ours."""


def status_of(http_status: int) -> grpc.StatusCode:
    """What gRPC calls an HTTP status of an error."""
    return _STATUSES.get(
        http_status, grpc.StatusCode.INVALID_ARGUMENT if http_status < 500 else grpc.StatusCode.INTERNAL
    )


def _number(status: grpc.StatusCode) -> int:
    """As google.rpc.Code has it; grpcio keeps a pair of number and words."""
    number: int = status.value[0]
    return number


async def refuse(context: Context, refusal: Problem) -> NoReturn:
    """Ends the call; which member breaks which rule goes behind the detail."""
    flaws = "".join(f"; {flaw.pointer}: {flaw.message}" for flaw in refusal.errors)
    message = bounded(f"{refusal.title}: {refusal.detail}{flaws}")
    status = status_of(refusal.status)
    trailing: dict[str, str | bytes] = {
        CODE: refusal.code.value,
        KEY: details_of(refusal, code=_number(status), message=message),
    }
    if refusal.request_id is not None:
        trailing[REQUEST_ID] = refusal.request_id
    if refusal.retry_after_s is not None:
        trailing[RETRY_AFTER_S] = str(refusal.retry_after_s)
    await context.abort(status, message, tuple(trailing.items()))


async def refuse_as_answered(context: Context, answer: InnerAnswer) -> NoReturn:
    """Ends the call with the problem document that the application answered."""
    try:
        refusal = msgspec.json.decode(await answer.content(), type=Problem)
    except msgspec.MsgspecError:
        refusal = problem(ProblemCode.INTERNAL_ERROR, f"The answer was {answer.status} without a reason.")
    await refuse(context, refusal)
