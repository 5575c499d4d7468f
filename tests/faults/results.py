"""The table of faults: what was injected, how often, and the figures that came of it.

Each test writes one file; `MILLSTREAM_TEST_FAULT_TABLE=path.md` says where the table goes, `path.md.rows/` is where
the files lie meanwhile, so that test processes side by side need not know of each other.
`python -m tests.faults.results path.md.rows` prints the table of a run.
"""

import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

TABLE_VARIABLE: Final = "MILLSTREAM_TEST_FAULT_TABLE"
ROUNDS_VARIABLE: Final = "MILLSTREAM_TEST_FAULT_ROUNDS"
DOCUMENTS_VARIABLE: Final = "MILLSTREAM_TEST_FAULT_DOCUMENTS"

ROUNDS: Final = int(os.environ.get(ROUNDS_VARIABLE, "1"))
"""How often each fault is injected anew; the specification asks for 3."""

DOCUMENTS: Final = int(os.environ.get(DOCUMENTS_VARIABLE, "100"))
"""Documents that are uploaded while processes die at random; the specification asks for 1,000."""

Figure = int | float | str
MOST: Final = ("_max", "_s")
"""Ends of names of figures of which the highest matters."""

HEAD: Final = (
    "| fault | what | how injected | runs | figures | seconds | result |\n| --- | --- | --- | --- | --- | --- | --- |\n"
)


class FaultRow(msgspec.Struct, kw_only=True):
    """One line of the table. Figures of several runs add up; of some (MOST) the highest stays."""

    fault: str
    what: str
    how: str
    runs: int = 0
    figures: dict[str, Figure] = {}
    seconds: float = 0.0
    passed: bool = True
    note: str = ""

    def add(self, figures: Mapping[str, Figure]) -> None:
        """One more run."""
        self.runs += 1
        for name, value in figures.items():
            self.figures[name] = _together(name, self.figures.get(name), value)

    def tell(self, **figures: Figure) -> None:
        """Figures of the whole test, or of its last run."""
        for name, value in figures.items():
            keeps_most = name.endswith(MOST) and name in self.figures
            self.figures[name] = _together(name, self.figures[name], value) if keeps_most else value


_rows: Final[dict[tuple[str, str], FaultRow]] = {}


@contextmanager
def recorded(fault: str, what: str, how: str) -> Iterator[FaultRow]:
    """A row that is written down at the end, as passed unless the body raised; further rounds add to the same row."""
    row, began_s = _rows.setdefault((fault, what), FaultRow(fault=fault, what=what, how=how)), time.monotonic()
    try:
        yield row
    except BaseException as error:
        row.passed = False
        lines = str(error).splitlines() or [""]
        row.note = f"{type(error).__name__}: {lines[0][:200]}"
        raise
    finally:
        row.seconds = round(row.seconds + time.monotonic() - began_s, 1)
        _write(row)


def merge(directory: Path) -> str:
    """The table of all rows that lie in a directory, in Markdown."""
    rows = [msgspec.json.decode(path.read_bytes(), type=FaultRow) for path in directory.glob("*.json")]
    return HEAD + "".join(f"{_line(row)}\n" for row in sorted(rows, key=lambda row: (row.fault, row.what)))


def write_table() -> None:
    """Where a table is asked for: of all rows so far. Every process of a test run may do it, the last has all."""
    table = os.environ.get(TABLE_VARIABLE)
    if table and _rows_of(table).is_dir():
        beside = Path(f"{table}.{os.getpid()}")
        beside.write_text(merge(_rows_of(table)), encoding="utf-8")
        beside.replace(table)


def _write(row: FaultRow) -> None:
    table = os.environ.get(TABLE_VARIABLE)
    if not table:
        return
    directory = _rows_of(table)
    directory.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", f"{row.fault} {row.what}".lower()).strip("-")
    (directory / f"{name}.json").write_bytes(msgspec.json.encode(row))


def _rows_of(table: str) -> Path:
    return Path(f"{table}.rows")


def _together(name: str, one: Figure | None, other: Figure) -> Figure:
    if one is None or isinstance(one, str) or isinstance(other, str):
        return other
    return max(one, other) if name.endswith(MOST) else one + other


def _line(row: FaultRow) -> str:
    figures = ", ".join(f"{name} {_shown(value)}" for name, value in row.figures.items())
    result = "pass" if row.passed else f"FAIL {row.note}"
    cells = (row.fault, row.what, row.how, str(row.runs), figures, f"{row.seconds:.1f}", result)
    return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"


def _shown(value: Figure) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    print(merge(Path(sys.argv[1])), end="")
