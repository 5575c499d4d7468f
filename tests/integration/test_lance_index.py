"""The index on LanceDB: the contract of every index, agreement with memory, and several processes at once."""

import multiprocessing
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from knowledge.errors import IndexUnavailable
from knowledge.index import Index
from knowledge.lance_index import LanceIndex
from tests.contract.index_contract import TABLE, IndexContract, direction, rows_of
from tests.integration.index_writer import DOCUMENTS, write_documents


class TestLanceIndex(IndexContract):
    @pytest.fixture
    async def index(self, tmp_path: Path) -> AsyncIterator[Index]:
        index = LanceIndex(str(tmp_path / "index"))
        yield index
        await index.close()


async def test_processes_that_start_at_once_write_one_table_and_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    uri = str(tmp_path / "index")
    start = context.Event()
    writers = [context.Process(target=write_documents, args=(uri, name, start)) for name in ("a", "b", "c")]
    for writer in writers:
        writer.start()
    reader = LanceIndex(uri)
    assert await reader.count(TABLE) == 0
    start.set()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    # Each writes its documents twice and all write "shared"; the reader's handle is older than every row.
    assert await reader.count(TABLE) == 3 * DOCUMENTS * 2 + 1
    assert await reader.count(TABLE, "shared") == 1
    assert len(await reader.search_keyword(TABLE, "grain", limit=100)) == 3 * DOCUMENTS
    assert len(await reader.search_vector(TABLE, direction(0), limit=100)) == 3 * DOCUMENTS * 2 + 1
    await reader.close()


async def test_a_reader_meets_what_another_handle_wrote_and_dropped(tmp_path: Path) -> None:
    writer, reader = LanceIndex(str(tmp_path)), LanceIndex(str(tmp_path))
    await writer.upsert(TABLE, "doc_1", rows_of("doc_1", ["one"]))
    assert await reader.count(TABLE) == 1
    await writer.upsert(TABLE, "doc_1", rows_of("doc_1", ["two", "three"]))
    assert [hit.chunk.text for hit in await reader.search_keyword(TABLE, "three", limit=5)] == ["three"]
    await writer.drop(TABLE)
    with pytest.raises(IndexUnavailable):
        await reader.search_keyword(TABLE, "three", limit=5)
    assert await reader.search_keyword(TABLE, "three", limit=5) == []


def files_in(folder: Path, part: str) -> int:
    return len(list(folder.glob(f"*.lance/{part}/*")))


async def test_many_small_writes_are_compacted_on_the_way(tmp_path: Path) -> None:
    index = LanceIndex(str(tmp_path), compact_writes_min=4)
    for number in range(9):
        await index.upsert(TABLE, f"doc_{number}", rows_of(f"doc_{number}", ["grain"]))
    assert len(await index.search_keyword(TABLE, "grain", limit=20)) == 9
    # Nine writes made nine files and compacting made more; old ones are kept a while. Three indices began empty.
    assert files_in(tmp_path, "data") > 9
    assert files_in(tmp_path, "_indices") > 3
    await index.close()


async def test_a_place_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    index = LanceIndex(str(blocked / "index"))
    with pytest.raises(IndexUnavailable):
        await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["one"]))
