"""Commits to a Lance table beside other writers: which errors mean "again", and how often and how soon.

LanceDB answers every failure as RuntimeError, ValueError or OSError; only the message tells them apart.
"""

import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from knowledge.errors import IndexUnavailable

# A commit met by another is tried again this often, after a pause of up to 2^n x 10 ms, 1 s at most: 12 s on average
# and more than 30 writers of one table need. After that the step's own retry takes over.
ATTEMPTS_MAX = 30
_PAUSE_S_FIRST = 0.01
_PAUSE_S_MAX = 1.0

_Result = TypeVar("_Result")

_CONFLICTS = ("retryable commit conflict", "too many concurrent writers", "incompatible transaction", "commit conflict")


class Commits:
    """Runs commits and tries again those that met another writer's; `rng` spreads the pauses."""

    def __init__(self, rng: random.Random, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._rng = rng
        self._sleep = sleep

    async def run(self, table: Any, commit: Callable[[], Awaitable[_Result]]) -> _Result:
        """What `commit` to the open table answers, which sees its newest version at each further try.

        Raises IndexUnavailable after 30 conflicts in a row, and whatever else `commit` raises at once.
        """
        for attempt in range(ATTEMPTS_MAX):
            try:
                return await commit()
            except (RuntimeError, ValueError, OSError) as error:
                if not is_conflict(error):
                    raise
                await self.pause(attempt)
                await table.checkout_latest()
        raise IndexUnavailable(f"{ATTEMPTS_MAX} commits in a row met another writer's")

    async def pause(self, attempt: int) -> None:
        """Full jitter: anything up to the pause of this attempt, so that writers that met once do not meet again."""
        await self._sleep(self._rng.uniform(0, min(_PAUSE_S_MAX, _PAUSE_S_FIRST * 2**attempt)))


def is_conflict(error: Exception) -> bool:
    """Whether another writer's commit came between, so that the same commit may work now."""
    return says(error, _CONFLICTS)


def says(error: Exception, phrases: tuple[str, ...]) -> bool:
    """Whether the message holds one of the phrases (lower case)."""
    message = str(error).lower()
    return any(phrase in message for phrase in phrases)
