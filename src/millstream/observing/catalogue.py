"""Every metric that is served, with its unit, labels and meaning; docs/observability.md lists them from here.

`INSTALLATION` follows from the log and the views: the same from every API process, exact, unharmed by restarts. The
others are what one process did since it began.
"""

from typing import Final

from millstream.observing.registry import Family, Kind
from projections.throughput import BUCKETS_MAX, bucket_end_ms


def _counter(name: str, told: str, *labels: str) -> Family:
    return Family(name=f"millstream_{name}_total", kind=Kind.COUNTER, help=told, labels=labels)


def _gauge(name: str, told: str, *labels: str) -> Family:
    return Family(name=f"millstream_{name}", kind=Kind.GAUGE, help=told, labels=labels)


def _seconds(name: str, told: str, bounds: tuple[float, ...], *labels: str) -> Family:
    name = f"millstream_{name}_seconds"
    return Family(name=name, kind=Kind.HISTOGRAM, help=told, labels=labels, bounds=bounds)


FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""From a round trip to Redis to the longest answer."""

SLOW: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0, 3_600.0)
"""From a short document's step to a scan of hundreds of pages."""

STEP_BOUNDS: Final = tuple(bucket_end_ms(bucket) / 1_000 for bucket in range(0, BUCKETS_MAX - 1, 2))
"""Every second end of the buckets that the views count by: 1 ms, 2 ms, … 17 minutes."""

# of the installation
EVENTS: Final = _counter("log_events", "Events appended to the log.", "partition")
PROJECTOR_LAG: Final = _gauge("projector_lag_events", "Events that the views do not show yet.", "partition")
WAITING: Final = _gauge("inbox_waiting", "Deliveries that nobody has taken yet.", "group", "lane")
PENDING: Final = _gauge("inbox_pending", "Deliveries in a worker's hands, or given back.", "group", "lane")
TIMERS: Final = _gauge("timers_waiting", "Deliveries whose time has not come: retries, and what is not to begin yet.")
WORKERS: Final = _gauge("workers_alive", "Workers whose last heartbeat is within the lease.")
DEAD_LETTERS: Final = _gauge("dead_letters", "Documents that have failed for good and still stand there.")
STEP_STARTS: Final = _counter("step_starts", "Attempts at a step that began.", "step")
STEP_ENDS: Final = _counter(
    "step_ends",
    "Attempts that ended: succeeded, retried (to be tried again) or failed (a dead letter).",
    "step",
    "outcome",
)
STEP_SECONDS: Final = _seconds(
    "step_duration", "How long attempts took, from their start in the log to their end in it.", STEP_BOUNDS, "step"
)
WEBHOOKS: Final = _gauge("webhook_messages", "Messages to webhooks that wait, or have failed.", "state")
REDIS_UP: Final = _gauge("redis_up", "1 where Redis answered this scrape; without it no figure of the installation.")
REDIS_MEMORY: Final = _gauge("redis_memory_bytes", "Memory that Redis uses, by server of a cluster.", "server")
REDIS_MEMORY_MAX: Final = _gauge("redis_memory_max_bytes", "Memory that Redis may use; 0: no limit.", "server")
REDIS_REPLICAS: Final = _gauge("redis_replicas", "Replicas that follow, by server of a cluster.", "server")
HALTED: Final = _gauge(
    "partitions_halted", "Partitions in which nothing is recorded until a replica follows their server."
)
REDIS_MAY_LOSE: Final = _gauge(
    "redis_may_lose_events", "1 where Redis is set up so that it may lose what was accepted."
)

INSTALLATION: Final = (
    *(EVENTS, PROJECTOR_LAG, WAITING, PENDING, TIMERS, WORKERS, DEAD_LETTERS, STEP_STARTS, STEP_ENDS, STEP_SECONDS),
    *(WEBHOOKS, REDIS_UP, REDIS_MEMORY, REDIS_MEMORY_MAX, REDIS_REPLICAS, HALTED, REDIS_MAY_LOSE),
)

# of an API process
REQUESTS: Final = _counter(
    "http_requests", "Answered requests, by the name of their route.", "route", "method", "status"
)
REQUEST_SECONDS: Final = _seconds(
    "http_request",
    "Until the answer began: uploads with their body, event streams without what follows.",
    FAST,
    "route",
)
IN_FLIGHT: Final = _gauge("http_requests_in_flight", "Requests that are being answered, event streams among them.")
UPLOAD_BYTES: Final = _counter("upload_bytes", "Bytes of request bodies that bring documents in.", "route")
SSE_SUBSCRIBERS: Final = _gauge("sse_subscribers", "Open event streams.")

API: Final = (REQUESTS, REQUEST_SECONDS, IN_FLIGHT, UPLOAD_BYTES, SSE_SUBSCRIBERS)

# of every process that appends
APPENDS: Final = _counter("appends", "Calls that append: appended, conflict, taken, refused or unavailable.", "answer")
APPEND_SECONDS: Final = _seconds("append", "How long the log took to answer an append.", FAST)

# of a worker
ATTEMPTS_RUNNING: Final = _gauge("worker_attempts_running", "Attempts that this worker carries out.", "step")
ATTEMPTS: Final = _counter(
    "worker_attempts", "Attempts that this worker has ended, by what its processor answered.", "step", "outcome", "code"
)
QUEUE_SECONDS: Final = _seconds("worker_queue_wait", "From the event that asks for a step to its start.", SLOW, "step")
RUN_SECONDS: Final = _seconds("worker_run", "How long the work of an attempt took.", SLOW, "step")
RECORD_SECONDS: Final = _seconds("worker_record", "How long it took to record what an attempt led to.", FAST, "step")

WORKER: Final = (APPENDS, APPEND_SECONDS, ATTEMPTS_RUNNING, ATTEMPTS, QUEUE_SECONDS, RUN_SECONDS, RECORD_SECONDS)

# of a projector
COMMITS: Final = _counter("projector_commits", "Pages of events that this process has committed to the views.")
PROJECTED: Final = _counter("projector_events", "Events in them.")
COMMIT_SECONDS: Final = _seconds("projector_commit", "Folding a page and committing it.", FAST)
VISIBLE_SECONDS: Final = _seconds(
    "projector_delay", "From the append of a page's first event until the views show it.", SLOW
)

PROJECTOR: Final = (COMMITS, PROJECTED, COMMIT_SECONDS, VISIBLE_SECONDS)

# of every process; the names are those that Prometheus' own clients use
CPU: Final = Family(name="process_cpu_seconds_total", kind=Kind.COUNTER, help="Processor time, user and system.")
MEMORY: Final = Family(name="process_resident_memory_bytes", kind=Kind.GAUGE, help="Resident memory.")
STARTED: Final = Family(name="process_start_time_seconds", kind=Kind.GAUGE, help="Start of the process, unix time.")
OPEN_FILES: Final = Family(name="process_open_fds", kind=Kind.GAUGE, help="Open file descriptors.")
BUILD: Final = _gauge("build_info", "1, with what this process is.", "version", "role", "process")

PROCESS: Final = (CPU, MEMORY, STARTED, OPEN_FILES, BUILD)

EVERYTHING: Final = (*INSTALLATION, *API, *WORKER, *PROJECTOR, *PROCESS)
