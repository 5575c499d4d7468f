"""When a table of the index is worth compacting. Pure.

What was written since is searched row by row (8 to 23 µs a row: 20 to 60 ms at 2,500) and every write leaves a file
that each search has to open (0.2 to 0.9 ms of processor time), until it is joined with others (`lance_joining.py`).
Compacting rewrites the whole full-text index, though (1.5 s at 50,000 chunks). Waiting for a share of what is there
keeps the cost per row about flat; but a search of a large table must not wait for a file of every twentieth row, so the
number of files has an end.
"""

WRITES_MIN = 64
WRITES_MAX = 256
ROWS_MIN = 2_500
WRITES_SHARE = 0.00125
ROWS_SHARE = 0.1


class Compaction:
    """Counts what one process wrote to one table since it was compacted."""

    def __init__(self, *, writes_min: int = WRITES_MIN) -> None:
        self._writes_min = writes_min
        self._rows_total = 0
        self._writes = 0
        self._rows = 0

    def wrote(self, rows: int) -> bool:
        """Notes a write of so many rows; true where the table should be compacted now."""
        self._writes += 1
        self._rows += rows
        writes_due = max(self._writes_min, min(WRITES_MAX, WRITES_SHARE * self._rows_total))
        rows_due = max(ROWS_MIN, ROWS_SHARE * self._rows_total)
        return self._writes >= writes_due or self._rows >= rows_due

    def compacted(self, rows_total: int) -> None:
        """Starts counting again; the table holds `rows_total` rows."""
        self._rows_total = rows_total
        self._writes = 0
        self._rows = 0
