"""What lies in the stores, held against what the log says: index rows, blobs, views."""

import asyncio
import hashlib
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from blobs.errors import BlobMissing
from blobs.store import BlobStore
from domain.deciders import knowledge_base_decider
from domain.document import DocumentState, Erased, Failed, Indexed, Removed, Skipped, Unknown, record_of
from domain.handle import load
from domain.knowledge_base import ActiveKnowledgeBase, active
from events.ids import KnowledgeBaseId
from knowledge.chunkers import Chunker
from knowledge.hash_embedder import DIMENSIONS_DEFAULT
from knowledge.index import IndexTable
from knowledge.limits import ParseLimits
from knowledge.media_type import MediaType
from knowledge.parsers import parse
from knowledge.text import ParsedText
from millstream.bootstrap import chunker_for
from millstream.stores import Stores, views_of
from projections.memory_views import MemoryViews
from projections.projection import TABLES
from projections.projector import Projector
from projections.views import ViewStore
from tests.faults.evidence import Evidence
from tests.searched import search_vector
from tests.simulation.rows import references

Row = tuple[str, int, str, str]
"""Document, number of the chunk, id of the chunk, text."""


class RowFigures(msgspec.Struct, frozen=True):
    """`twice`: rows that are there more than once; `missing`: chunks without a row; `stale`: rows of no chunk."""

    rows: int = 0
    twice: int = 0
    missing: int = 0
    stale: int = 0


class BlobFigures(msgspec.Struct, frozen=True):
    """`absent` blobs are referred to and not there, `altered` sources are not what was accepted."""

    absent: int = 0
    altered: int = 0
    unreferenced: int = 0


async def row_figures(stores: Stores, evidence: Evidence, kb: str) -> RowFigures:
    """Every row of a knowledge base against a fresh parse and a fresh cut of the sources."""
    state = evidence.knowledge_bases[kb].state
    if not isinstance(state, ActiveKnowledgeBase):
        return RowFigures()
    chunker = await asyncio.to_thread(chunker_for, state.settings)
    expected: set[Row] = set()
    for document_id, folded in evidence.documents.items():
        if isinstance(folded.state, Indexed) and knowledge_base_of(folded.state) == kb:
            expected |= await _rows_of(stores.blobs, chunker, document_id, folded.state)
    found = await _found(stores, kb, state)
    distinct = set(found)
    return RowFigures(
        rows=len(found),
        twice=len(found) - len(distinct),
        missing=len(expected - distinct),
        stale=len(distinct - expected),
    )


async def blob_figures(stores: Stores, evidence: Evidence) -> BlobFigures:
    """Everything that a document refers to is there, and its source is what was accepted.

    A document that failed because its blob was gone or another misses it rightly.
    """
    listed = {info.key async for info in stores.blobs.list("documents/")}
    wanted: set[str] = set()
    absent = altered = 0
    for folded in evidence.documents.values():
        needed = set(references(folded.state))
        wanted |= needed | {f"{key}.json" for key in needed}
        if not (isinstance(folded.state, Failed) and folded.state.code.startswith("blob_")):
            absent += len(needed - listed)
            altered += await _is_altered(stores.blobs, folded.state)
    return BlobFigures(absent=absent, altered=altered, unreferenced=len(listed - wanted))


async def view_differences(stores: Stores) -> int:
    """Rows and lists of the live views that a fold of the whole log from its first event does not agree on."""
    live, anew = views_of(stores), MemoryViews(partitions=stores.log.partitions, clock_ms=lambda: 0)
    differences = 0
    for partition in range(stores.log.partitions):
        projector = Projector(stores.log, anew, partition=partition, holder="checker")
        while await projector.advance():
            pass
        one, other = await _all_of(live, partition), await _all_of(anew, partition)
        differences += sum(one.get(name) != other.get(name) for name in one.keys() | other.keys())
    return differences


def knowledge_base_of(state: DocumentState) -> str:
    """Where a document belongs; empty for one that does not exist."""
    match state:
        case Unknown():
            return ""
        case Skipped():
            return state.knowledge_base_id
        case Removed() | Erased():
            return knowledge_base_of(state.before)
        case _:
            return record_of(state).about.knowledge_base_id


async def _rows_of(blobs: BlobStore, chunker: Chunker, document_id: str, state: Indexed) -> set[Row]:
    about = state.record.about
    try:
        source = await blobs.get(about.source_blob)
    except BlobMissing:
        return set()  # counted as absent
    parsed = await asyncio.to_thread(_parsed, source, MediaType(about.media_type), about.filename)
    chunks = await asyncio.to_thread(chunker.chunk, parsed, document_id=document_id, chunks_max=100_000)
    return {(document_id, chunk.ordinal, chunk.chunk_id, chunk.text) for chunk in chunks}


@lru_cache(maxsize=16)
def _parsed(source: bytes, media_type: MediaType, filename: str) -> ParsedText:
    """Tests judge the same large document several times."""
    return parse(source, media_type, filename, ParseLimits())


async def _found(stores: Stores, kb: str, state: ActiveKnowledgeBase) -> list[Row]:
    dimensions = state.settings.embedding_dimensions or DIMENSIONS_DEFAULT
    anywhere = np.full(dimensions, dimensions**-0.5, dtype=np.float32)
    rows: list[Row] = []
    for generation in {state.generation, state.building or state.generation}:
        table = IndexTable(kb, generation)
        count = await stores.index.count(table)
        hits = await search_vector(stores.index, table, anywhere, limit=count + 1) if count else []
        rows += [(hit.document_id, hit.chunk.ordinal, hit.chunk.chunk_id, hit.chunk.text) for hit in hits]
    return rows


async def _is_altered(blobs: BlobStore, state: DocumentState) -> bool:
    if isinstance(state, Unknown | Skipped | Removed | Erased):
        return False
    about = record_of(state).about
    try:
        source = await blobs.get(about.source_blob)
    except BlobMissing:
        return False  # counted as absent
    return hashlib.sha256(source).hexdigest() != about.sha256


async def all_views_of(stores: Stores, partition: int) -> dict[str, Any]:
    """Every row and list of the live views, by name."""
    return await _all_of(views_of(stores), partition)


async def all_rows_of(stores: Stores, kb: str) -> list[Row]:
    """Every row of a knowledge base's index, those that come twice twice."""
    known = await load(stores.log, knowledge_base_decider(KnowledgeBaseId(kb)), kb)
    return await _found(stores, kb, active(known.state))


async def _all_of(views: ViewStore, partition: int) -> dict[str, Any]:
    generation = await views.live_generation(partition)
    found: dict[str, Any] = {}
    for table in TABLES:
        async for row_id, payload in views.scan_rows(partition, generation, table):
            found[f"{table.name}/{row_id}"] = payload
    async for index, members in views.scan_indexes(partition, generation):
        found[index] = tuple(sorted(members))
    return found
