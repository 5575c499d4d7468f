"""Questions to knowledge bases: the answer as a whole, or as it is written."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import httpx_sse
import msgspec

from millstream.client_answers import Warned
from millstream.client_http import BROKEN, Http
from millstream.errors import ExitCode, Stop

ANSWER_SILENCE_S_MAX: Final = 660.0
"""A whole answer comes at its end: longer than the longest sensible `llm_call_s_max` nobody waits."""


class Cited(msgspec.Struct, frozen=True, kw_only=True):
    """What `[number]` in an answer stands for. `page` counts from 1, None where the format has no pages."""

    number: int
    chunk_id: str
    document_id: str
    knowledge_base_id: str
    filename: str
    page: int | None = None


class TokenUsage(msgspec.Struct, frozen=True, kw_only=True):
    """As the provider counts; None where it does not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer; `found` is false where the documents do not answer."""

    answer: str
    found: bool
    citations: tuple[Cited, ...]
    usage: TokenUsage
    model: str
    is_cut: bool
    warnings: tuple[Warned, ...]
    took_ms: float


class Words(msgspec.Struct, frozen=True):
    """The next piece of an answer."""

    text: str


class Citations(msgspec.Struct, frozen=True):
    """What it cites, once it is complete."""

    citations: tuple[Cited, ...]


class AnswerDone(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing more comes."""

    found: bool
    usage: TokenUsage
    is_cut: bool
    took_ms: float
    warnings: tuple[Warned, ...] = ()


class _Failure(msgspec.Struct, frozen=True):
    code: str
    detail: str


AnswerNews = Words | Citations | AnswerDone


def whole_answer(
    http: Http, knowledge_base_ids: str | Sequence[str], question: str, options: Mapping[str, Any]
) -> Answered:
    """Raises Stop."""
    path, named = asked_at(knowledge_base_ids, "answers")
    body = {**named, "question": question, **options}
    return http.post(path, Answered, json=body, timeout=ANSWER_SILENCE_S_MAX)


def streamed_answer(
    http: Http, knowledge_base_ids: str | Sequence[str], question: str, options: Mapping[str, Any]
) -> Iterator[AnswerNews]:
    """The answer as it is written. Raises Stop: also where it breaks off in the middle."""
    path, named = asked_at(knowledge_base_ids, "answers")
    body = {**named, "question": question, "stream": True, **options}
    try:
        with http.stream(path, {}, method="POST", json=body) as source:
            for event in source.iter_sse():
                news = _news(event)
                if news is not None:
                    yield news
                if isinstance(news, AnswerDone):
                    return
    except BROKEN as error:
        raise http.unreachable(error) from None
    raise Stop("the answer broke off", hint="ask again", exit_code=ExitCode.FAILED_WORK)


def _news(event: httpx_sse.ServerSentEvent) -> AnswerNews | None:
    match event.event:
        case "text":
            return msgspec.json.decode(event.data, type=Words)
        case "citations":
            return msgspec.json.decode(event.data, type=Citations)
        case "end":
            return msgspec.json.decode(event.data, type=AnswerDone)
        case "error":
            failure = msgspec.json.decode(event.data, type=_Failure)
            raise Stop(failure.detail, hint=failure.code, exit_code=ExitCode.FAILED_WORK)
        case _:
            return None


def asked_at(knowledge_base_ids: str | Sequence[str], call: str) -> tuple[str, Mapping[str, Any]]:
    """The path of a call that asks one knowledge base or several, and what names those in its body."""
    named = [knowledge_base_ids] if isinstance(knowledge_base_ids, str) else list(knowledge_base_ids)
    if len(named) == 1:
        return f"/knowledge-bases/{named[0]}/{call}", {}
    return f"/{call}", {"knowledge_base_ids": named}
