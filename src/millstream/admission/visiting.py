"""A request under way whose key may end: then its body ends, its stream says good-bye, and its answer is a 401."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Receive, Scope, Send

from ingest.problems import ProblemCode, Rejected, problem, problem_response
from ingest.request_id import request_id_of
from millstream.admission.key_ring import Visit

GOODBYE: Final = b"event: unauthenticated\ndata: {}\n\n"
"""The last event of a stream whose key ended. A client that connects again is told by status code."""

_VISIT: Final = "visit"
_STREAM: Final = b"text/event-stream"


class Visiting:
    """Stands between a route and its server. `headers` are put on the answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, visit: Visit, *, headers: Mapping[str, str]) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._visit = visit
        self._headers = headers
        self._is_reading = scope["method"] in {"GET", "HEAD"}
        self._has_started = False
        self._answer_headers: Sequence[tuple[bytes, bytes]] = ()
        self._is_refused = False
        scope["state"][_VISIT] = visit

    async def receive(self) -> Message:
        """Of an upload whose key ended, no further byte is taken; to a stream it looks as if its client had gone."""
        if self._has_started:
            return await self._until_ended()
        message = await self._receive()
        if self._visit.ended.is_set():
            raise _unauthenticated()
        return message

    def send(self, message: Message) -> Awaitable[None]:
        has_ended = self._visit.ended.is_set()
        if message["type"] == "http.response.start":
            self._has_started = True
            if has_ended and self._is_reading:
                return self._refuse()
            if self._headers:
                MutableHeaders(scope=message).update(self._headers)
            self._answer_headers = message["headers"]
        elif has_ended and self._is_stream and not message.get("more_body", False):
            message = {**message, "body": message.get("body", b"") + GOODBYE}
        return _nothing() if self._is_refused else self._send(message)

    @property
    def _is_stream(self) -> bool:
        return any(name == b"content-type" and value.startswith(_STREAM) for name, value in self._answer_headers)

    async def _refuse(self) -> None:
        """In place of an answer that was asked for with a key that has ended since: a long poll may take a minute."""
        self._is_refused = True
        refusal = _unauthenticated()
        response = problem_response(problem(refusal.code, refusal.detail), request_id_of(self._scope))
        await response(self._scope, self._receive, self._send)

    async def _until_ended(self) -> Message:
        receiving, ending = asyncio.ensure_future(self._receive()), asyncio.create_task(self._visit.ended.wait())
        try:
            await asyncio.wait({receiving, ending}, return_when=asyncio.FIRST_COMPLETED)
            return receiving.result() if receiving.done() else {"type": "http.disconnect"}
        finally:
            receiving.cancel()
            ending.cancel()


async def _nothing() -> None:
    """Of an answer in whose place another one was sent."""


def refuse_ended(scope: Scope) -> None:
    """Asked right before something is written that took long to come. Raises Rejected."""
    visit: Visit | None = scope.get("state", {}).get(_VISIT)
    if visit is not None and visit.ended.is_set():
        raise _unauthenticated()


def _unauthenticated() -> Rejected:
    return Rejected(ProblemCode.UNAUTHENTICATED, "The key was revoked, or has expired, meanwhile.")
