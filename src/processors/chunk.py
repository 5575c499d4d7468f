"""DocumentParsed -> chunks."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from domain.commands import RecordChunked
from domain.document import DocumentState, Parsed
from events.failpoints import Place, failpoint
from events.knowledge_base import ChunkerKind, KnowledgeBaseSettings
from events.steps import Step
from knowledge import semantic
from knowledge.chunk import Chunk, encode_chunks
from knowledge.chunkers import BREAKPOINT_PERCENTILE_DEFAULT, Chunker
from knowledge.text import ParsedText
from knowledge.vectors import Vectors
from processors.artifacts import chunks_blob
from processors.aside import aside
from processors.bundle import StepBlobs
from processors.leftovers import erase_leftovers
from processors.provider_calls import ProviderCalls
from processors.step import Done, Outcome, Reject, Superseded, Work
from processors.stored import load

CUT_COST: Final = 8
"""Cutting a text takes longer than going through it once: 8,000 characters are done in the event loop. That takes 2 ms
in English, 4 in Chinese, and 15 where they are thousands of paragraphs of a letter."""

ChunkerFor = Callable[[KnowledgeBaseSettings], Chunker]
"""Called in a thread, or for a small text in the event loop: the first call imports LlamaIndex' splitter (0.3 s), which
workers load before their first document. May keep what it made."""

CallsFor = Callable[[KnowledgeBaseSettings], ProviderCalls]
"""The embedder of a knowledge base behind the gate that all workers share."""


class ChunkStep:
    """Cuts the text as the knowledge base says, or as was asked for this document. `chunks_max` is for one document."""

    step = Step.CHUNK

    def __init__(
        self,
        blobs: StepBlobs,
        chunker_for: ChunkerFor,
        calls_for: CallsFor,
        *,
        chunks_max: int,
        time_limit_s: float,
    ) -> None:
        self._blobs = blobs
        self._chunker_for = chunker_for
        self._calls_for = calls_for
        self._chunks_max = chunks_max
        self.time_limit_s = time_limit_s

    async def run(self, work: Work) -> Outcome:
        """Raises ParseError(too_many_chunks), EmbeddingError, BlobCorrupt, Refused and what the blob store raises."""
        if not isinstance(work.document, Parsed):
            return Superseded()
        is_searchable = work.document.record.serving is not None
        # Begun again for an index that was started a moment ago, it must not be cut for the old one.
        known = await (work.knowledge_base_now() if is_searchable else work.knowledge_base())
        generation = known.generation_for(is_searchable=is_searchable)
        own = work.document.record.chunking
        settings = generation.settings if own is None else own.within(generation.settings)
        text = ParsedText.decode(await load(self._blobs, work.document.text.text_blob))
        turns = await self._turns(text, settings) if settings.chunker is ChunkerKind.SEMANTIC else []
        costs = CUT_COST * len(text.text)
        name, chunks, encoded = await aside(costs, self._cut, text, settings, work.document_id, turns)
        if not chunks:
            return Reject("no_text", "the document holds no text")
        stored = await self._blobs.put(chunks_blob(work.document_id, work.attempt, encoded), encoded)
        failpoint(Place.WORKER_CHUNKED)
        return Done(
            (
                RecordChunked(
                    attempt=work.attempt,
                    chunks_blob=stored.key,
                    chunks=len(chunks),
                    tokens=sum(chunk.tokens for chunk in chunks),
                    chunker=name,
                    generation=generation.number,
                ),
            )
        )

    async def abandon(self, work: Work, now: DocumentState) -> None:
        """A removed document keeps nothing."""
        await erase_leftovers(self._blobs, work, now)

    async def _turns(self, text: ParsedText, settings: KnowledgeBaseSettings) -> list[int]:
        """Where the meaning turns, by the knowledge base's own model."""
        compared = await asyncio.to_thread(semantic.pieces, text)
        if not compared:
            return []
        calls = self._calls_for(settings)
        vectors: list[Vectors] = []
        done = 0
        while done < len(compared):
            vectors.append(await calls.embed(compared[done : done + calls.texts_max]))
            done += len(vectors[-1])
        return semantic.turns(
            compared, np.concatenate(vectors), settings.chunk_breakpoint_percentile or BREAKPOINT_PERCENTILE_DEFAULT
        )

    def _cut(
        self, text: ParsedText, settings: KnowledgeBaseSettings, document_id: str, turns: Sequence[int]
    ) -> tuple[str, tuple[Chunk, ...], bytes]:
        chunker = self._chunker_for(settings)
        chunks = chunker.chunk(text, document_id=document_id, chunks_max=self._chunks_max, turns=turns)
        return chunker.name, chunks, encode_chunks(chunks)
