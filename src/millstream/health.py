"""Whether the service lives, and whether it can work: each thing that it stands on, with its answer and time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from events.redis_replicas import primaries
from events.redis_setup import durability
from events.replicas import Halted, halted
from millstream.admission.door import Standing
from millstream.stores import Stores, needs_replica, views_of
from projections.holes import ADVICE, holes

DEPENDENCY_S_MAX = 2.0
"""How long a dependency may take to answer before the service calls itself not ready."""

INDEX = "index"
VIEWS = "views"


class Trouble(StrEnum):
    """Why a dependency is not ready, for whoever says it in words of their own."""

    NO_ANSWER = "no_answer"
    FAILS = "fails"


class WarningCode(StrEnum):
    """What a warning is about, for whoever says it in words of their own."""

    MAY_LOSE = "may_lose_last_second"
    LOG_HAS_HOLE = "log_has_hole"
    INDEX_AWAY = "index_away"
    HALTED = "halted"


class Warned(msgspec.Struct, frozen=True):
    """A warning with its code; `text` is its sentence, `values` what words of it have to name."""

    code: WarningCode
    text: str
    values: dict[str, str | int] = {}


class Alive(msgspec.Struct, frozen=True):
    """The answer of /healthz."""

    status: Literal["alive"] = "alive"


class Dependency(msgspec.Struct, frozen=True):
    """One thing that the service stands on, and how long it took to answer; where it did not, why in a word and in
    full."""

    name: str
    is_ready: bool
    took_ms: float
    detail: str = ""
    code: Trouble | None = None


class Readiness(msgspec.Struct, frozen=True):
    """The answer of /readyz. `warnings` say what could be lost although everything answers, `warned` the same with
    codes; `door`, who is let in; `index`, where it is and who compares what several machines write to it; `halted`,
    where nothing new is recorded for want of a replica (they are among the warnings too: what is there can be read and
    searched)."""

    is_ready: bool
    dependencies: tuple[Dependency, ...]
    warnings: tuple[str, ...] = ()
    warned: tuple[Warned, ...] = ()
    door: str = ""
    door_code: Standing | None = None
    index: str = ""
    halted: tuple[Halted, ...] = ()


def health_routes(stores: Stores, door: Callable[[], tuple[Standing, str]]) -> list[Route]:
    """`/healthz` and `/readyz`."""

    async def healthz(_request: Request) -> Response:
        return _json(Alive(), 200)

    async def readyz(_request: Request) -> Response:
        warned: list[Warned] = []
        standing_still: list[Halted] = []

        async def ping() -> None:
            await stores.log.head(0)
            durable = await durability(stores.clients.commands)
            if (text := durable.warning) is not None:
                warned.append(Warned(WarningCode.MAY_LOSE, text, {"policy": durable.fsync or "unknown"}))
            found = await primaries(stores.clients.commands, stores.keys)
            standing_still.extend(halted(found, needs_replica=needs_replica(stores.settings)))

        async def look() -> None:
            await stores.blobs.stat("readyz")

        async def look_for_holes() -> None:
            for hole in await holes(stores.log, views_of(stores)):
                values: dict[str, str | int] = {"partition": hole.partition, "first": hole.first, "last": hole.last}
                warned.append(Warned(WarningCode.LOG_HAS_HOLE, f"{hole}; {ADVICE}", values))

        checks = [_dependency("redis", ping), _dependency("blobs", look), _dependency(VIEWS, look_for_holes)]
        if stores.is_index_server:
            checks.append(_dependency(INDEX, stores.index.check))
        answers = await asyncio.gather(*checks)
        # No dependencies: without them uploads are accepted and wait, so the service stays in the balancer.
        found = [one for one in answers if one.name not in {INDEX, VIEWS}]
        away = [one.detail for one in answers if one.name == INDEX and not one.is_ready]
        warned.extend(
            Warned(WarningCode.INDEX_AWAY, f"searches fail and documents wait: {detail}", {"detail": detail})
            for detail in away
        )
        # No dependency either: what is there is still read and searched, and other partitions go on.
        warned.extend(
            Warned(
                WarningCode.HALTED, one.told, {"server": one.server, "partitions": ", ".join(map(str, one.partitions))}
            )
            for one in standing_still
        )
        code, told = door()
        readiness = Readiness(
            is_ready=all(one.is_ready for one in found),
            dependencies=tuple(found),
            warnings=tuple(one.text for one in warned),
            warned=tuple(warned),
            door=told,
            door_code=code,
            index=stores.index_told,
            halted=tuple(standing_still),
        )
        return _json(readiness, 200 if readiness.is_ready else 503)

    return [Route("/healthz", healthz, name="healthz"), Route("/readyz", readyz, name="readyz")]


async def _dependency(name: str, check: Callable[[], Awaitable[None]]) -> Dependency:
    started_s = time.perf_counter()

    def took_ms() -> float:
        return round((time.perf_counter() - started_s) * 1_000, 1)

    try:
        await asyncio.wait_for(check(), DEPENDENCY_S_MAX)
    except TimeoutError:
        return Dependency(name, False, took_ms(), f"no answer within {DEPENDENCY_S_MAX:.0f} s", Trouble.NO_ANSWER)
    except Exception as error:
        return Dependency(name, False, took_ms(), str(error), Trouble.FAILS)
    return Dependency(name, True, took_ms())


def _json(value: object, status: int) -> Response:
    return Response(
        msgspec.json.encode(value),
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
