"""A collector of traces on loopback, as OpenTelemetry's exporter speaks to one: OTLP over HTTP, protobuf."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from tests.waiting import poll


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """What a test asks about; times are unix ns, ids hex. `role` is of the process that sent it."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    is_error: bool
    role: str
    attributes: dict[str, Any]


class Collector:
    """Keeps every span that comes in."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.paths: set[str] = set()
        self.headers: list[dict[str, str]] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def of(self, trace_id: str) -> list[Span]:
        """The spans of one trace, in the order of their beginnings."""
        return sorted((one for one in list(self.spans) if one.trace_id == trace_id), key=lambda one: one.start_ns)

    def wait_for(self, trace_id: str, *names: str, within_s: float = 60) -> list[Span]:
        """All spans of a trace once these are among them."""
        poll(lambda: set(names) <= {one.name for one in self.of(trace_id)}, f"spans {names} came", within_s)
        return self.of(trace_id)

    def take(self, body: bytes) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [_span(one, about["millstream.role"]) for one in scope.spans]


def _span(one: Any, role: str) -> Span:
    attributes = {found.key: getattr(found.value, found.value.WhichOneof("value")) for found in one.attributes}
    return Span(
        name=one.name,
        trace_id=one.trace_id.hex(),
        span_id=one.span_id.hex(),
        parent_id=one.parent_span_id.hex(),
        start_ns=one.start_time_unix_nano,
        end_ns=one.end_time_unix_nano,
        is_error=one.status.code == 2,
        role=role,
        attributes=attributes,
    )


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.paths.add(self.path)
            collector.headers.append({name.lower(): value for name, value in self.headers.items()})
            collector.take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as the standard library calls it
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
