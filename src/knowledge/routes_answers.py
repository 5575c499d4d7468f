"""HTTP of answers: as one JSON document, or as server-sent events (WHATWG HTML, section 9.2) while they are written."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Annotated, Final, assert_never

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from knowledge.answering import Answerer, Prepared
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
)
from knowledge.errors import ProviderError
from knowledge.retriever import SCOPES_MAX
from knowledge.routes import BODY_BYTES_MAX, ReadBody, ResolveScope, resolved
from knowledge.search import SearchScope

StreamOf = Callable[[AsyncGenerator[bytes, None]], Response]
"""The response that sends events as they come, and closes them when the client has gone."""

GONE_STATUS: Final = 499
"""Nobody reads it: the client hung up before there was an answer."""


class AnswerError(msgspec.Struct, frozen=True):
    """Why a stream ended without an answer; `code` is that of a problem document."""

    code: str
    detail: str


class AnswerManyRequest(AnswerRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question to several knowledge bases."""

    knowledge_base_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=SCOPES_MAX)]


_decoder = msgspec.json.Decoder(AnswerRequest)
_many_decoder = msgspec.json.Decoder(AnswerManyRequest)
_encoder = msgspec.json.Encoder()


def answer_routes(
    answerer: Answerer, resolve_scope: ResolveScope, read_body: ReadBody, stream_of: StreamOf
) -> list[Route]:
    """Two calls. `resolve_scope` and `read_body` are those of searches, as are the errors; NoLanguageModel and
    ProviderError come to them. In a stream that has begun a failure is its last event."""

    async def answer_question(request: Request) -> Response:
        asked = _decoder.decode(await read_body(request, BODY_BYTES_MAX))
        return await answered(request, [await resolve_scope(request, request.path_params["kb_id"])], asked)

    async def answer_many(request: Request) -> Response:
        asked = _many_decoder.decode(await read_body(request, BODY_BYTES_MAX))
        return await answered(request, await resolved(request, asked.knowledge_base_ids, resolve_scope), asked)

    async def answered(request: Request, scopes: Sequence[SearchScope], asked: AnswerRequest) -> Response:
        prepared = await answerer.prepare(scopes, asked)
        if asked.stream:
            return stream_of(_events(answerer, prepared))
        answer = await _unless_gone(request, answerer, prepared)
        if answer is None:
            return Response(status_code=GONE_STATUS)
        return Response(_encoder.encode(answer), media_type="application/json", headers={"Cache-Control": "no-store"})

    return [
        Route("/api/v1/knowledge-bases/{kb_id}/answers", answer_question, methods=["POST"], name="answer_question"),
        Route("/api/v1/answers", answer_many, methods=["POST"], name="answer_many"),
    ]


async def _unless_gone(request: Request, answerer: Answerer, prepared: Prepared) -> Answer | None:
    """The answer, or None where the client hung up meanwhile: nobody is paid for writing on. Raises ProviderError."""
    answering = asyncio.create_task(answerer.answer(prepared))
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return answering.result() if answering.done() else None
    finally:
        leaving.cancel()
        answering.cancel()
        await asyncio.gather(leaving, answering, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _events(answerer: Answerer, prepared: Prepared) -> AsyncGenerator[bytes, None]:
    async with aclosing(answerer.stream(prepared)) as events:
        async for encoded in _encoded(events):
            yield encoded


async def _encoded(events: AsyncIterator[AnswerEvent]) -> AsyncIterator[bytes]:
    async for event in events:
        match event:
            case PassagesFound():
                yield _event("passages", event)
            case TextAdded():
                yield _event("text", event)
            case CitationsResolved():
                yield _event("citations", event)
            case AnswerEnded():
                yield _event("end", event)
            case AnswerFailed():
                yield _event("error", error_of(event.error))
            case Waiting():
                yield b": still here\n\n"
            case _:
                assert_never(event)


def error_of(error: ProviderError) -> AnswerError:
    """What a reader is told of it: what the provider said may hold anything."""
    if error.is_permanent:
        return AnswerError("language_model_rejected", "The language model refused; its settings need a look.")
    return AnswerError("language_model_unavailable", "The language model failed; try again in a moment.")


def _event(name: str, data: msgspec.Struct) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _encoder.encode(data))
