"""The index on LanceDB: the contract of every index, agreement with memory, and several processes at once."""

import asyncio
import multiprocessing
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from knowledge.errors import IndexUnavailable, Overtaken
from knowledge.filters import of_documents, parse_filters
from knowledge.index import Index, IndexRow, TableReader
from knowledge.lance_creation import create_table
from knowledge.lance_imports import import_lancedb
from knowledge.lance_index import LanceIndex
from knowledge.lance_joining import join_rows
from knowledge.lance_lookups import lookups_in
from knowledge.lance_reader import LanceReader
from knowledge.lance_rows import to_table
from knowledge.lance_vectors import SEGMENTS_MAX, VECTOR_COLUMN
from knowledge.table_names import name_of
from tests.contract.index_contract import DIMENSIONS, TABLE, IndexContract, direction, rows_of
from tests.integration.index_writer import DOCUMENTS, build_for_ever, write_documents
from tests.searched import search_keyword, search_vector
from tests.waiting import wait_until

CREATORS = 8
ROWS_OF_A_PART = 3_000
"""From 15,000 rows on LanceDB makes a second partition, of those with the fewest numbers too."""

WRITERS_S_MAX = 150
"""Three processes that each import LanceDB, on a machine that may do ten other things."""


class TestLanceIndex(IndexContract):
    @pytest.fixture
    async def index(self, tmp_path: Path) -> AsyncIterator[Index]:
        index = LanceIndex(str(tmp_path / "index"))
        yield index
        await index.close()


class TestLanceIndexWithAnIndexOnVectors(IndexContract):
    """Built behind the first write and seen to behind every further one."""

    @pytest.fixture
    async def index(self, tmp_path: Path) -> AsyncIterator[Index]:
        index = LanceIndex(str(tmp_path / "index"), compact_writes_min=1, vector_index_rows_min=1)
        yield index
        await index.close()


class TestLanceIndexThatJoinsSmallWrites(IndexContract):
    """Behind every second write that only adds."""

    @pytest.fixture
    async def index(self, tmp_path: Path) -> AsyncIterator[Index]:
        index = LanceIndex(str(tmp_path / "index"), join_writes_min=2)
        yield index
        await index.close()


class CountedTable:
    """A table that counts how often it is asked for rows."""

    def __init__(self, table: Any) -> None:
        self.queries = 0
        self._table = table

    def query(self) -> Any:
        self.queries += 1
        return self._table.query()

    async def checkout_latest(self) -> None:
        await self._table.checkout_latest()


async def test_documents_that_look_for_vectors_meanwhile_look_in_one_query(tmp_path: Path) -> None:
    index = LanceIndex(str(tmp_path / "index"))
    row = rows_of("doc_1", ["text"])[0]
    await index.upsert(TABLE, "doc_1", [structs.replace(row, vector_key="there")])
    connection = await import_lancedb().connect_async(str(tmp_path / "index"))
    table = CountedTable(await connection.open_table(name_of(TABLE)))
    lookups = lookups_in(table)
    found = await asyncio.gather(*(lookups.ask({"there", f"not {number}"}) for number in range(20)))
    assert [one.keys() for one in found] == [{"there"}] * 20
    assert table.queries == 1, "all of them gather before the first query leaves"
    await index.upsert(TABLE, "doc_2", [structs.replace(rows_of("doc_2", ["more"])[0], vector_key="not 7")])
    assert (await lookups.ask({"not 7"})).keys() == {"not 7"}, "what another one wrote is found at once"
    await index.close()


@pytest.mark.timeout(2 * WRITERS_S_MAX)
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
        writer.join(WRITERS_S_MAX)
        assert writer.exitcode == 0
    # Each writes its documents twice and all write "shared"; the reader's handle is older than every row.
    assert await reader.count(TABLE) == 3 * DOCUMENTS * 2 + 1
    assert await reader.count(TABLE, "shared") == 1
    assert len(await search_keyword(reader, TABLE, "grain", limit=100)) == 3 * DOCUMENTS
    assert len(await search_vector(reader, TABLE, direction(0), limit=100)) == 3 * DOCUMENTS * 2 + 1
    await reader.close()


