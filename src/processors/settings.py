"""Every setting of a worker: unit last, with range and default."""

import os
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from events.steps import Step
from processors.retry import RetryPolicy

_CPUS: Final = os.cpu_count() or 1

Slots = Annotated[int, Meta(ge=0, le=1_024)]


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How one worker process works. Slots are deliveries carried out at a time; 0 leaves a step to other workers."""

    fetch_slots: Slots = 8
    """Fetching waits for strangers; it costs this worker little more than a socket."""
    fetch_slots_per_host: Annotated[int, Meta(ge=1, le=1_024)] = 2
    """Documents fetched from one host at a time."""
    parse_slots: Slots = 2 * _CPUS
    """Twice the parse children: while one document is parsed, the next is read and the last recorded."""
    chunk_slots: Slots = 2
    """Chunking holds the interpreter; more at a time are no faster."""
    embed_slots: Slots = 4
    """The local model runs in one thread; providers answer several requests at a time."""
    index_slots: Slots = 32
    """Documents that are indexed at the same time are committed together: 10 ms of processor time for one alone, 2.5
    for one of 8, 0.8 for one of 32."""
    index_gather_ms: Annotated[int, Meta(ge=0, le=10_000)] = 500
    """How long a document that is ready for the index waits for those that this worker has in the steps before. A slow
    model on a busy machine makes four documents a second: within 250 ms each was committed for itself."""
    index_group: Annotated[int, Meta(ge=1, le=1_024)] = 16
    """So many that are ready wait for no others: half of those that may be under way, so that one half is committed
    while the other gathers."""
    index_rows_max: Annotated[int, Meta(ge=1)] = 16_384
    """Rows held in memory by the documents that are indexed at the same time, 5 kB each; one document may have more."""
    finish_slots: Slots = 4
    erase_slots: Slots = 2
    revise_slots: Slots = 8
    """Most of the time they wait for the API to have done it."""

    fetch_bytes_max: Annotated[int, Meta(ge=1)] = 1024 * 1024 * 1024
    """Size of one document, as sent and as decompressed."""
    fetch_retry_s: Annotated[float, Meta(gt=0, le=3_600)] = 10.0
    """Before the second attempt; three times as long before each further one, unless the host says how long."""
    fetch_time_limit_s: Annotated[float, Meta(gt=0, le=86_400)] = 3_600.0
    """One attempt; what calls of a URL may take is limited by outbound.limits."""
    parse_time_limit_s: Annotated[float, Meta(gt=0, le=86_400)] = 300.0
    """Reading, waiting for a child and parsing; parsing alone is limited by ParseLimits."""
    chunk_time_limit_s: Annotated[float, Meta(gt=0, le=86_400)] = 300.0
    embed_time_limit_s: Annotated[float, Meta(gt=0, le=86_400)] = 3_600.0
    """100,000 chunks take the local model half an hour; an attempt that is cut off resumes at its next batch."""
    index_time_limit_s: Annotated[float, Meta(gt=0, le=86_400)] = 600.0
    finish_time_limit_s: Annotated[float, Meta(gt=0, le=86_400)] = 30.0
    erase_time_limit_s: Annotated[float, Meta(gt=0, le=86_400)] = 600.0
    revise_time_limit_s: Annotated[float, Meta(gt=0, le=86_400)] = 600.0
    revise_grace_s: Annotated[float, Meta(ge=0, le=60)] = 1.0
    """How long the rows of a change are left to the API that took it."""

    through_bytes_max: Annotated[int, Meta(ge=0, le=16 * 1024 * 1024)] = 0
    """Documents up to this size go through all steps in one turn (through.py); 0: none. What they become is held in
    memory meanwhile."""
    through_documents: Annotated[int, Meta(ge=1, le=1_024)] = 32
    """Of them behind parse at the same time: as many as are indexed together."""

    chunks_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 100_000
    """Chunks of one document."""
    embed_batch_chunks: Annotated[int, Meta(ge=1, le=2_048)] = 64
    """Chunks embedded and recorded together: what a crash can cost again."""

    lease_ms: Annotated[int, Meta(ge=100, le=600_000)] = 60_000
    """A worker silent for longer is dead. At least three heartbeats."""
    heartbeat_ms: Annotated[int, Meta(ge=10, le=60_000)] = 5_000
    claim_interval_ms: Annotated[int, Meta(ge=10, le=600_000)] = 2_000
    """How often the dead and what was given back are looked for."""
    take_wait_ms: Annotated[int, Meta(ge=10, le=2_000)] = 1_000
    """How long an idle step waits for a delivery at a time: the longest that a stop waits for it."""
    timer_interval_ms: Annotated[int, Meta(ge=10, le=60_000)] = 250
    watch_interval_ms: Annotated[int, Meta(ge=10, le=10_000)] = 250
    """How often running attempts are compared with the log: how long work may go on after a cancellation."""
    drain_s: Annotated[float, Meta(ge=0, le=600)] = 8.0
    """How long work under way may go on after a stop, before it is given back."""
    retry: RetryPolicy = RetryPolicy()

    def __post_init__(self) -> None:
        if self.lease_ms < 3 * self.heartbeat_ms:
            raise ValueError("lease_ms must be at least three times heartbeat_ms, or a hiccup looks like a death")

    def slots(self, step: Step) -> int:
        """0 for a step that this worker does not serve."""
        return {
            Step.FETCH: self.fetch_slots,
            Step.PARSE: self.parse_slots,
            Step.CHUNK: self.chunk_slots,
            Step.EMBED: self.embed_slots,
            Step.INDEX: self.index_slots,
            Step.FINISH: self.finish_slots,
            Step.ERASE: self.erase_slots,
            Step.REVISE: self.revise_slots,
        }.get(step, 0)
