"""Steps whose work is done elsewhere: our own steps, in which a lease takes the place of the parser or the model.

What is read, checked, stored, recorded and taken back is theirs.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Final

from blobs.store import BlobStore
from domain.document import About, Accepted, DocumentState
from events.steps import Step
from knowledge.embedders import Embedder, Metered, Prefixes
from knowledge.errors import EmbeddingError
from knowledge.index import Index
from knowledge.limits import ParseLimits
from knowledge.media_type import MediaType
from knowledge.page_texts import parsed_from_pages
from knowledge.text import ParsedText
from knowledge.vectors import Vectors, unit_vectors
from processors.embed import EmbedStep
from processors.embedder_for import EmbedderFor
from processors.failures import outcome_of, shortened
from processors.leased_work import EmbedAsked, PagesRead, ParseAsked, VectorsMade
from processors.leasing import AnsweredElsewhere, HandedBack, Lent
from processors.parse import ParseStep, verified
from processors.provider import ProviderGate
from processors.settings import WorkerSettings
from processors.step import Outcome, Processor, Retry, Work

BAD_RESULT: Final = "bad_result"
PARSER_CHARS_MAX: Final = 200
"""The name of a parser is part of an event."""

UNNAMED: Final = "elsewhere"


class LeasedStep:
    """`made_for` makes the step for one attempt."""

    def __init__(self, step: Step, made_for: Callable[[Work], Processor], lent: Lent, time_limit_s: float) -> None:
        self.step = step
        self.time_limit_s = time_limit_s
        self._made_for = made_for
        self._lent = lent

    async def run(self, work: Work) -> Outcome:
        """Raises WorkerLost, and what the step raises."""
        try:
            outcome = await self._run(work)
        except HandedBack as handed:
            outcome = handed.outcome
        except Exception as error:
            if (known := outcome_of(error)) is not None:
                self._lent.ends_with(work, known)
            raise
        self._lent.ends_with(work, outcome)
        return outcome

    async def _run(self, work: Work) -> Outcome:
        """Anew behind each piece that was answered at another process."""
        while True:
            try:
                return await self._made_for(work).run(work)
            except AnsweredElsewhere:
                work = await work.caught_up()

    async def abandon(self, work: Work, now: DocumentState) -> None:
        """As the step does."""
        self._lent.is_unwanted(work)
        await self._made_for(work).abandon(work, now)


def leased_parse(blobs: BlobStore, limits: ParseLimits, lent: Lent, settings: WorkerSettings) -> LeasedStep:
    """Documents are read by a worker elsewhere, which gets their bytes from here."""
    limit_s = settings.parse_time_limit_s

    def made_for(work: Work) -> Processor:
        return ParseStep(blobs, _LeasedParser(blobs, limits, lent, work), time_limit_s=limit_s)

    return LeasedStep(Step.PARSE, made_for, lent, limit_s)


def leased_embed(
    blobs: BlobStore,
    embedder_for: EmbedderFor,
    gate: ProviderGate,
    index: Index,
    lent: Lent,
    settings: WorkerSettings,
) -> LeasedStep:
    """Batches of chunks are embedded by a worker elsewhere, with the model of the index."""
    limit_s = settings.embed_time_limit_s

    def made_for(work: Work) -> Processor:
        return EmbedStep(
            blobs,
            lambda embedding: _LeasedEmbedder(embedder_for(embedding), lent, work),
            gate,
            index,
            batch_chunks=settings.embed_batch_chunks,
            time_limit_s=limit_s,
        )

    return LeasedStep(Step.EMBED, made_for, lent, limit_s)


class _LeasedParser:
    """Takes the place of the sandbox."""

    def __init__(self, blobs: BlobStore, limits: ParseLimits, lent: Lent, work: Work) -> None:
        self._blobs = blobs
        self._limits = limits
        self._lent = lent
        self._work = work

    async def parse(
        self,
        _pieces: AsyncIterator[bytes],
        *,
        size_bytes: int,  # noqa: ARG002  the lease tells the worker
        media_type: MediaType,  # noqa: ARG002
        filename: str,  # noqa: ARG002
    ) -> ParsedText:
        """The worker reads the bytes itself, as often as it likes. Raises HandedBack, WorkerLost and ParseError."""
        about = _about(self._work)
        asked = ParseAsked(about, partial(verified, self._blobs, about))
        answer = await self._lent.answer(self._work, asked)
        if not isinstance(answer, PagesRead):
            raise self._bad("a lease of parse is completed with a parsed text")
        try:
            return await asyncio.to_thread(_parsed, answer, self._limits)
        except ValueError as error:
            raise self._bad(str(error)) from error

    def _bad(self, message: str) -> HandedBack:
        self._lent.refuse(self._work, BAD_RESULT, message)
        return HandedBack(Retry(BAD_RESULT, shortened(message)))


class _LeasedEmbedder:
    """Takes the place of the model that the index was made with; its vectors are judged like a provider's."""

    remote = None

    def __init__(self, embedder: Embedder, lent: Lent, work: Work) -> None:
        self._embedder = embedder
        self._lent = lent
        self._work = work

    @property
    def model(self) -> str:
        return self._embedder.model

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    @property
    def prefixes(self) -> Prefixes:
        return self._embedder.prefixes

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Raises HandedBack, WorkerLost and EmbeddingError."""
        prefix, dimensions = self.prefixes.passage, self.dimensions
        asked = EmbedAsked(self.model, dimensions, tuple(f"{prefix}{text}" for text in texts))
        answer = await self._lent.answer(self._work, asked)
        rows = answer.rows if isinstance(answer, VectorsMade) else ()
        try:
            return unit_vectors(rows, rows=len(texts), dimensions=dimensions)
        except EmbeddingError as error:
            self._lent.refuse(self._work, BAD_RESULT, error.message)
            raise

    async def embed_metered(self, texts: Sequence[str]) -> Metered:
        return Metered(await self.embed_passages(texts))

    async def embed_query(self, text: str) -> Vectors:
        return await self._embedder.embed_query(text)

    async def close(self) -> None:
        """The model is its owner's to close."""


def _about(work: Work) -> About:
    assert isinstance(work.document, Accepted)  # noqa: S101  the step around it has seen to that
    return work.document.record.about


def _parsed(read: PagesRead, limits: ParseLimits) -> ParsedText:
    return parsed_from_pages(
        read.pages,
        read.format,
        limits,
        title=read.title,
        language=read.language,
        parser=read.parser[:PARSER_CHARS_MAX] or UNNAMED,
        warnings=read.warnings,
    )
