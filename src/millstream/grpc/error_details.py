"""A problem as google.rpc.Status with its details (AIP-193): what clients read with the library that they have.

Metadata of 8 KiB is what clients take by default, and the detail is in it twice: everything here has a bound.
"""

from collections.abc import Sequence
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message

from ingest.problems import Flaw, Problem
from millstream.grpc.v1 import errors_pb2 as pb

KEY: Final = "grpc-status-details-bin"

DOMAIN: Final = "millstream"

MESSAGE_BYTES_MAX: Final = 1_000
FLAWS_BYTES_MAX: Final = 1_000

_TYPES: Final = "type.googleapis.com/google.rpc."


def details_of(refusal: Problem, *, code: int, message: str) -> bytes:
    """A serialized google.rpc.Status; `code` is a google.rpc.Code."""
    info = pb.ErrorInfo(
        reason=refusal.code.value.upper(),
        domain=DOMAIN,
        metadata={"code": refusal.code.value, "http_status": str(refusal.status)},
    )
    details: list[Message] = [info]
    if refusal.request_id is not None:
        details.append(pb.RequestInfo(request_id=refusal.request_id))
    if refusal.retry_after_s is not None:
        retry = pb.RetryInfo()
        retry.retry_delay.FromSeconds(refusal.retry_after_s)
        details.append(retry)
    if refusal.errors:
        details.append(_violations(refusal.errors))
    status = pb.ErrorStatus(code=code, message=message, details=[_packed(one) for one in details])
    return status.SerializeToString()


def bounded(message: str) -> str:
    """What fits of it, whole characters."""
    encoded = message.encode("utf-8", "replace")
    if len(encoded) <= MESSAGE_BYTES_MAX:
        return message
    return encoded[: MESSAGE_BYTES_MAX - len("…".encode())].decode("utf-8", "ignore") + "…"


def _violations(flaws: Sequence[Flaw]) -> pb.BadRequest:
    """As many as fit, from the first."""
    found = pb.BadRequest()
    for flaw in flaws:
        found.field_violations.add(field=flaw.pointer, description=flaw.message)
        if found.ByteSize() > FLAWS_BYTES_MAX:
            del found.field_violations[-1]
            break
    return found


def _packed(detail: Message) -> AnyMessage:
    return AnyMessage(type_url=f"{_TYPES}{detail.DESCRIPTOR.name}", value=detail.SerializeToString())