async def test_a_table_that_many_create_at_once_is_created_once(tmp_path: Path) -> None:
    """LanceDB's own creation overwrote the table of somebody else in every second round, with whatever was in it."""
    connections = [await connect(tmp_path) for _ in range(CREATORS)]
    for number in range(20):
        await asyncio.gather(*(create_table(one, f"kb.{number}", DIMENSIONS) for one in connections))
        table = await connections[0].open_table(f"kb.{number}")
        assert await table.version() == 1


async def test_a_creator_that_slept_until_the_table_was_written_overwrites_nothing(tmp_path: Path) -> None:
    """It had looked, found no table, and goes on when another has created and filled it."""
    index, sleeper = LanceIndex(str(tmp_path)), await connect(tmp_path)
    await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["one"]))
    await create_table(sleeper, name_of(TABLE), DIMENSIONS)
    assert await index.count(TABLE, "doc_1") == 1
    assert await index.tables() == [TABLE]
    await index.close()


async def connect(folder: Path) -> Any:
    return await import_lancedb().connect_async(str(folder), read_consistency_interval=timedelta(0))


async def test_a_reader_meets_what_another_handle_wrote_and_dropped(tmp_path: Path) -> None:
    writer, reader = LanceIndex(str(tmp_path)), LanceIndex(str(tmp_path))
    await writer.upsert(TABLE, "doc_1", rows_of("doc_1", ["one"]))
    assert await reader.count(TABLE) == 1
    await writer.upsert(TABLE, "doc_1", rows_of("doc_1", ["two", "three"]))
    assert [hit.chunk.text for hit in await search_keyword(reader, TABLE, "three", limit=5)] == ["three"]
    await writer.drop(TABLE)
    with pytest.raises(IndexUnavailable):
        await search_keyword(reader, TABLE, "three", limit=5)
    assert await search_keyword(reader, TABLE, "three", limit=5) == []


async def test_what_a_reader_found_it_can_read_though_rows_are_moved_replaced_and_deleted_meanwhile(
    tmp_path: Path,
) -> None:
    writer, index = LanceIndex(str(tmp_path)), LanceIndex(str(tmp_path))
    for number in range(3):
        await writer.upsert(TABLE, f"doc_{number}", rows_of(f"doc_{number}", [f"grain {number}", f"bran {number}"]))
    async with index.reading(TABLE) as before:
        matches = await before.by_vector(direction(0), limit=9)
        await writer.upsert(TABLE, "doc_0", rows_of("doc_0", ["flour"]))
        await writer.erase(TABLE, "doc_1")
        await writer.optimize(TABLE)
        found = await search_vector(index, TABLE, direction(0), limit=9)
        assert sorted(hit.chunk.text for hit in found) == ["bran 2", "flour", "grain 2"], "others see what is new"
        texts = sorted(hit.chunk.text for hit in await before.read(matches))
        assert texts == [f"{word} {number}" for word in ("bran", "grain") for number in range(3)]
        assert len(await before.by_words("grain", limit=9)) == 3
    assert len(await search_keyword(index, TABLE, "grain", limit=9)) == 1, "who comes next sees what is new, too"
    await asyncio.gather(writer.close(), index.close())


async def test_searches_at_once_open_the_table_once_each_and_those_behind_them_not_again(tmp_path: Path) -> None:
    index = LanceIndex(str(tmp_path))
    await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["one"]))
    seen: set[int] = set()
    for _ in range(3):
        async with AsyncExitStack() as stack:
            readers = [await stack.enter_async_context(index.reading(TABLE)) for _ in range(4)]
            assert len(set(map(rows_behind, readers))) == 4
            seen |= set(map(rows_behind, readers))
    assert len(seen) == 4
    await index.close()


def rows_behind(reader: TableReader) -> int:
    assert isinstance(reader, LanceReader)
    return id(reader._rows)


async def files_of(folder: Path) -> int:
    """Those that a search of the newest version opens."""
    rows = await (await connect(folder)).open_table(name_of(TABLE))
    return int((await rows.stats())["fragment_stats"]["num_fragments"])


