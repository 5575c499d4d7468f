"""What steps that are done elsewhere are served with."""

import random
from collections.abc import Callable

import msgspec

from blobs.store import BlobStore
from events.ids import IdFactory
from events.inbox import Inbox
from events.log import EventLog
from knowledge.index import Index
from knowledge.limits import ParseLimits
from processors.embedder_for import EmbedderFor
from processors.observing import AttemptObserver
from processors.patience import PatientLog
from processors.provider import ProviderGate
from processors.settings import WorkerSettings
from processors.watch import Watch
from processors.workbench import Workbench


class LeasedParts(msgspec.Struct, frozen=True, kw_only=True):
    """What every worker elsewhere is served with; `clock_us` is unix µs."""

    log: EventLog
    inbox: Inbox
    blobs: BlobStore
    index: Index
    embedder_for: EmbedderFor
    gate: ProviderGate
    limits: ParseLimits
    clock_us: Callable[[], int]
    ids: IdFactory
    rng: random.Random
    settings: WorkerSettings
    observer: AttemptObserver

    def bench(self, log: PatientLog, worker: str, settings: WorkerSettings, watch: Watch | None = None) -> Workbench:
        """For one consumer of the inbox."""
        return Workbench(
            watch=watch or Watch(),
            log=log,
            inbox=self.inbox,
            worker=worker,
            clock_us=self.clock_us,
            new_event_id=self.ids.event,
            random=self.rng.random,
            policy=settings.retry,
            observer=self.observer,
        )
