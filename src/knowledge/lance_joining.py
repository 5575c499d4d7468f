"""Files of small writes made one again between two compactions.

Until it is compacted each write is a file of its own, which every search by words and by meaning opens: 0.9 ms of
processor time a file and hybrid search at 50,000 rows, so that one took three times as long at the 64th. Compacting
costs 2 s, for the index on words is written anew. Writing the rows of 16 files once more, in one commit, takes 0.08 s:
the files are empty then and belong to the table no more.

Only who is alone with a table joins: a join beside another process's compaction would make that begin again.
"""

from collections.abc import Sequence
from typing import Any, Final

from knowledge.filter_sql import text_literal

JOIN_WRITES_MIN: Final = 16
JOIN_ROWS_MAX: Final = 1_024
"""Of the writes together; larger ones are files enough for themselves."""

JOIN_TABLE_ROWS_MAX: Final = 200_000
"""The keys of the whole table are read for it: 0.04 s at 50,000 rows."""


class SmallWrites:
    """Documents that this process added, one commit after the other with none of others between. Pure."""

    def __init__(self, *, writes_min: int = JOIN_WRITES_MIN) -> None:
        self._writes_min = writes_min
        self._rows = 0
        self._writes = 0
        self.documents: list[str] = []
        self.version = 0

    @property
    def are_due(self) -> bool:
        return self._writes >= self._writes_min

    def added(self, documents: Sequence[str], rows: int, *, version: int) -> None:
        """Notes the commit that made this version, with nothing but new documents in it."""
        if version != self.version + 1 or self._rows + rows > JOIN_ROWS_MAX:
            self.start_anew(self.version)
        self.version = version
        self._writes += 1
        self._rows += rows
        self.documents += documents

    def start_anew(self, version: int) -> None:
        """Behind a join, whose commit made this version."""
        self.documents, self._rows, self._writes, self.version = [], 0, 0, version


async def join_rows(table: Any, documents: Sequence[str]) -> int:
    """Writes the rows of these documents once more, together and unchanged; the version that has them so.

    A row that another attempt has replaced meanwhile stays as that wrote it.
    """
    wanted = ", ".join(text_literal(document_id) for document_id in documents)
    rows = await table.query().where(f"document_id IN ({wanted})").select((await table.schema()).names).to_arrow()
    written = await (
        table.merge_insert(["document_id", "chunk_id"])
        .when_matched_update_all(where="target.fence = source.fence")
        # As in `LanceWriter._merge`: the join over the keys is faster than by an index.
        .use_index(False)
        .execute(rows)
    )
    return int(written.version)
