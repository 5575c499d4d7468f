"""What a Lance table must have before it is used: columns that came later, and indices on some of them."""

from functools import partial
from typing import Any

from knowledge.lance_commits import Commits

_ADDED_COLUMNS = {"fence": "cast(0 as bigint)", "vector_key": "''", "context": "''"}
"""Columns that tables from before do not have, with what their rows get (SQL)."""

_FULL_TEXT: dict[str, Any] = {
    "base_tokenizer": "whitespace",
    "lower_case": False,
    "stem": False,
    "remove_stop_words": False,
    "ascii_folding": False,
    "max_token_length": None,
}


async def make_complete(rows: Any, commits: Commits) -> None:
    """Adds what is missing: the process that created the table may be an older one, or have died on the way."""
    present = (await rows.schema()).names
    missing = {name: value for name, value in _ADDED_COLUMNS.items() if name not in present}
    if missing:
        await commits.run(rows, lambda: rows.add_columns(missing))
    await _ensure_indices(rows, commits)


async def _ensure_indices(rows: Any, commits: Commits) -> None:
    from lancedb.index import FTS, BTree, LabelList

    wanted: dict[str, FTS | BTree | LabelList] = {
        "terms": FTS(**_FULL_TEXT),
        "document_id": BTree(),
        "metadata_terms": LabelList(),
    }
    present = {column for index in await rows.list_indices() for column in index.columns}
    for column in wanted.keys() - present:
        await commits.run(rows, partial(rows.create_index, column, config=wanted[column]))
