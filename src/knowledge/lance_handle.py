"""One open table: who reads it, who writes it, and what is gathered for one commit or one query."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from knowledge.errors import KnowledgeError, Overtaken
from knowledge.gathering import Gathering
from knowledge.lance_lookups import Lookups
from knowledge.lance_writer import LanceWriter, Upsert

IDLE_MAX = 16
"""Objects of LanceDB that wait for the next search of a table; more searches at a time open more of them."""


class IdleRows:
    """Objects of LanceDB that stand for one table. Whoever takes one has it to itself until it gives it back."""

    def __init__(self, open_rows: Callable[[], Awaitable[Any]]) -> None:
        self._open_rows = open_rows
        self._idle: list[Any] = []

    async def take(self) -> Any:
        """One at the newest version; None where the table is gone. The last one given back has least to catch up."""
        if not self._idle:
            return await self._open_rows()
        rows = self._idle.pop()
        await rows.checkout_latest()
        return rows

    def give_back(self, rows: Any) -> None:
        if len(self._idle) < IDLE_MAX:
            self._idle.append(rows)


class LanceHandle(NamedTuple):
    """`rows` is LanceDB's table, at the version that it saw last; searches take `idle` ones."""

    rows: Any
    dimensions: int
    writer: LanceWriter
    upserts: Gathering[Upsert, Overtaken | None]
    lookups: Lookups
    idle: IdleRows

    def check_dimensions(self, dimensions: int) -> None:
        """Raises KnowledgeError for vectors of another length."""
        if dimensions != self.dimensions:
            raise KnowledgeError(f"the table holds vectors of {self.dimensions} dimensions, not {dimensions}")