async def test_small_writes_of_one_process_become_one_file_and_rows_stay_as_they_were(tmp_path: Path) -> None:
    index = LanceIndex(str(tmp_path), join_writes_min=4)
    for number in range(3):
        rows = rows_of(f"d'oc_{number}", ["grain", f"bran {number}"], angle=number, page=number, year=2_000 + number)
        await index.upsert(TABLE, f"d'oc_{number}", [structs.replace(row, vector_key=f"k{number}") for row in rows])
    before = await search_vector(index, TABLE, direction(0), limit=9)
    assert await files_of(tmp_path) == 3
    await index.upsert(TABLE, "doc_last", rows_of("doc_last", ["flour"]), fence=7)
    assert await files_of(tmp_path) == 1
    after = await search_vector(index, TABLE, direction(0), limit=9)
    assert [hit for hit in after if hit.chunk.text != "flour"] == before
    assert await index.fence(TABLE, "doc_last") == 7
    assert set(await index.vectors(TABLE, ["k0", "k1", "k2"])) == {"k0", "k1", "k2"}
    late = parse_filters({"metadata.year": {"gte": 2_001}})
    found = await search_keyword(index, TABLE, "grain", limit=9, filters=late)
    assert sorted(hit.document_id for hit in found) == ["d'oc_1", "d'oc_2"]
    await index.close()


async def test_who_is_not_alone_with_a_table_joins_nothing(tmp_path: Path) -> None:
    index, other = LanceIndex(str(tmp_path), join_writes_min=3), LanceIndex(str(tmp_path))
    for number in range(6):
        await index.upsert(TABLE, f"doc_{number}", rows_of(f"doc_{number}", ["grain"]))
        if number % 2:
            await other.upsert(TABLE, f"other_{number}", rows_of(f"other_{number}", ["bran"]))
    assert await files_of(tmp_path) == 9
    await asyncio.gather(index.close(), other.close())


async def test_a_join_leaves_what_another_attempt_wrote_or_erased_meanwhile(tmp_path: Path) -> None:
    """Its table stands at a version in which one document is not replaced yet and another not gone."""
    index = LanceIndex(str(tmp_path))
    for number in range(3):
        await index.upsert(TABLE, f"doc_{number}", rows_of(f"doc_{number}", ["grain"]), fence=1)
    connection = await import_lancedb().connect_async(str(tmp_path), read_consistency_interval=None)
    rows_before = await connection.open_table(name_of(TABLE))
    await index.upsert(TABLE, "doc_0", rows_of("doc_0", ["grain", "newer"]), fence=2)
    await index.erase(TABLE, "doc_1")
    with suppress(RuntimeError, OSError):  # it may be refused
        await join_rows(rows_before, ["doc_0", "doc_1", "doc_2"])
    hits = await search_vector(index, TABLE, direction(0), limit=9)
    assert sorted((hit.document_id, hit.chunk.text) for hit in hits) == [
        ("doc_0", "grain"), ("doc_0", "newer"), ("doc_2", "grain"),
    ]  # fmt: skip
    assert await index.fence(TABLE, "doc_0") == 2
    await index.close()


def files_in(folder: Path, part: str) -> int:
    return len(list(folder.glob(f"*.lance/{part}/*")))


async def test_many_small_writes_are_compacted_on_the_way(tmp_path: Path) -> None:
    index = LanceIndex(str(tmp_path), compact_writes_min=4)
    for number in range(9):
        await index.upsert(TABLE, f"doc_{number}", rows_of(f"doc_{number}", ["grain"]))
    assert len(await search_keyword(index, TABLE, "grain", limit=20)) == 9
    # Nine writes made nine files and compacting made more; old ones are kept a while. Three indices began empty.
    assert files_in(tmp_path, "data") > 9
    assert files_in(tmp_path, "_indices") > 3
    await index.close()


def versions(folder: Path) -> int:
    return len(list(folder.glob("*.lance/_versions/*")))


