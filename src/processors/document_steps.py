"""The steps of a document as one worker carries them out: with what they share, on whatever blobs they are given."""

import asyncio

from events.knowledge_base import KnowledgeBaseSettings
from events.steps import Step
from knowledge.index import Index
from processors.bundle import StepBlobs
from processors.chunk import ChunkerFor, ChunkStep
from processors.embed import EmbedStep
from processors.embedder_for import EmbedderFor, embedding_of
from processors.group_commit import GroupCommit
from processors.index import IndexStep
from processors.knowledge_bases import KnowledgeBases
from processors.parse import ParseStep, TextParser
from processors.provider import ProviderGate
from processors.provider_calls import ProviderCalls
from processors.row_budget import RowBudget
from processors.rows import RowMaker, embed_through
from processors.settings import WorkerSettings
from processors.step import Processor


class DocumentSteps:
    """All steps from parse to index; each call of `on` makes them anew, on the same slots, budget and gate."""

    def __init__(
        self,
        *,
        parser: TextParser,
        chunker_for: ChunkerFor,
        embedder_for: EmbedderFor,
        gate: ProviderGate,
        index: Index,
        known: KnowledgeBases,
        group: GroupCommit,
        looks: GroupCommit,
        settings: WorkerSettings,
    ) -> None:
        self._parser = parser
        self._chunker_for = chunker_for
        self._embedder_for = embedder_for
        self._gate = gate
        self._index = index
        self._known = known
        self._group = group
        self.looks = looks
        self._settings = settings
        self._budget = RowBudget(settings.index_rows_max)
        self._remote_calls = asyncio.Semaphore(settings.embed_slots or 1)

    def on(self, blobs: StepBlobs) -> dict[Step, Processor]:
        """By step."""
        settings, index = self._settings, self._index
        batch, chunks_max = settings.embed_batch_chunks, settings.chunks_max
        parse_s, chunk_s = settings.parse_time_limit_s, settings.chunk_time_limit_s
        embed_s, index_s = settings.embed_time_limit_s, settings.index_time_limit_s
        rows, group, budget = self.rows_on(blobs), self._group, self._budget
        made: list[Processor] = [
            ParseStep(blobs, self._parser, time_limit_s=parse_s),
            ChunkStep(blobs, self._chunker_for, self._calls_for, chunks_max=chunks_max, time_limit_s=chunk_s),
            EmbedStep(
                blobs,
                self._embedder_for,
                self._gate,
                index,
                batch_chunks=batch,
                time_limit_s=embed_s,
                remote_calls=self._remote_calls,
                looks=self.looks,
            ),
            IndexStep(blobs, index, self._known, rows, group=group, budget=budget, time_limit_s=index_s),
        ]
        return {one.step: one for one in made}

    def rows_on(self, blobs: StepBlobs) -> RowMaker:
        """The rows of a document, from its artifacts there."""
        return RowMaker(blobs, self._index, embed_through(self._embedder_for, self._gate))

    def _calls_for(self, asked: KnowledgeBaseSettings) -> ProviderCalls:
        embedder, batch = self._embedder_for(embedding_of(asked)), self._settings.embed_batch_chunks
        return ProviderCalls(embedder, self._gate, sleep=asyncio.sleep, texts_max=batch)
