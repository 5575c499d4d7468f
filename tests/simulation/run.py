"""Runs one world from a seed: faults for a while, then peace, then the verdict."""

import asyncio
import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import structlog

from events.ids import IdFactory
from tests.simulation.clients import Clients
from tests.simulation.climate import Climate, draw
from tests.simulation.loop import Process, SimulatedLoop, seeded
from tests.simulation.nemesis import Nemesis
from tests.simulation.verdict import converge, judge
from tests.simulation.world import PARTITIONS, WORKERS, World

FAULTS_S: Final = 12.0
"""Virtual seconds of faults, six leases."""

CLIENTS: Final = 3

SIGNS_OF_BUGS: Final = frozenset({"attempt_broke", "errand_broke", "delivery_held", "events_passed_over"})
"""Log lines of errors that nobody expected."""


ERRORS: Final = frozenset({"error", "exception"})


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one world came to. `trace` is equal where everything happened in the same order."""

    seed: int
    trace: int
    steps: int
    events: int
    commits: int
    documents: int
    converged_s: float
    orphan_blobs: int
    orphan_rows: int
    unknown_answers: int


class Failed(AssertionError):
    """A world in which something did not hold; the message holds the command that replays it."""


def run(
    seed: int, *, faults_s: float = FAULTS_S, climate: Climate | None = None, tells: Callable[[str], None] | None = None
) -> Report:
    """Raises Failed. `tells` is given a line for everything that a process logs and that happens to it."""
    loop = SimulatedLoop(seeded(f"{seed}/turns"))
    world_climate = draw(seeded(f"{seed}/climate")) if climate is None else climate
    # The collector would end coroutines and generators at moments that no seed decides.
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        with _listening(loop, tells):
            loop.tells = tells
            world = World(loop, str(seed), world_climate)
            return loop.run_world(_history(world, seed, faults_s), Process("history"))
    except Exception as error:
        again = f"\nagain: python -m tests.simulation --seed {seed} --faults {faults_s:g}" if climate is None else ""
        raise Failed(f"{error}{again}") from error
    finally:
        if was_collecting:
            gc.enable()


async def _history(world: World, seed: int, faults_s: float) -> Report:
    loop, rng = world.loop, world.rng
    for _ in range(WORKERS):
        world.start_worker()
    for _ in range(2):
        world.start_projector()
        world.start_api()
    clients = Clients(seeded(f"{seed}/clients"), world.ask, loop.now_us, world.weather.climate.broken_files)
    ids = IdFactory(lambda: loop.now_us() // 1_000, rng.randbytes)
    for _ in range(3):
        await clients.create(ids.knowledge_base(PARTITIONS))
    nemesis = Nemesis(world)
    until_s = loop.time() + faults_s
    lives = [loop.spawn(Process(f"client-{number}"), clients.live(number, until_s)) for number in range(CLIENTS)]
    await nemesis.rage(until_s)
    await asyncio.sleep(max(0.0, until_s - loop.time()))
    nemesis.make_peace()
    await asyncio.gather(*lives)
    converged_s = await converge(world)
    await judge(world, clients)
    return Report(
        seed=seed,
        trace=loop.trace,
        steps=loop.steps,
        events=world.checks.events,
        commits=world.view_checks.commits,
        documents=len(world.checks.documents),
        converged_s=converged_s,
        orphan_blobs=world.rows.orphan_blobs,
        orphan_rows=world.rows.orphan_rows,
        unknown_answers=clients.unknown,
    )


@contextmanager
def _listening(loop: SimulatedLoop, tells: Callable[[str], None] | None) -> Iterator[None]:
    """Errors that were only logged end the world, too."""
    before: dict[str, Any] = structlog.get_config()

    def hear(_logger: object, method: str, event: Any) -> Any:
        if method in ERRORS and event.get("event") in SIGNS_OF_BUGS:
            loop.fail(AssertionError(f"logged as an error: {event}"))
        if tells is not None:
            loop.tell(f"{event.pop('event')} {event}")
        raise structlog.DropEvent

    structlog.configure(
        processors=[structlog.processors.format_exc_info, hear],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR if tells is None else logging.DEBUG),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
