"""What `bench/search.py` measures of each way to ask, its table, and what of it is held to a goal."""

import statistics
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from bench.figures import Peer, note

RATIO_GOAL: Final = 0.7
P99_GOAL_MS: Final = 60
SLOWER_GOAL: Final = 2

ENGINE: Final = "engine, hybrid"
ENGINE_EMBEDDING: Final = "engine, hybrid, with the query's embedding"
ENGINE_SCANNING: Final = "engine, hybrid, without an index on vectors"


class Figures(msgspec.Struct):
    """Milliseconds of each query of each round, and of CPU in all."""

    rounds: list[list[float]]
    cpu_ms: float = 0.0

    @property
    def cpu_ms_each(self) -> float:
        return self.cpu_ms / len(self._all)

    @property
    def p50_ms(self) -> float:
        return statistics.median(self._all)

    @property
    def p99_ms(self) -> float:
        return statistics.quantiles(self._all, n=100)[98]

    def ratio_to(self, peer: "Figures") -> float:
        """Of rates, one query at a time: the median of the rounds'."""
        return statistics.median(
            statistics.fmean(theirs) / statistics.fmean(ours)
            for theirs, ours in zip(peer.rounds, self.rounds, strict=True)
        )

    @property
    def _all(self) -> list[float]:
        return [one for some in self.rounds for one in some]


def report(
    alone: Mapping[str, Figures], beside: Mapping[str, Figures], documents_per_s: float, modes: Iterable[str]
) -> None:
    print(f"while ingesting: {documents_per_s:.1f} documents/s became searchable\n")
    print("| | p50 ms | p99 ms | CPU ms | rate: engine = 1 | with embedding | p50, ingesting | p99, ingesting |")
    print("|---|---|---|---|---|---|---|---|")
    for name, one in alone.items():
        ratios = [f"{one.ratio_to(alone[peer]):.2f}" for peer in (ENGINE, ENGINE_EMBEDDING)]
        figures = [f"{one.p50_ms:.1f}", f"{one.p99_ms:.1f}", f"{one.cpu_ms_each:.1f}", *ratios]
        figures += [f"{beside[name].p50_ms:.1f}", f"{beside[name].p99_ms:.1f}"]
        print(f"| {name} | {' | '.join(figures)} |")
    hybrid, busy = alone["hybrid"], beside["hybrid"]
    note_figures(alone, beside, modes)
    print(
        f"\nhybrid: {hybrid.ratio_to(alone[ENGINE_EMBEDDING]):.2f} of the rate of the engine and an embedding", end=""
    )
    print(f" (goal {RATIO_GOAL}); p99 {hybrid.p99_ms:.0f} ms (goal {P99_GOAL_MS}); while ingesting", end="")
    print(f" {busy.p99_ms / hybrid.p99_ms:.1f} times that (goal {SLOWER_GOAL})")
    print(f"beside the engine that scans: {hybrid.ratio_to(alone[ENGINE_SCANNING]):.2f} of its rate")


def note_figures(alone: Mapping[str, Figures], beside: Mapping[str, Figures], modes: Iterable[str]) -> None:
    hybrid, busy, engine = alone["hybrid"], beside["hybrid"], alone[ENGINE_EMBEDDING]
    rates, engine_rates = (
        [1_000 * len(taken) / sum(taken) for taken in one.rounds] for one in (hybrid, engine)
    )  # one query at a time
    note("hybrid, beside engine and embedding", "queries/s", rates, beside=Peer("engine, embedding", engine_rates))
    for name in modes:
        note(f"{name}: p50", "ms", alone[name].p50_ms)
        note(f"{name}: p99", "ms", alone[name].p99_ms)
        note(f"{name}: CPU of a query", "ms", alone[name].cpu_ms_each)
    note("hybrid: p99 while ingesting", "ms", busy.p99_ms)
    note("hybrid: p99 while ingesting, times that alone", "x", busy.p99_ms / hybrid.p99_ms)
    slower = beside[ENGINE_EMBEDDING].p99_ms / engine.p99_ms
    note("engine, embedding: p99 while ingesting, times that alone", "x", slower)
