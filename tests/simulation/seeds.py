"""Several worlds, one after the other."""

from collections.abc import Callable, Iterable

from tests.simulation.run import FAULTS_S, Failed, Report, run


def told_of(seed: int, *, faults_s: float = FAULTS_S, tells: Callable[[str], None] | None = None) -> Report | str:
    """Of a world in which something did not hold, what, and how to see it again."""
    try:
        return run(seed, faults_s=faults_s, tells=tells)
    except Failed as failure:
        return str(failure)


def assert_worlds_go_well(seeds: Iterable[int]) -> None:
    """Fails with the command that replays each world in which something did not hold."""
    told = [told_of(seed) for seed in seeds]
    failures = [one for one in told if isinstance(one, str)]
    assert not failures, "\n\n".join(failures)
    assert all(one.events > 0 for one in told if isinstance(one, Report)), "there was a world without events"
