"""Settings -> the client that calls addresses of strangers, and where documents are fetched from."""

from millstream.blob_location import open_objects
from millstream.errors import ExitCode, Stop
from millstream.settings import Settings
from millstream.stores import clock_us
from outbound.client import OutboundClient
from outbound.guard import Guard
from outbound.limits import Limits
from outbound.rules import Rules, rules_of
from outbound.system_resolver import SystemResolver
from processors.settings import WorkerSettings
from processors.web_origins import WebOrigins


def outbound_client(settings: Settings) -> OutboundClient:
    """Close it at the end. Raises Stop where the settings name no ranges, hosts or ports."""
    limits = Limits(body_bytes_max=settings.upload_bytes_max, total_s_max=settings.fetch_s_max)
    return OutboundClient(outbound_guard(settings), limits=limits)


def outbound_guard(settings: Settings) -> Guard:
    """For whoever only has to know what may be called. Raises Stop."""
    return Guard(_rules(settings), SystemResolver())


def open_origins(settings: Settings) -> WebOrigins:
    """Where a worker fetches documents from. Close it at the end. Raises Stop."""
    default = WorkerSettings()
    return WebOrigins(
        outbound_client(settings),
        open_objects(settings),
        slots_per_host=default.fetch_slots_per_host,
        clock_us=clock_us,
    )


def _rules(settings: Settings) -> Rules:
    try:
        return rules_of(settings.outbound_allow, settings.outbound_ports)
    except ValueError as error:
        raise Stop(
            f"MILLSTREAM_OUTBOUND_ALLOW or MILLSTREAM_OUTBOUND_PORTS: {error}",
            hint="ranges and host:port, comma-separated: 10.0.0.0/8,minio:9000; ports: 80,443",
            exit_code=ExitCode.CONFIGURATION,
        ) from None