async def test_documents_that_come_at_once_are_committed_together(tmp_path: Path) -> None:
    index = LanceIndex(str(tmp_path))
    await index.upsert(TABLE, "doc_first", rows_of("doc_first", ["grain"]))
    before = versions(tmp_path)
    await asyncio.gather(
        *(index.upsert(TABLE, f"doc_{number}", rows_of(f"doc_{number}", ["grain"])) for number in range(20))
    )
    assert versions(tmp_path) - before <= 2
    assert await index.count(TABLE) == 21
    await index.close()


@pytest.mark.parametrize("moment", ["before it looked", "before it added", "before it merged"])
async def test_a_writer_that_slept_through_a_newer_attempt_leaves_nothing(tmp_path: Path, moment: str) -> None:
    """Its table handle is that of another process: it sees the other's commits whenever it looks."""
    sleeper, other = LanceIndex(str(tmp_path)), LanceIndex(str(tmp_path))
    await sleeper.upsert(TABLE, "doc_other", rows_of("doc_other", ["grain"]))
    handle = sleeper._handles[TABLE]  # the pause is put where no call from outside can put it
    add = handle.rows.add

    async def add_late(data: object) -> object:
        await newer()
        return await add(data)

    def merge_late(on: list[str]) -> Any:
        builder = handle.rows.merge_insert(on)
        execute = builder.execute

        async def execute_late(data: object) -> object:
            await newer()
            return await execute(data)

        builder.execute = execute_late
        return builder

    async def newer() -> None:
        await other.upsert(TABLE, "doc_1", rows_of("doc_1", ["kept", "new"]), fence=14)

    if moment == "before it looked":
        await newer()
    elif moment == "before it merged":
        await sleeper.upsert(TABLE, "doc_1", rows_of("doc_1", ["kept", "first"]), fence=3)
    handle.writer._table = Renamed(handle.rows, add=add_late, merge_insert=merge_late)
    with pytest.raises(Overtaken):
        await sleeper.upsert(TABLE, "doc_1", rows_of("doc_1", ["kept", "old", "older"]), fence=10)
    found = await search_vector(other, TABLE, direction(0), limit=9, filters=of_documents(("doc_1",)))
    assert sorted(hit.chunk.text for hit in found) == ["kept", "new"]
    await sleeper.close()
    await other.close()


class Renamed:
    """A table with some methods replaced."""

    def __init__(self, table: object, **methods: object) -> None:
        self._table = table
        self._methods = methods

    def __getattr__(self, name: str) -> object:
        return self._methods.get(name) or getattr(self._table, name)


async def test_rows_of_a_late_writer_that_died_are_taken_out_by_the_next_compaction(tmp_path: Path) -> None:
    index = LanceIndex(str(tmp_path))
    await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["new"]), fence=14)
    await index.upsert(TABLE, "doc_2", rows_of("doc_2", ["other"]), fence=3)
    await index._handles[TABLE].rows.add(to_table([(row, 10) for row in rows_of("doc_1", ["old"])], DIMENSIONS))
    assert await index.count(TABLE) == 3
    await index.optimize(TABLE)
    found = await search_vector(index, TABLE, direction(0), limit=9)
    assert sorted(hit.chunk.text for hit in found) == ["new", "other"]
    await index.close()


async def test_a_table_from_before_fences_is_written_and_read_on(tmp_path: Path) -> None:
    old = LanceIndex(str(tmp_path))
    await old.upsert(TABLE, "doc_1", rows_of("doc_1", ["one", "two"]))
    await old._handles[TABLE].rows.drop_columns(["fence", "vector_key"])
    await old.close()
    index = LanceIndex(str(tmp_path))
    assert await index.upsert(TABLE, "doc_2", rows_of("doc_2", ["three"]), fence=5) == 1
    assert await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["four"]), fence=5) == 1
    assert sorted(hit.chunk.text for hit in await search_vector(index, TABLE, direction(0), limit=9)) == [
        "four",
        "three",
    ]
    await index.close()


ROWS_OF_MANY = 600


