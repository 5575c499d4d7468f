"""A question to an answer that cites its passages: search, ask the model, check what it cites."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final, assert_never

import msgspec

from knowledge.answers import (
    Answer,
    AnswerEnded,
    AnswerEvent,
    AnswerFailed,
    AnswerRequest,
    CitationsResolved,
    PassagesFound,
    TextAdded,
    Waiting,
    citations_of,
    language_of,
    not_found_in,
    relevant,
    searched,
    shown_source,
)
from knowledge.citations import AnswerText
from knowledge.errors import InvalidSearch, NoLanguageModel, ProviderError
from knowledge.language_model import Finished, LanguageModel, Piece
from knowledge.prompt import Source, messages_for, sources_of
from knowledge.retriever import Retriever
from knowledge.search import SearchResult, SearchScope

HEARTBEAT_S: Final = 15.0
"""How long a stream is silent before it says that it is still there."""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A question with what was found for it."""

    request: AnswerRequest
    found: SearchResult
    sources: tuple[Source, ...]
    started: float


class Answerer:
    """`new_boundary` gives what nobody can guess, anew at each call; `timer` seconds."""

    def __init__(
        self,
        retriever: Retriever,
        language_model: LanguageModel | None,
        *,
        context_tokens_max: int,
        new_boundary: Callable[[], str],
        timer: Callable[[], float] = time.perf_counter,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        self._retriever = retriever
        self._language_model = language_model
        self._context_tokens_max = context_tokens_max
        self._new_boundary = new_boundary
        self._timer = timer
        self._heartbeat_s = heartbeat_s

    @property
    def model(self) -> LanguageModel:
        """Raises NoLanguageModel."""
        if self._language_model is None:
            raise NoLanguageModel("no language model is configured")
        return self._language_model

    async def prepare(self, scopes: Sequence[SearchScope], request: AnswerRequest) -> Prepared:
        """The passages to answer from. Raises what a search raises, and NoLanguageModel before that."""
        started = self._timer()
        _ = self.model
        try:
            found = await self._retriever.search(scopes, searched(request))
        except InvalidSearch as error:
            raise InvalidSearch(error.message, "/question" if error.pointer == "/query" else error.pointer) from error
        sources = sources_of(relevant(found), tokens_max=self._context_tokens_max)
        return Prepared(request=request, found=found, sources=sources, started=started)

    async def answer(self, prepared: Prepared) -> Answer:
        """The whole answer. Raises ProviderError."""
        text, citations, ended = "", CitationsResolved(()), AnswerEnded(found=False)
        async with aclosing(self.stream(prepared)) as events:
            async for event in events:
                match event:
                    case TextAdded():
                        text += event.text
                    case CitationsResolved():
                        citations = event
                    case AnswerEnded():
                        ended = event
                    case AnswerFailed():
                        raise event.error
                    case PassagesFound() | Waiting():
                        pass
                    case _:
                        assert_never(event)
        return Answer(
            answer=text,
            found=ended.found,
            citations=citations.citations,
            passages=tuple(map(shown_source, prepared.sources)),
            usage=ended.usage,
            model=ended.model,
            is_cut=ended.is_cut,
            warnings=ended.warnings,
            took_ms=ended.took_ms,
        )

    async def stream(self, prepared: Prepared) -> AsyncGenerator[AnswerEvent, None]:
        """Passages, words, citations, end; a failure of the model is the last event. Closing it ends the call."""
        yield PassagesFound(tuple(map(shown_source, prepared.sources)))
        text, finished = AnswerText([source.number for source in prepared.sources]), Finished()
        has_words = False
        try:
            async with aclosing(self._pieces(prepared)) as pieces:
                async for piece in pieces:
                    if piece is None:
                        yield Waiting()
                    elif isinstance(piece, Finished):
                        finished = piece
                    elif shown := text.feed(piece):
                        has_words = True
                        yield TextAdded(shown)
        except ProviderError as error:
            yield AnswerFailed(error)
            return
        if shown := text.end():
            has_words = True
            yield TextAdded(shown)
        if not has_words and not text.is_not_found and prepared.sources:
            yield AnswerFailed(ProviderError("answer_empty", "the language model said nothing"))
            return
        if not has_words:
            yield TextAdded(not_found_in(language_of(prepared.request)))
        yield CitationsResolved(citations_of(prepared.sources, text.cited))
        yield AnswerEnded(
            found=has_words,
            usage=finished.usage,
            model=self.model.model,
            is_cut=finished.is_cut,
            warnings=prepared.found.warnings,
            took_ms=round((self._timer() - prepared.started) * 1_000, 3),
        )

    async def _pieces(self, prepared: Prepared) -> AsyncGenerator[Piece | None, None]:
        """What the model says, None after each silence; without sources it is not asked.

        The call runs in a task of its own: its deadline must not count the time in which a reader takes nothing.
        """
        if not prepared.sources:
            return
        heard: asyncio.Queue[Piece | ProviderError] = asyncio.Queue()
        asking = asyncio.create_task(self._ask(prepared, heard))
        try:
            while True:
                try:
                    async with asyncio.timeout(self._heartbeat_s):
                        piece = await heard.get()
                except TimeoutError:
                    yield None
                    continue
                if isinstance(piece, ProviderError):
                    raise piece
                yield piece
                if isinstance(piece, Finished):
                    return
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def _ask(self, prepared: Prepared, heard: "asyncio.Queue[Piece | ProviderError]") -> None:
        """The queue is bounded by the length of an answer. Ends it with `Finished` or an error, whatever happens."""
        messages = messages_for(
            prepared.request.question,
            prepared.sources,
            boundary=self._new_boundary(),
            language=language_of(prepared.request).in_words,
        )
        try:
            async for piece in self.model.stream(messages):
                heard.put_nowait(piece)
            heard.put_nowait(Finished())
        except ProviderError as error:
            heard.put_nowait(error)
        except Exception as error:
            heard.put_nowait(ProviderError("model_failed", f"the language model failed: {type(error).__name__}"))
            raise
