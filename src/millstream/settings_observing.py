"""The settings of metrics and traces: unit, range, default, meaning. They are part of `Settings`."""

from typing import Annotated, Final

from msgspec import Meta

from millstream.settings_models import ModelFields

_SECRET: Final = {"secret": True}


class ObservingFields(ModelFields, frozen=True, kw_only=True):
    """See docs/observability.md. A struct has one base with fields, so the parts of `Settings` form a chain."""

    metrics_port: Annotated[
        int,
        Meta(
            ge=0,
            le=65_000,
            description="port on which a role serves its /metrics without a key; with `up` the API takes it, the "
            "projector the next one, then each worker one; 0 is off",
        ),
    ] = 0
    metrics_host: Annotated[str, Meta(min_length=1, description="address of that port")] = "127.0.0.1"
    otlp_url: Annotated[
        str,
        Meta(description="collector that traces are sent to by OTLP over HTTP, like http://otel:4318; empty is off"),
    ] = ""
    otlp_headers: Annotated[
        str, Meta(description="headers that it wants, comma-separated: name=value", extra=_SECRET)
    ] = ""
    trace_share: Annotated[
        float,
        Meta(ge=0, le=1, description="share of requests that begin a trace; one that a client began is its to decide"),
    ] = 1.0