def scattered(count: int) -> list[IndexRow]:
    """Rows all over the sphere, two of each vector, so that there are ties."""
    numbers = np.random.default_rng(11).normal(size=(count, DIMENSIONS)).astype(np.float32)
    numbers /= np.linalg.norm(numbers, axis=1, keepdims=True)
    rows = rows_of("doc_many", [f"sack {number}" for number in range(count)])
    return [structs.replace(row, vector=numbers[number // 2]) for number, row in enumerate(rows)]


async def agreeing_index(folder: Path) -> LanceIndex:
    """A table with an index on its vectors, rows from before it and since, changed and erased ones."""
    index = LanceIndex(str(folder), vector_index_rows_min=1)
    await index.upsert(TABLE, "doc_many", scattered(ROWS_OF_MANY), fence=1)
    await index.upsert(TABLE, "doc_gone", rows_of("doc_gone", ["grain", "stone"]), fence=2)
    await index.upsert(TABLE, "doc_edited", rows_of("doc_edited", ["old"], angle=0.3), fence=3)
    await index.optimize(TABLE)
    await index.erase(TABLE, "doc_gone")
    await index.upsert(TABLE, "doc_edited", rows_of("doc_edited", ["new", "newer"], angle=0.7), fence=4)
    await index.upsert(TABLE, "doc_late", rows_of("doc_late", ["fresh"], angle=1.1), fence=5)
    return index


async def found_by_index_and_by_scan(index: LanceIndex, folder: Path) -> tuple[list[list[float]], list[list[float]]]:
    """Scores of the nearest 50 of several queries, by each."""
    table = await (await connect(folder)).open_table(name_of(TABLE))
    by_index, by_scan = [], []
    for angle in (0.0, 0.5, 1.0, 2.0, 4.0):
        hits = await search_vector(index, TABLE, direction(angle), limit=50)
        query = table.query().nearest_to(direction(angle)).distance_type("dot").bypass_vector_index()
        scanned = (await query.limit(50).select(["_distance"]).to_arrow())["_distance"].to_pylist()
        by_index.append([round(hit.score, 5) for hit in hits])
        by_scan.append([round(1.0 - distance, 5) for distance in scanned])
    return by_index, by_scan


async def vector_index(folder: Path) -> Any:
    table = await (await connect(folder)).open_table(name_of(TABLE))
    return next((one for one in await table.list_indices() if one.columns == [VECTOR_COLUMN]), None)


async def test_an_index_on_vectors_finds_what_a_scan_finds_whatever_happened_since(tmp_path: Path) -> None:
    index = await agreeing_index(tmp_path)
    for _ in range(3):
        assert (await vector_index(tmp_path)).num_indexed_rows >= ROWS_OF_MANY
        by_index, by_scan = await found_by_index_and_by_scan(index, tmp_path)
        assert by_index == by_scan
        texts = [hit.chunk.text for hit in await search_vector(index, TABLE, direction(0.7), limit=700)]
        assert len(texts) == ROWS_OF_MANY + 3
        assert {"new", "newer", "fresh"} < set(texts)
        assert not {"old", "grain", "stone"} & set(texts)
        await index.optimize(TABLE)
    await index.close()


async def test_a_partition_that_was_split_is_searched_whole(tmp_path: Path) -> None:
    """LanceDB splits partitions of the index when it compacts; a query that looks into one alone misses rows."""
    from lancedb.index import IvfFlat

    index = await agreeing_index(tmp_path)
    table = index._handles[TABLE].rows
    await table.create_index("vector", config=IvfFlat(distance_type="dot", num_partitions=24), replace=True)
    by_index, by_scan = await found_by_index_and_by_scan(index, tmp_path)
    assert by_index == by_scan
    await index.close()


async def test_few_vectors_have_no_index_and_many_parts_become_one(tmp_path: Path) -> None:
    index = LanceIndex(str(tmp_path), vector_index_rows_min=20)
    await index.upsert(TABLE, "doc_1", rows_of("doc_1", [f"sack {number}" for number in range(19)]))
    await index.optimize(TABLE)
    assert await vector_index(tmp_path) is None
    parts = []
    for number in range(2, SEGMENTS_MAX + 6):
        await index.upsert(TABLE, f"doc_{number}", rows_of(f"doc_{number}", ["grain"]))
        await index.optimize(TABLE)
        parts.append((await vector_index(tmp_path)).num_segments)
    assert max(parts) <= SEGMENTS_MAX
    assert parts[0] == 1
    await index.close()


async def test_parts_with_fewer_partitions_than_the_whole_lose_nothing_when_they_are_joined(tmp_path: Path) -> None:
    """LanceDB joins parts of one partition each to a whole of several, and warns of each that it does not find."""
    index, rng, stored = LanceIndex(str(tmp_path), vector_index_rows_min=1), np.random.default_rng(7), []
    parts: list[int] = []
    while not parts or parts[-1] >= max(parts):
        name, ordinals = f"doc_{len(parts)}", range(ROWS_OF_A_PART)
        vectors = rng.normal(size=(ROWS_OF_A_PART, DIMENSIONS)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        rows = [
            structs.replace(row, vector=vector)
            for row, vector in zip(rows_of(name, ["w"] * len(ordinals)), vectors, strict=True)
        ]
        await index.upsert(TABLE, name, rows)
        stored.append(vectors)
        parts.append((await vector_index(tmp_path)).num_segments)
    assert parts[-1] == 1 < max(parts) <= SEGMENTS_MAX, "they were joined, by LanceDB"
    for query in rng.normal(size=(20, DIMENSIONS)).astype(np.float32):
        unit = query / np.linalg.norm(query)
        nearest = np.sort(np.concatenate(stored) @ unit)[::-1][:50]
        found = await search_vector(index, TABLE, unit, limit=50)
        assert [hit.score for hit in found] == pytest.approx(nearest.tolist(), abs=1e-5)
    await index.close()


async def test_an_index_that_two_build_at_once_is_built_and_writers_go_on(tmp_path: Path) -> None:
    one = await agreeing_index(tmp_path)
    other = LanceIndex(str(tmp_path), vector_index_rows_min=1)
    await one._handles[TABLE].rows.drop_index("vector_idx")
    await asyncio.gather(
        one.optimize(TABLE),
        other.optimize(TABLE),
        *(one.upsert(TABLE, f"doc_{number}", rows_of(f"doc_{number}", ["beside"])) for number in range(5)),
    )
    assert await vector_index(tmp_path) is not None
    by_index, by_scan = await found_by_index_and_by_scan(other, tmp_path)
    assert by_index == by_scan
    assert await one.count(TABLE) == ROWS_OF_MANY + 3 + 5
    await one.close()
    await other.close()


async def test_a_process_killed_while_it_builds_the_index_harms_nobody(tmp_path: Path) -> None:
    index = await agreeing_index(tmp_path)
    await index._handles[TABLE].rows.drop_index("vector_idx")
    before = files_in(tmp_path, "_indices")
    builder = multiprocessing.get_context("spawn").Process(target=build_for_ever, args=(str(tmp_path),))
    builder.start()
    await wait_until(lambda: files_in(tmp_path, "_indices") > before + 2, "the builder has begun")
    builder.kill()
    builder.join(60)
    by_index, by_scan = await found_by_index_and_by_scan(index, tmp_path)
    assert by_index == by_scan
    await index.optimize(TABLE)
    assert await vector_index(tmp_path) is not None
    assert await found_by_index_and_by_scan(index, tmp_path) == (by_scan, by_scan)
    await index.close()


async def test_a_caller_that_is_cancelled_knows_that_nothing_is_written_behind_its_back(tmp_path: Path) -> None:
    index = LanceIndex(str(tmp_path))
    await index.upsert(TABLE, "doc_first", rows_of("doc_first", ["grain"]))
    calls = [asyncio.create_task(index.upsert(TABLE, f"doc_{n}", rows_of(f"doc_{n}", ["grain"]))) for n in range(6)]
    await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    written = await index.count(TABLE)
    await index.upsert(TABLE, "doc_last", rows_of("doc_last", ["grain"]))
    assert await index.count(TABLE) == written + 1
    await index.close()


async def test_a_place_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    index = LanceIndex(str(blocked / "index"))
    with pytest.raises(IndexUnavailable):
        await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["one"]))
