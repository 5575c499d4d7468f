"""One worker elsewhere, as the mill sees it: a consumer of its own, whose steps are carried out under leases."""

import asyncio
from collections.abc import Collection
from typing import Final

import msgspec

from events.steps import Step
from processors.documents import DocumentDeliveries
from processors.knowledge_bases import KnowledgeBases
from processors.leased_parts import LeasedParts
from processors.leased_steps import leased_embed, leased_parse
from processors.leases import LeaseDesk
from processors.leasing import LeasedDeliveries, Leasing
from processors.patience import PatientLog
from processors.serving import Serving
from processors.watch import Watch

LEASED_STEPS: Final = frozenset({Step.PARSE, Step.EMBED})
"""What can be done elsewhere: it takes bytes or texts and gives a text or vectors. The others write to the index, or
cut texts as a search later expects them to be."""


class LeasedWorker:
    """`name` is unique to worker and process, `holder` who may answer; `slots` deliveries of each step at a time.

    `stop` ends it, and is set where a lease runs out: then it `is_silent`.
    """

    def __init__(
        self, parts: LeasedParts, desk: LeaseDesk, *, name: str, holder: str, steps: Collection[Step], slots: int
    ) -> None:
        self.stop = asyncio.Event()
        self.is_silent = False
        self.leasing = Leasing(desk, holder, self._fall_silent)
        self.steps = LEASED_STEPS & frozenset(steps)
        settings = msgspec.structs.replace(parts.settings, parse_slots=slots, embed_slots=slots)
        self._drain_s = max(settings.parse_time_limit_s, settings.embed_time_limit_s)
        patient = PatientLog(parts.log, random=parts.rng.random)
        bench = parts.bench(patient, name, settings, Watch(self.leasing.moved))
        known = KnowledgeBases(patient, clock_us=parts.clock_us)
        leased = [
            leased_parse(parts.blobs, parts.limits, self.leasing, settings),
            leased_embed(parts.blobs, parts.embedder_for, parts.gate, parts.index, self.leasing, settings),
        ]
        served = {
            one.step: LeasedDeliveries(DocumentDeliveries(one, bench, known), self.leasing)
            for one in leased
            if one.step in self.steps
        }
        # The workers here move timers: without one of them no document gets beyond its first step anyhow.
        self._serving = Serving(served, bench, parts.log, settings, moves_timers=False)

    async def run(self) -> None:
        """Takes deliveries until `stop`; then its leases go on to their ends, each of which is near."""
        await self._serving.run(self.stop, drain_s=self._drain_s)

    def _fall_silent(self) -> None:
        self.is_silent = True
        self.stop.set()
