"""Spans of OpenTelemetry, sent to a collector by OTLP over HTTP: requests, attempts at steps, commits to the views.

Attempts and commits are told when they have ended, as data; their spans are made then, with the times that they had. So
nothing of this is on the way of a document: spans wait in memory, a thread sends them, and where the collector is away
they are dropped.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from events.envelope import Envelope
from events.log import Unreadable
from millstream.errors import ExitCode, Stop
from millstream.settings import Settings
from processors.observing import Ended, ErrandEnded

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, SpanKind

TRACES_A_COMMIT_MAX: Final = 50
"""Spans of one commit: a page of events of more uploads than that is told of the first ones alone."""

FLUSH_S_MAX: Final = 1.0
"""How long a stopping process sends what is left: behind a drain of 8 s, within the 10 s of an init system."""

_PATH: Final = "/v1/traces"


class Traces:
    """Makes spans by a provider of the SDK; `close` sends what is left."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("millstream")

    def request(self, trace_parent: str | None, *, method: str, path: str) -> "Span":
        """A span that begins now; whoever began it ends it."""
        from opentelemetry.trace import SpanKind

        attributes = {"http.request.method": method, "url.path": path}
        return self._begin(method, trace_parent, SpanKind.SERVER, None, attributes)

    def attempt(self, attempt: Ended) -> None:
        """An attempt with its parts, from the moment when it was asked for: `wait`, `run` and `record`."""
        from opentelemetry.trace import SpanKind

        if attempt.trace_parent is None:
            return
        attributes = {
            "millstream.step": attempt.step.value,
            "millstream.task": attempt.task,
            "millstream.document": attempt.document,
            "millstream.attempt": attempt.number,
            "millstream.worker": attempt.worker,
            "millstream.outcome": attempt.outcome,
        }
        span = self._begin(attempt.step.value, attempt.trace_parent, SpanKind.CONSUMER, attempt.asked_us, attributes)
        times = (attempt.asked_us, attempt.began_us, attempt.ran_us, attempt.recorded_us)
        self._parts(span, ("wait", "run", "record"), times)
        if attempt.code is not None:
            _fail(span, attempt.code)
        span.end(end_time=attempt.recorded_us * 1_000)

    def errand(self, errand: ErrandEnded) -> None:
        """What ends a task, erases a document or writes the rows of what persons changed, with its parts `run` and
        `record`; rows that the API writes itself have no parts, and nothing to record."""
        from opentelemetry.trace import SpanKind

        if errand.trace_parent is None:
            return
        attributes = {
            "millstream.step": errand.step.value,
            "millstream.task": errand.task,
            "millstream.stream": errand.stream_id,
            "millstream.worker": errand.worker,
            "millstream.outcome": errand.outcome,
            **({} if errand.reason is None else {"millstream.reason": errand.reason}),
        }
        span = self._begin(errand.step.value, errand.trace_parent, SpanKind.CONSUMER, errand.began_us, attributes)
        if errand.recorded_us > errand.ran_us:
            self._parts(span, ("run", "record"), (errand.began_us, errand.ran_us, errand.recorded_us))
        span.end(end_time=errand.recorded_us * 1_000)

    def commit(self, partition: int, page: Sequence[Envelope | Unreadable], began_us: int, ended_us: int) -> None:
        """One span for each trace that has events in the page."""
        from opentelemetry.trace import SpanKind

        events: dict[str, int] = {}
        for entry in page:
            if isinstance(entry, Envelope) and entry.trace_parent is not None:
                events[entry.trace_parent] = events.get(entry.trace_parent, 0) + 1
        for trace_parent, count in itertools.islice(events.items(), TRACES_A_COMMIT_MAX):
            attributes = {
                "millstream.partition": partition,
                "millstream.events": count,
                "millstream.page_events": len(page),
            }
            self._begin("project", trace_parent, SpanKind.CONSUMER, began_us, attributes).end(end_time=ended_us * 1_000)

    def close(self) -> None:
        """Blocks until it is done, or the SDK gives up."""
        self._provider.force_flush(round(FLUSH_S_MAX * 1_000))
        self._provider.shutdown()

    def _parts(self, span: "Span", names: Sequence[str], times_us: Sequence[int]) -> None:
        """One after the other, from the first of the times to the last."""
        from opentelemetry.trace import SpanKind

        for name, (from_us, until_us) in zip(names, itertools.pairwise(times_us), strict=True):
            part = self._begin(name, parent_of(span), SpanKind.INTERNAL, from_us, {})
            part.end(end_time=until_us * 1_000)

    def _begin(
        self,
        name: str,
        trace_parent: str | None,
        kind: "SpanKind",
        start_us: int | None,
        attributes: dict[str, Any],
    ) -> "Span":
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = {} if trace_parent is None else {"traceparent": trace_parent}
        return self._tracer.start_span(
            name,
            context=TraceContextTextMapPropagator().extract(carrier),
            kind=kind,
            attributes=attributes,
            start_time=None if start_us is None else start_us * 1_000,
        )


def parent_of(span: "Span") -> str:
    """The trace context whose parent is this span, as a header and the log carry it."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def end_request(span: "Span", *, route: str, status: int | None) -> None:
    """The answer has begun; None: there was none."""
    span.update_name(f"{span.attributes['http.request.method']} {route}")  # type: ignore[attr-defined]  # of the SDK
    span.set_attribute("http.route", route)
    if status is not None:
        span.set_attribute("http.response.status_code", status)
    if status is None or status >= 500:
        _fail(span, "no_answer" if status is None else str(status))
    span.end()


@asynccontextmanager
async def opened_traces(settings: Settings, *, role: str, process: str) -> AsyncIterator[Traces | None]:
    """None where no collector is set. Raises Stop where the extra is not installed or the setting is wrong."""
    if not settings.otlp_url:
        yield None
        return
    traces = Traces(_provider(settings, role=role, process=process))
    try:
        yield traces
    finally:
        # The SDK waits for a collector that is away much longer than it was told; its thread ends with the process.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(traces.close), FLUSH_S_MAX)


def _provider(settings: Settings, *, role: str, process: str) -> "TracerProvider":
    if not settings.otlp_url.startswith(("http://", "https://")):
        raise Stop(
            "MILLSTREAM_OTLP_URL is no address of a collector",
            hint="like http://otel-collector:4318, without a path",
            exit_code=ExitCode.CONFIGURATION,
        )
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    except ImportError:
        raise Stop(
            "MILLSTREAM_OTLP_URL is set, but OpenTelemetry is not installed",
            hint="pip install 'millstream[otel]', or unset it",
            exit_code=ExitCode.CONFIGURATION,
        ) from None
    resource = Resource.create({"service.name": "millstream", "service.instance.id": process, "millstream.role": role})
    provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(settings.trace_share)))
    url = settings.otlp_url.rstrip("/")
    exporter = OTLPSpanExporter(
        endpoint=url if url.endswith(_PATH) else url + _PATH, headers=_headers(settings.otlp_headers), timeout=5
    )
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1_000))
    return provider


def _headers(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    if any(not equals or not name.strip() for name, equals, _ in pairs):
        raise Stop(
            "MILLSTREAM_OTLP_HEADERS cannot be read",
            hint="comma-separated: name=value,other=value",
            exit_code=ExitCode.CONFIGURATION,
        )
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _fail(span: "Span", code: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_status(Status(StatusCode.ERROR, code))
