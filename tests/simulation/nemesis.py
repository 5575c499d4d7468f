"""Does to a world what happens to installations: kills, freezes, restarts, outages, deliveries in the wrong hands."""

import asyncio
from collections.abc import Callable
from typing import Final

from events.inbox import RELEASED
from events.memory_store import InboxState
from events.pointer import unpack_pointer
from tests.simulation.loop import Process
from tests.simulation.wire import Store
from tests.simulation.world import PARTITIONS, World

FROZEN_S: Final = (0.2, 6.0)
"""Up to three leases."""

AWAY_S: Final = (0.2, 3.0)

RESTART_S: Final = 2.0


class Nemesis:
    """Runs in a process of its own until `until_s`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = world.rng
        self._frozen: set[Process] = set()

    async def rage(self, until_s: float) -> None:
        climate = self._world.weather.climate
        deeds: list[tuple[float, Callable[[], None]]] = [
            (climate.kill_every_s, self._kill),
            (climate.freeze_every_s, self._freeze),
            (climate.drain_every_s, self._drain),
            (climate.outage_every_s, self._take_away),
            (climate.meddle_every_s, self._meddle),
            (climate.rebuild_every_s, self._world.start_rebuild),
        ]
        await asyncio.gather(*(self._again_and_again(every_s, deed, until_s) for every_s, deed in deeds if every_s))

    def make_peace(self) -> None:
        """Everything that is away comes back, everybody who is frozen goes on."""
        self._world.weather.calm()
        for process in sorted(self._frozen, key=lambda one: one.name):
            self._world.loop.thaw(process)
        self._frozen.clear()

    async def _again_and_again(self, every_s: float, deed: Callable[[], None], until_s: float) -> None:
        loop = self._world.loop
        while True:
            await asyncio.sleep(self._rng.expovariate(1 / every_s))
            if loop.time() >= until_s:
                return
            deed()

    def _kill(self) -> None:
        process = self._victim()
        self._world.loop.kill(process)
        self._frozen.discard(process)
        self._world.checks.disturbed.add(process.name)
        self._replace(process)

    def _freeze(self) -> None:
        process = self._victim()
        if process in self._frozen:
            return
        self._world.checks.disturbed.add(process.name)
        self._world.loop.freeze(process)
        self._frozen.add(process)

        def thaw() -> None:
            if process in self._frozen:
                self._frozen.discard(process)
                self._world.loop.thaw(process)

        self._world.loop.call_later(self._rng.uniform(*FROZEN_S), thaw)

    def _drain(self) -> None:
        """SIGTERM."""
        stops = self._world.workers | self._world.projectors
        if not stops:
            return  # all of them are on their way back
        process = self._rng.choice(sorted(stops, key=lambda one: one.name))
        self._world.checks.disturbed.add(process.name)
        stops[process].set()
        self._replace(process)

    def _replace(self, process: Process) -> None:
        world = self._world
        later = self._rng.random() * RESTART_S
        if world.workers.pop(process, None) is not None:
            world.loop.call_later(later, world.start_worker)
        elif world.projectors.pop(process, None) is not None:
            world.loop.call_later(later, world.start_projector)
        elif process in world.rebuilds:
            del world.rebuilds[process]
        else:
            world.apis.remove(process)
            world.start_api()

    def _victim(self) -> Process:
        world = self._world
        # Workers are what this is about; they are taken twice as often as the rest together.
        draw = self._rng.random()
        if draw < 0.67 and world.workers:
            return self._rng.choice(sorted(world.workers, key=lambda one: one.name))
        if draw < 0.85 and world.projectors:
            return self._rng.choice(sorted(world.projectors, key=lambda one: one.name))
        return self._rng.choice([*world.apis, *world.rebuilds])

    def _take_away(self) -> None:
        weather, store = self._world.weather, self._rng.choice(list(Store))
        weather.away.add(store)
        self._world.loop.call_later(self._rng.uniform(*AWAY_S), weather.away.discard, store)

    def _meddle(self) -> None:
        """With deliveries: given back though somebody works on it, twice in the inbox, in another order."""
        partition = self._world.log.store.partitions[self._rng.randrange(PARTITIONS)]
        inboxes = [inbox for _, inbox in sorted(partition.inboxes.items()) if inbox.entries]
        if not inboxes:
            return
        inbox = self._rng.choice(inboxes)
        self._rng.choice((self._give_back, self._double, self._shuffle))(inbox)

    def _give_back(self, inbox: InboxState) -> None:
        if inbox.pending:
            entry = self._rng.choice(sorted(inbox.pending))
            self._excuse(inbox.entries[entry])
            inbox.pending[entry] = RELEASED

    def _double(self, inbox: InboxState) -> None:
        pointer = inbox.entries[self._rng.choice(sorted(inbox.entries))]
        self._excuse(pointer)
        inbox.enter(pointer, self._world.log.store.now_ms())
        self._world.log.store.arrived.wake()

    def _shuffle(self, inbox: InboxState) -> None:
        waiting = list(inbox.waiting)
        self._rng.shuffle(waiting)
        inbox.waiting.clear()
        inbox.waiting.update(dict.fromkeys(waiting))

    def _excuse(self, pointer: bytes) -> None:
        """Attempts at this document may supersede one another without anybody's death."""
        self._world.checks.disturbed.add(unpack_pointer(pointer).stream_id)
