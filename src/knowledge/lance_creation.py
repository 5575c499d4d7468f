"""Creating a Lance table beside other processes that create the same one.

LanceDB's own creation looks whether the table is there, looks once more when it commits, and overwrites what has come
up between the two looks, with every row that somebody had written into it by then (seen once in 60 first writes of
three processes). A clone is committed as the first version of a table or not at all; so a table is cloned from one that
is empty for ever. That one may be overwritten: by its like. Into a bucket an empty table is copied that was made
on this machine, and whoever compares commits takes one first version and no other.
"""

import asyncio
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from knowledge.lance_commits import is_conflict, says
from knowledge.lance_imports import import_lancedb
from knowledge.lance_versions import TableVersions, path_of

# What LanceDB says of a table that came up before it began to make it, and while it was making a clone.
_THERE = ("already exists", "clone operation should not enter build_manifest")


async def create_table(connection: Any, name: str, dimensions: int) -> None:
    """Makes an empty table for vectors of these dimensions; one that is there, from whomever, stays as it is."""
    from knowledge.lance_rows import table_schema

    # No name of a knowledge base and its generation (table_names.py): nobody lists, counts or collects it.
    empty = f"empty-{dimensions}"
    await _unless_there(connection.create_table(empty, schema=table_schema(dimensions), mode="create"))
    await _unless_there(connection.clone_table(name, f"{connection.uri.rstrip('/')}/{empty}.lance", source_version=1))


async def copy_table(versions: TableVersions, name: str, dimensions: int) -> None:
    """The same in a bucket."""
    from knowledge.lance_rows import table_schema

    lancedb = await asyncio.to_thread(import_lancedb)
    with tempfile.TemporaryDirectory(prefix="millstream-") as folder:
        connection = await lancedb.connect_async(folder)
        await connection.create_table(name, schema=table_schema(dimensions))
        connection.close()
        manifest, transactions = await asyncio.to_thread(_read, Path(folder), name)
    await versions.begin(name, manifest, transactions)


def _read(folder: Path, name: str) -> tuple[bytes, dict[str, bytes]]:
    transactions = folder.glob(f"{name}.lance/_transactions/*")
    return (folder / path_of(name, 1)).read_bytes(), {
        str(path.relative_to(folder)): path.read_bytes() for path in transactions
    }


async def _unless_there(creation: Awaitable[object]) -> None:
    try:
        await creation
    except (ValueError, RuntimeError) as error:
        if not says(error, _THERE) and not is_conflict(error):
            raise
