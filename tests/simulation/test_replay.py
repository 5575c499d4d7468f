"""A seed is a world: told again it happens again, callback by callback, in whatever process."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.climate import CALM, draw
from tests.simulation.loop import START_S, Process, SimulatedLoop, seeded
from tests.simulation.run import run

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("seed", [3, 11])
def test_the_same_seed_tells_the_same_story_twice(seed: int) -> None:
    assert run(seed) == run(seed)


def test_another_seed_tells_another_story() -> None:
    assert run(3).trace != run(4).trace


def test_the_story_does_not_depend_on_the_process_that_tells_it() -> None:
    told = {_told_in_another_process(hash_seed) for hash_seed in ("1", "2")}
    assert told == {str(run(5))}


def test_without_faults_no_answer_is_missing_and_nothing_is_left() -> None:
    report = run(4, climate=CALM)  # no client goes away in the very moment in which its upload is skipped
    assert (report.orphan_blobs, report.orphan_rows, report.converged_s < 15) == (0, 0, True)
    assert report.events > 100


def test_climates_differ_and_leave_faults_out() -> None:
    climates = [draw(seeded(f"{seed}/climate")) for seed in range(100)]
    assert len(set(map(str, climates))) == 100
    for fault in ("lost", "late", "kill_every_s", "freeze_every_s", "meddle_every_s"):
        rates = {getattr(climate, fault) > 0 for climate in climates}
        assert rates == {True, False}, fault


def test_time_passes_only_when_everybody_waits() -> None:
    loop = SimulatedLoop(seeded("0"))

    async def sleeps() -> float:
        await asyncio.sleep(3_600)
        return asyncio.get_running_loop().time()

    assert loop.run_world(sleeps(), Process("sleeper")) == START_S + 3_600


def test_a_killed_process_runs_not_even_its_last_words() -> None:
    loop, victim, said = SimulatedLoop(seeded("0")), Process("victim"), list[str]()

    async def speaks() -> None:
        try:
            await asyncio.sleep(1)
            said.append("awake")
        finally:
            said.append("buried" if loop.is_burying else "last words")

    async def kills() -> None:
        loop.spawn(victim, speaks())
        await asyncio.sleep(0.5)
        loop.kill(victim)
        await asyncio.sleep(10)
        assert said == []

    loop.run_world(kills(), Process("killer"))
    assert said == ["buried"]


def test_a_frozen_process_goes_on_where_it_stood() -> None:
    loop, sleeper, woke_s = SimulatedLoop(seeded("0")), Process("sleeper"), list[float]()

    async def sleeps() -> None:
        await asyncio.sleep(1)
        woke_s.append(loop.time() - START_S)

    async def freezes() -> None:
        loop.spawn(sleeper, sleeps())
        await asyncio.sleep(0.5)
        loop.freeze(sleeper)
        await asyncio.sleep(5)
        loop.thaw(sleeper)
        await asyncio.sleep(1)

    loop.run_world(freezes(), Process("other"))
    assert woke_s == [5.5]


def test_a_world_in_which_everybody_waits_for_somebody_is_found() -> None:
    loop = SimulatedLoop(seeded("0"))

    async def waits() -> None:
        await loop.create_future()

    with pytest.raises(AssertionError, match="waits for somebody"):
        loop.run_world(waits(), Process("lonely"))


def _told_in_another_process(hash_seed: str) -> str:
    """Sets of strings are walked in another order there."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    program = "from tests.simulation.run import run; print(run(5))"
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return told.stdout.strip()
