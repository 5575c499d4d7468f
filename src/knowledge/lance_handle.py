"""One open table: who reads it, who writes it, and what is gathered for one commit or one query."""

from typing import Any, NamedTuple

from knowledge.errors import KnowledgeError, Overtaken
from knowledge.gathering import Gathering
from knowledge.lance_lookups import Lookups
from knowledge.lance_writer import LanceWriter, Upsert


class LanceHandle(NamedTuple):
    """`rows` is LanceDB's table, at the version that it saw last."""

    rows: Any
    dimensions: int
    writer: LanceWriter
    upserts: Gathering[Upsert, Overtaken | None]
    lookups: Lookups

    def check_dimensions(self, dimensions: int) -> None:
        """Raises KnowledgeError for vectors of another length."""
        if dimensions != self.dimensions:
            raise KnowledgeError(f"the table holds vectors of {self.dimensions} dimensions, not {dimensions}")
