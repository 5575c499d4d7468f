"""What must hold for blobs and index rows: nothing that is referenced is absent, and what is found is what was made."""

from collections.abc import Callable

import numpy as np

from blobs.memory import MemoryBlobStore
from domain.document import (
    Cancelled,
    Chunked,
    DocumentState,
    Embedded,
    Erased,
    Failed,
    Indexed,
    Parsed,
    Reached,
    Removed,
    Requested,
    Skipped,
    Unknown,
    record_of,
)
from knowledge.chunk import decode_chunks
from knowledge.index import IndexTable
from knowledge.memory_index import MemoryIndex
from processors.bundle import blob_of, get_named
from tests.searched import search_vector
from tests.simulation.loop import Process
from tests.simulation.wire import at_once

DIMENSIONS = 8
ANYWHERE = np.full(DIMENSIONS, DIMENSIONS**-0.5, dtype=np.float32)
LIMIT = 1_000_000


def references(state: DocumentState) -> list[str]:
    """The blobs that a document is made of and that must therefore be there."""
    match state:
        case Unknown() | Skipped() | Removed() | Erased():
            return []
        case Failed() | Cancelled():
            return references(state.reached)
        case _:
            return _made_of(state)


def _made_of(state: Reached) -> list[str]:
    found = [] if isinstance(state, Requested) else [record_of(state).about.source_blob]
    if isinstance(state, Parsed | Chunked | Embedded | Indexed):
        found.append(blob_of(state.text.text_blob))
    if isinstance(state, Chunked | Embedded | Indexed):
        found.append(blob_of(state.chunks.chunks_blob))
        found += [blob_of(batch.vectors_blob) for batch in state.batches]
    return found


class RowChecks:
    """One for each world; raises AssertionError. `state_of` is what the events say of a document.

    The index has no place for a document that was erased, so rows (and blobs) that were written behind an erasure by
    somebody who died before it could take them back stay, as do the sources of repeated requests that could not be
    deleted: they are counted, and the collector's.
    """

    def __init__(self, blobs: MemoryBlobStore, index: MemoryIndex, state_of: Callable[[str], DocumentState]) -> None:
        self._blobs = blobs
        self._index = index
        self._state_of = state_of
        self._blob_writers: dict[str, tuple[Process, bool]] = {}
        self._row_writers: dict[str, tuple[Process, bool]] = {}
        self.orphan_blobs = 0
        self.orphan_rows = 0

    def referenced(self, stream: str, state: DocumentState) -> None:
        for key in references(state):
            assert at_once(self._blobs.stat(key)) is not None, f"{stream} refers to {key}, which is not there"

    def are_complete(self, document: str, state: Indexed) -> None:
        knowledge_base = state.record.about.knowledge_base_id
        chunks = decode_chunks(at_once(get_named(self._blobs, state.chunks.chunks_blob)))
        expected = {(chunk.chunk_id, chunk.text) for chunk in chunks}
        found = self.found(knowledge_base, state.generation, document)
        assert sorted(found) == sorted(expected), f"searches find {found} of {document} and not {expected}"

    def found(self, knowledge_base: str, generation: int, document: str) -> list[tuple[str, str]]:
        """Ids and texts of a document's rows."""
        table = IndexTable(knowledge_base, generation)
        hits = at_once(search_vector(self._index, table, ANYWHERE, limit=LIMIT))
        return [(hit.chunk.chunk_id, hit.chunk.text) for hit in hits if hit.document_id == document]

    def has_ended(self, document: str, state: DocumentState) -> None:
        """After everything has come to rest."""
        if isinstance(state, Indexed):
            return self.are_complete(document, state)
        if isinstance(state, Removed | Erased):
            assert isinstance(state, Erased), f"{document} was removed and never erased"
            self._is_gone(document, state)
        elif isinstance(state, Skipped):
            # Whoever got no answer from the log cannot know that it was skipped, and leaves everything.
            self.orphan_blobs += len(at_once(self._under(f"documents/{document}/")))
        elif isinstance(state, Failed | Cancelled) and state.reached.record.serving is None:
            about = state.reached.record.about
            self._has_no_rows(document, about.knowledge_base_id)
        return None

    def _is_gone(self, document: str, state: Erased) -> None:
        before = state.before
        knowledge_base = (
            before.knowledge_base_id if isinstance(before, Skipped) else record_of(before).about.knowledge_base_id
        )
        self._has_no_rows(document, knowledge_base)
        own = references(before)
        for info in at_once(self._under(f"documents/{document}/")):
            writer, is_given_up = self._blob_writers[info]
            is_repeat = info.removesuffix(".json") not in own and "/source@" in info
            assert is_repeat or writer.is_dead or is_given_up, f"{info} was left of an erased document"
            self.orphan_blobs += 1

    def _has_no_rows(self, document: str, knowledge_base: str) -> None:
        if self.found(knowledge_base, 1, document):
            writer, is_given_up = self._row_writers[document]
            assert writer.is_dead or is_given_up, f"rows of {document} are found, and nobody wants them"
            self.orphan_rows += 1

    async def _under(self, prefix: str) -> list[str]:
        return [info.key async for info in self._blobs.list(prefix)]

    def blob_written(self, key: str, writer: Process, *, is_given_up: bool) -> None:
        self._blob_writers[key] = (writer, is_given_up)

    def blob_deleted(self, key: str) -> None:
        self._is_free(key)

    def prefix_deleted(self, prefix: str) -> None:
        for key in at_once(self._under(prefix)):
            self._is_free(key)

    def rows_written(self, document: str, writer: Process, *, is_given_up: bool) -> None:
        self._row_writers[document] = (writer, is_given_up)

    def _is_free(self, key: str) -> None:
        document = key.split("/")[1]
        assert key not in references(self._state_of(document)), f"{key} is deleted, and {document} needs it"
