"""A problem document as bytes on the wire, for what never becomes a request that the application sees."""

from collections.abc import Iterable, Mapping
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from ingest.problems import ProblemCode, Rejected, problem, problem_response
from millstream.connection.framing import METHODS

_HEADERS: Final[Mapping[ProblemCode, Mapping[str, str]]] = {
    ProblemCode.METHOD_NOT_ALLOWED: {"Allow": b", ".join(METHODS).decode()},
}


def plain_answer(
    rejected: Rejected, request_id: str, default_headers: Iterable[tuple[bytes, bytes]], *, with_body: bool = True
) -> bytes:
    """The whole answer; the connection closes behind it. HEAD is answered without the body."""
    document = problem(rejected.code, rejected.detail, errors=rejected.errors)
    response = problem_response(document, request_id, {**_HEADERS.get(rejected.code, {}), "Connection": "close"})
    lines = [b"%b: %b\r\n" % header for header in (*default_headers, *response.raw_headers)]
    return b"".join([STATUS_LINE[document.status], *lines, b"\r\n", bytes(response.body) if with_body else b""])
