"""DocumentChunked -> vectors, batch by batch: each is stored and recorded as it finishes, a crash resumes behind it."""

from collections.abc import Callable, Iterator

from blobs.store import BlobStore
from domain.commands import RecordBatchEmbedded, RecordEmbedded
from domain.document import Chunked, DocumentState
from events.knowledge_base import KnowledgeBaseSettings
from events.steps import Step
from knowledge.chunk import Chunk, indexed_text
from knowledge.embedders import Embedder
from knowledge.vectors import encode_vectors
from processors.artifacts import vectors_blob
from processors.leftovers import erase_leftovers
from processors.step import Done, Outcome, Superseded, Work
from processors.stored import load_chunks

EmbedderFor = Callable[[KnowledgeBaseSettings], Embedder]
"""Keeps what it made: an embedder holds a model or connections, and is closed by whoever made it."""


class EmbedStep:
    """Embeds `batch_chunks` at a time. What embedders raise is mapped in failures.py."""

    step = Step.EMBED

    def __init__(self, blobs: BlobStore, embedder_for: EmbedderFor, *, batch_chunks: int, time_limit_s: float) -> None:
        self._blobs = blobs
        self._embedder_for = embedder_for
        self._batch_chunks = batch_chunks
        self.time_limit_s = time_limit_s

    async def run(self, work: Work) -> Outcome:
        """Raises EmbeddingError, BlobCorrupt, Refused and what the blob store raises."""
        document = work.document
        if not isinstance(document, Chunked):
            return Superseded()
        embedder = self._embedder_for((await work.knowledge_base()).settings)
        chunks = await load_chunks(self._blobs, document.chunks)
        batch: RecordBatchEmbedded | None = None
        for number, part in self._missing(document, chunks):
            # The last batch is recorded with the end of the step: a small document costs one append.
            if batch is not None and not await work.record(batch):
                return Superseded()
            batch = await self._embedded(work, embedder, number, part)
        end = RecordEmbedded(
            attempt=work.attempt,
            model=embedder.model,
            dimensions=embedder.dimensions,
            tokens=sum(chunk.tokens for chunk in chunks),
        )
        return Done((end,) if batch is None else (batch, end))

    async def abandon(self, work: Work, now: DocumentState) -> None:
        """A removed document keeps nothing."""
        await erase_leftovers(self._blobs, work, now)

    def _missing(self, document: Chunked, chunks: tuple[Chunk, ...]) -> Iterator[tuple[int, tuple[Chunk, ...]]]:
        """Number and chunks of each batch that has no vectors yet."""
        starts = range(document.chunks_embedded, len(chunks), self._batch_chunks)
        for number, start in enumerate(starts, start=len(document.batches)):
            yield number, chunks[start : start + self._batch_chunks]

    async def _embedded(
        self, work: Work, embedder: Embedder, number: int, part: tuple[Chunk, ...]
    ) -> RecordBatchEmbedded:
        vectors = await embedder.embed_passages([indexed_text(chunk) for chunk in part])
        name = vectors_blob(work.document_id, number, work.attempt)
        stored = await self._blobs.put(name, encode_vectors(vectors))
        return RecordBatchEmbedded(
            attempt=work.attempt,
            batch=number,
            first_chunk=part[0].ordinal,
            last_chunk=part[-1].ordinal,
            vectors_blob=stored.key,
        )
