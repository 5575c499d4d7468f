"""DocumentChunked -> vectors, batch by batch: each is stored and recorded as it finishes, a crash resumes behind it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final

import msgspec
import numpy as np

from domain.commands import RecordBatchEmbedded, RecordEmbedded
from domain.document import Chunked, DocumentState
from events.failpoints import Place, failpoint
from events.steps import Step
from knowledge.chunk import Chunk, indexed_text
from knowledge.embedders import Embedder
from knowledge.index import Index, IndexTable, vector_key_of
from knowledge.vectors import Vectors, encode_vectors
from processors.artifacts import vectors_blob
from processors.bundle import StepBlobs
from processors.embedder_for import EmbedderFor, embedding_of
from processors.given_up import given_up
from processors.group_commit import GroupCommit
from processors.leftovers import erase_leftovers
from processors.provider import ProviderGate
from processors.provider_calls import ProviderCalls
from processors.step import Done, Outcome, Reject, Superseded, Work
from processors.stored import load_chunks

LOCAL_REUSE_CHUNKS_MIN: Final = 16
"""A local model makes a vector in 10 ms of a processor, and looking for those of a batch takes 8 ms in a table that is
being written to. Of a document that is new, and replaces none, few texts are in the index already."""


class _Embedding(msgspec.Struct, frozen=True):
    """What an attempt embeds with, and where vectors may be found that were made before."""

    embedder: Embedder
    calls: ProviderCalls
    tables: tuple[IndexTable, ...]
    reuse_chunks_min: int
    """Batches of fewer chunks are embedded without a look."""


class EmbedStep:
    """Embeds at most `batch_chunks` at a time. What embedders raise is mapped in failures.py.

    `remote_calls` bounds how many documents call a provider at a time; a local model takes all that come together.
    Those that look for vectors wait in `looks` for one another, once each: a query costs the same for one and for many.
    """

    step = Step.EMBED

    def __init__(
        self,
        blobs: StepBlobs,
        embedder_for: EmbedderFor,
        gate: ProviderGate,
        index: Index,
        *,
        batch_chunks: int,
        time_limit_s: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        remote_calls: asyncio.Semaphore | None = None,
        looks: GroupCommit | None = None,
    ) -> None:
        self._blobs = blobs
        self._embedder_for = embedder_for
        self._gate = gate
        self._index = index
        self._batch_chunks = batch_chunks
        self._sleep = sleep
        self._remote_calls = remote_calls
        self._looks = looks
        self.time_limit_s = time_limit_s

    async def run(self, work: Work) -> Outcome:
        """Raises EmbeddingError, BlobCorrupt, IndexUnavailable, Refused and what blob store and gate raise."""
        document = work.document
        if not isinstance(document, Chunked):
            return Superseded()
        knowledge_base = await work.knowledge_base()
        generation = knowledge_base.generation_of(document.chunks.generation)
        if generation is None:
            knowledge_base = await work.knowledge_base_now()
            generation = knowledge_base.generation_of(document.chunks.generation)
        if generation is None:
            return given_up()
        embedder = self._embedder_for(embedding_of(generation.settings))
        promised = generation.settings.embedding_dimensions
        if promised not in {None, embedder.dimensions}:
            message = f"{embedder.model} makes vectors of {embedder.dimensions} dimensions, the index has {promised}"
            return Reject("dimensions_changed", message)
        calls = ProviderCalls(embedder, self._gate, sleep=self._sleep, texts_max=self._batch_chunks)
        tables = dict.fromkeys((generation.number, knowledge_base.generation))
        places = tuple(IndexTable(work.delivery.knowledge_base_id, number) for number in tables)
        return await self._embed(work, document, _Embedding(embedder, calls, places, _reuse_from(document, embedder)))

    async def abandon(self, work: Work, now: DocumentState) -> None:
        """A removed document keeps nothing."""
        await erase_leftovers(self._blobs, work, now)

    async def _embed(self, work: Work, document: Chunked, using: _Embedding) -> Outcome:
        chunks = await load_chunks(self._blobs, document.chunks)
        number, start = len(document.batches), document.chunks_embedded
        batch: RecordBatchEmbedded | None = None
        while start < len(chunks):
            # The last batch is recorded with the end of the step: a small document costs one append.
            if batch is not None and not await work.record(batch):
                return Superseded()
            batch = await self._batch(work, using, number, chunks[start : start + using.calls.texts_max])
            number, start = number + 1, batch.last_chunk + 1
        end = RecordEmbedded(
            attempt=work.attempt,
            model=using.embedder.model,
            dimensions=using.embedder.dimensions,
            tokens=sum(chunk.tokens for chunk in chunks),
            passage_prefix=using.embedder.prefixes.passage,
        )
        return Done((end,) if batch is None else (batch, end))

    async def _batch(self, work: Work, using: _Embedding, number: int, part: Sequence[Chunk]) -> RecordBatchEmbedded:
        calls = using.calls
        calls_before, tokens_before, told_before = calls.calls, calls.tokens_sent, calls.tokens_by_provider
        vectors, made = await self._vectors(work.document_id, using, part, waits=number == 0)
        encoded = encode_vectors(vectors)
        stored = await self._blobs.put(vectors_blob(work.document_id, number, work.attempt, encoded), encoded)
        failpoint(Place.WORKER_BATCH_EMBEDDED)
        return RecordBatchEmbedded(
            attempt=work.attempt,
            batch=number,
            first_chunk=part[0].ordinal,
            last_chunk=part[-1].ordinal,
            vectors_blob=stored.key,
            calls=calls.calls - calls_before,
            tokens_sent=calls.tokens_sent - tokens_before,
            chunks_reused=len(part) - made,
            tokens_by_provider=calls.tokens_by_provider - told_before,
        )

    async def _vectors(
        self, document: str, using: _Embedding, part: Sequence[Chunk], *, waits: bool
    ) -> tuple[Vectors, int]:
        """The vectors of a batch, and how many of them were made: the others are in the index, or come twice.

        `waits` for documents that will look too: once a document, as one of a thousand batches would wait for each.
        """
        embedder = using.embedder
        texts = [f"{embedder.prefixes.passage}{indexed_text(chunk)}" for chunk in part]
        keys = [vector_key_of(embedder.model, embedder.dimensions, text) for text in texts]
        known: dict[str, Vectors] = {}
        if len(part) >= using.reuse_chunks_min:
            async with self._looks.together(document) if waits and self._looks is not None else nullcontext():
                for table in using.tables:
                    known |= await self._index.vectors(table, set(keys) - known.keys())
        new = {key: chunk for key, chunk in zip(keys, part, strict=True) if key not in known}
        if new:
            async with self._turn_of(embedder):
                known |= zip(new, await using.calls.embed(list(new.values())), strict=True)
        return np.stack([known[key] for key in keys]), len(new)

    def _turn_of(self, embedder: Embedder) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self._remote_calls is None or embedder.remote is None else self._remote_calls


def _reuse_from(document: Chunked, embedder: Embedder) -> int:
    """What is paid for is always looked for, and so is what was searchable before or takes the place of what is."""
    record = document.record
    is_likely = record.serving is not None or record.about.replaces is not None
    return 0 if embedder.remote is not None or is_likely else LOCAL_REUSE_CHUNKS_MIN
