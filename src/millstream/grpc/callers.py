"""Who calls, from the metadata and the address of a call: what HTTP has in its headers."""

from typing import Final
from urllib.parse import unquote

from ingest.problems import ProblemCode, Rejected
from millstream.grpc.refusals import Context

_PASSED_ON: Final = ("authorization", "x-request-id", "traceparent")


def headers_of(context: Context) -> dict[str, str]:
    """The headers of an inner call. Raises Rejected where one came twice."""
    found: dict[str, str] = {}
    for name, value in context.invocation_metadata() or ():
        if name not in _PASSED_ON or not isinstance(value, str):
            continue
        if name in found:
            raise Rejected(ProblemCode.BAD_REQUEST, f"The metadata {name} comes once.")
        found[name] = value
    return found


def client_of(context: Context) -> tuple[str, int]:
    """Address and port: `ipv4:127.0.0.1:50051`, `ipv6:%5B::1%5D:50051` as gRPC writes them."""
    _, _, address = unquote(context.peer()).partition(":")
    host, _, port = address.rpartition(":")
    return host.strip("[]") or "unknown", int(port) if port.isdigit() else 0
