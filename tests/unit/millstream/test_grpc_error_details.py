"""Details of errors are those of google.rpc, as Google's own messages read them."""

import re

import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from ingest.problems import Flaw, Problem, ProblemCode, problem
from millstream.grpc.error_details import DOMAIN, MESSAGE_BYTES_MAX, bounded, details_of
from millstream.grpc.v1 import errors_pb2


def read(refusal: Problem, message: str = "磨") -> tuple[status_pb2.Status, dict[str, Message]]:
    """The status, and its details by their names."""
    status = status_pb2.Status.FromString(details_of(refusal, code=5, message=message))
    found = {}
    for detail in status.details:
        made = getattr(error_details_pb2, detail.type_url.rpartition(".")[2])()
        assert detail.Unpack(made), detail.type_url
        found[type(made).__name__] = made
    return status, found


def told(code: ProblemCode, **more: object) -> Problem:
    return Problem(type="about:blank", title="t", status=404, code=code, detail="d", **more)  # type: ignore[arg-type]


def test_a_problem_is_read_by_googles_messages() -> None:
    refusal = told(ProblemCode.UNKNOWN_TASK, request_id="r-1", retry_after_s=7, errors=(Flaw("/slots", "is 1 to 64"),))
    status, found = read(refusal)

    assert (status.code, status.message) == (5, "磨")
    info = found["ErrorInfo"]
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain) == ("UNKNOWN_TASK", DOMAIN)
    assert dict(info.metadata) == {"code": "unknown_task", "http_status": "404"}
    assert found["RequestInfo"] == error_details_pb2.RequestInfo(request_id="r-1")
    assert found["RetryInfo"].retry_delay.ToSeconds() == 7  # type: ignore[attr-defined]
    violation = error_details_pb2.BadRequest.FieldViolation(field="/slots", description="is 1 to 64")
    assert found["BadRequest"] == error_details_pb2.BadRequest(field_violations=[violation])


def test_what_is_not_known_is_left_out() -> None:
    assert set(read(told(ProblemCode.UNKNOWN_TASK))[1]) == {"ErrorInfo"}


@pytest.mark.parametrize("code", list(ProblemCode))
def test_every_code_is_a_reason_as_google_wants_it(code: ProblemCode) -> None:
    info = read(problem(code, "d"))[1]["ErrorInfo"]
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert re.fullmatch(r"[A-Z][A-Z0-9_]+[A-Z0-9]", info.reason)
    assert len(info.reason) <= 63
    assert info.metadata["code"] == code.value


def test_the_metadata_of_a_refusal_has_a_bound() -> None:
    flaws = tuple(Flaw(f"/member{n}", "石磨" * 40) for n in range(1_000))
    refusal, message = told(ProblemCode.VALIDATION_FAILED, errors=flaws, request_id="r" * 128), bounded("石磨" * 9_000)
    _, found = read(refusal, message)

    assert len(message.encode()) <= MESSAGE_BYTES_MAX
    assert message.endswith(("磨…", "石…"))
    assert 1 <= len(found["BadRequest"].field_violations) < len(flaws)  # type: ignore[attr-defined]
    # Percent-encoded in grpc-message, base64 in the details: clients take 8 KiB.
    assert 3 * len(message.encode()) + len(details_of(refusal, code=3, message=message)) * 4 // 3 < 8_000
    assert bounded("短") == "短"


def test_our_messages_have_the_fields_of_googles() -> None:
    pairs = {
        "ErrorInfo": error_details_pb2.ErrorInfo,
        "RetryInfo": error_details_pb2.RetryInfo,
        "BadRequest": error_details_pb2.BadRequest,
        "ErrorStatus": status_pb2.Status,
    }
    for name, theirs in pairs.items():
        ours = errors_pb2.DESCRIPTOR.message_types_by_name[name]
        assert [(field.name, field.number, field.type) for field in ours.fields] == [
            (field.name, field.number, field.type) for field in theirs.DESCRIPTOR.fields
        ]
