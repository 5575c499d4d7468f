"""Writing documents into one Lance table: several at a time in one commit, and never older rows over newer ones.

A commit costs about 20 ms of processor time however little is in it, so what arrives while one is under way is
committed together. A row carries the fence of the attempt that wrote it. Conditions of a merge are about single rows:
a late writer changes and deletes no newer row, but it may add chunks that the newer attempt has not got. So each writer
looks behind its commit and takes out what it should not have added; for one that dies before it comes to that, the
next compaction does.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from knowledge.errors import IndexUnavailable, Overtaken
from knowledge.filter_sql import text_literal
from knowledge.index import IndexRow
from knowledge.lance_commits import Commits, is_conflict
from knowledge.lance_joining import JOIN_TABLE_ROWS_MAX, JOIN_WRITES_MIN, SmallWrites, join_rows
from knowledge.lance_vectors import VECTOR_INDEX_ROWS_MIN, build_vector_index, wants_vector_index

if TYPE_CHECKING:
    import pyarrow as pa

# Versions younger than this stay: a reader in the middle of a search still needs their files.
VERSIONS_KEPT = timedelta(minutes=15)

# How often an upsert may find that another writer of the same document came between.
UPSERT_ATTEMPTS_MAX = 10

# One commit takes so many documents; their vectors are in memory twice while it lasts.
GROUP_DOCUMENTS_MAX = 64
GROUP_ROWS_MAX = 4_096


class Upsert(NamedTuple):
    """The rows that a document shall have, at least one."""

    document_id: str
    rows: Sequence[IndexRow]
    fence: int


def fitting(upserts: Sequence[Upsert]) -> int:
    """How many of them, from the first, go into one commit: each document once, and not too many rows."""
    documents: set[str] = set()
    rows = 0
    for upsert in upserts:
        rows += len(upsert.rows)
        if upsert.document_id in documents or rows > GROUP_ROWS_MAX or len(documents) == GROUP_DOCUMENTS_MAX:
            break
        documents.add(upsert.document_id)
    return len(documents)


class LanceWriter:
    """Writes to one open table whose vectors have `dimensions`."""

    def __init__(
        self,
        table: Any,
        dimensions: int,
        commits: Commits,
        *,
        vector_index_rows_min: int = VECTOR_INDEX_ROWS_MIN,
        join_writes_min: int = JOIN_WRITES_MIN,
    ) -> None:
        self._table = table
        self._dimensions = dimensions
        self._commits = commits
        self._vector_index_rows_min = vector_index_rows_min
        self._small = SmallWrites(writes_min=join_writes_min)

    async def write(self, upserts: Sequence[Upsert]) -> list[Overtaken | None]:
        """Carries out upserts of different documents; answers for each whether it came too late."""
        # Ahead of the look, so that less time is left for another process to commit in between: a second look follows.
        columns = self._columns(upserts)
        await self._table.checkout_latest()
        seen = await self._table.version()
        present = await self._fences([upsert.document_id for upsert in upserts])
        new = [upsert for upsert in upserts if upsert.document_id not in present]
        columns = columns if len(new) == len(upserts) else self._columns(new)
        settled = set(await self._settled(new, columns, seen)) if new else set()
        added = {upsert.document_id for upsert in new}
        return [
            None if one.document_id in settled else await self._settle(one, is_written=one.document_id in added)
            for one in upserts
        ]

    async def _settled(self, new: Sequence[Upsert], columns: "pa.Table", seen: int) -> list[str]:
        """Adds the rows of documents that had none in the version `seen`; those that nobody else wrote meanwhile."""
        version = await self._add(columns)
        if version == seen + 1:
            # Nobody committed in between: no need to look again.
            documents = [one.document_id for one in new]
            self._small.added(documents, sum(len(one.rows) for one in new), version=version)
            return documents
        await self._table.checkout_latest()
        fences = await self._fences([one.document_id for one in new])
        return [one.document_id for one in new if fences.get(one.document_id) == [one.fence] * len(one.rows)]

    async def erase(self, document_id: str, fence: int | None) -> int:
        """Deletes the rows of a document, or those up to a fence; answers how many there were."""
        predicate = _up_to(document_id, fence)
        erased = int(await self._table.count_rows(predicate))
        if erased:
            await self._commits.run(self._table, lambda: self._table.delete(predicate))
        return erased

    async def take_out_overtaken(self) -> None:
        """Deletes rows that writers left behind who died before they saw that they were late."""
        from knowledge.lance_rows import read_fences

        for document_id, fences in (await read_fences(self._table, None)).items():
            newest = max(fences)
            if min(fences) < newest:
                await self.erase(document_id, newest - 1)

    async def join_small(self) -> None:
        """Makes one file of those that this process wrote since, where they are many and nobody else writes."""
        if not self._small.are_due:
            return
        documents, version = self._small.documents, self._small.version
        self._small.start_anew(version)
        await self._table.checkout_latest()
        if await self._table.version() != version or await self._table.count_rows() > JOIN_TABLE_ROWS_MAX:
            return

        async def join() -> None:
            self._small.start_anew(await join_rows(self._table, documents))

        await self._maintain(join, gives_way=True)

    async def optimize(self, *, gives_way: bool = False) -> None:
        """Compacts, removes what no reader needs, and sees to the index on vectors. Where another process commits
        meanwhile it tries again or, giving way, leaves it: rows are found as they are, and the next round does the
        rest."""
        await self.take_out_overtaken()
        await self._maintain(lambda: self._table.optimize(cleanup_older_than=VERSIONS_KEPT), gives_way)
        await self._maintain(self._index_vectors, gives_way)

    async def forget_fences(self) -> None:
        """What is older than other rows of its document goes first: afterwards nobody could tell."""
        await self.take_out_overtaken()
        await self._commits.run(self._table, lambda: self._table.update({"fence": 0}, where="fence > 0"))

    async def _index_vectors(self) -> None:
        if await wants_vector_index(self._table, self._vector_index_rows_min):
            await build_vector_index(self._table)

    async def _maintain(self, commit: Callable[[], Awaitable[object]], gives_way: bool) -> None:
        try:
            await commit()
        except (RuntimeError, ValueError, OSError) as error:
            if not is_conflict(error):
                raise
            if not gives_way:
                await self._commits.run(self._table, commit)

    async def _settle(self, upsert: Upsert, *, is_written: bool = False) -> Overtaken | None:
        """Writes until the rows are there, once, and alone; or until newer ones are."""
        document_id, rows, fence = upsert
        for _ in range(UPSERT_ATTEMPTS_MAX):
            await self._table.checkout_latest()
            fences = (await self._fences([document_id])).get(document_id, [])
            if any(other > fence for other in fences):
                await self.erase(document_id, fence)
                return Overtaken(f"the index holds newer rows of {document_id}")
            if is_written and fences.count(fence) == len(rows):
                if len(fences) > len(rows):
                    await self.erase(document_id, fence - 1)
                return None
            if not fences:
                await self._add(self._columns([upsert]))
            elif not is_written:
                await self._merge(upsert)
            else:
                # Two writers found the document new and added it twice: whoever sees it begins again.
                await self.erase(document_id, fence)
                await self._commits.pause(attempt=0)
            is_written = True
        raise IndexUnavailable(f"other writers keep writing the document {document_id}")

    async def _fences(self, document_ids: Sequence[str]) -> dict[str, list[int]]:
        from knowledge.lance_rows import read_fences

        wanted = ", ".join(text_literal(document_id) for document_id in document_ids)
        return await read_fences(self._table, f"document_id IN ({wanted})")

    def _columns(self, upserts: Sequence[Upsert]) -> "pa.Table":
        from knowledge.lance_rows import to_table

        return to_table([(row, upsert.fence) for upsert in upserts for row in upsert.rows], self._dimensions)

    async def _add(self, columns: "pa.Table") -> int:
        """The version of the table that has the rows."""
        added = await self._commits.run(self._table, lambda: self._table.add(columns))
        return int(added.version)

    async def _merge(self, upsert: Upsert) -> None:
        """Replaces older rows in one commit (20 ms at 20,000 rows), so no search misses the document."""
        data = self._columns([upsert])
        await self._commits.run(
            self._table,
            lambda: (
                self._table.merge_insert(["document_id", "chunk_id"])
                .when_matched_update_all(where=f"target.fence <= {upsert.fence}")
                .when_not_matched_insert_all()
                .when_not_matched_by_source_delete(_up_to(upsert.document_id, upsert.fence))
                # LanceDB's indexed merge takes 40 to 170 ms at 20,000 rows, the hash join over the keys 20.
                .use_index(False)
                .execute(data)
            ),
        )


def of_document(document_id: str) -> str:
    """SQL that is true for the rows of a document."""
    return f"document_id = {text_literal(document_id)}"


def _up_to(document_id: str, fence: int | None) -> str:
    return of_document(document_id) if fence is None else f"{of_document(document_id)} AND fence <= {fence}"
