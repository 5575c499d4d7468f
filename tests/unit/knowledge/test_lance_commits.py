import random

import pytest

from knowledge.errors import IndexUnavailable
from knowledge.lance_commits import ATTEMPTS_MAX, Commits


class Table:
    """Fails with `failures`, one a commit, then works; each failure is a version of somebody else."""

    def __init__(self, failures: list[Exception]) -> None:
        self.failures = failures
        self.commits = 0
        self.newest = 0
        self.seen: list[int] = []
        self.version = 0

    async def checkout_latest(self) -> None:
        self.version = self.newest

    async def commit(self) -> int:
        self.commits += 1
        self.seen.append(self.version)
        if self.failures:
            self.newest += 1
            raise self.failures.pop(0)
        return self.version + 1


CONFLICT = RuntimeError("lance error: Retryable commit conflict for version 47: preempted")


def commits_with(pauses: list[float]) -> Commits:
    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    return Commits(random.Random(7), sleep)  # noqa: S311


async def test_a_commit_that_met_another_is_tried_again_after_growing_pauses() -> None:
    pauses: list[float] = []
    table = Table([CONFLICT] * 12)
    committed = await commits_with(pauses).run(table, table.commit)
    assert table.seen == list(range(13)), "each try is about the newest version"
    assert committed == 13
    assert all(0 <= pause <= min(1.0, 0.01 * 2**attempt) for attempt, pause in enumerate(pauses))
    assert len(pauses) == 12


async def test_conflicts_without_end_are_given_up() -> None:
    table = Table([CONFLICT] * 100)
    with pytest.raises(IndexUnavailable, match="in a row"):
        await commits_with([]).run(table, table.commit)
    assert table.commits == ATTEMPTS_MAX


async def test_any_other_failure_is_not_tried_again() -> None:
    table = Table([OSError("no space left on device")])
    with pytest.raises(OSError, match="no space"):
        await commits_with([]).run(table, table.commit)
    assert table.commits == 1
