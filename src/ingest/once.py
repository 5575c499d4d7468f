"""A POST with an Idempotency-Key takes effect once: its repetition gets the answer of the first.

Where the ids of what a request makes follow from its key, the log itself knows a repetition (`idempotency.py`), for
ever. For all others the answer is kept, for a day. What was answered with 5xx is not: nobody knows what it came to, and
such a request may be made again. A process that dies at it leaves the key under way until its lease is over.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.access import principal_of
from domain.errors import RefusalCode, Refused
from events.errors import LogError
from events.log import EventLog
from ingest.answered_in import epochs_of
from ingest.body import read_body
from ingest.idempotency import idempotency_key
from ingest.problems import ProblemCode, Rejected
from ingest.replies import Begun, OtherRequest, Replies, Reply, Underway
from ingest.request_headers import headers_of
from ingest.settings import IngestSettings

NOT_KEPT: Final = frozenset({b"x-request-id", b"date"})
"""Headers that belong to one answer alone."""

_log = structlog.get_logger()


class Checked:
    """In front of a POST whose repetition is harmless, or known from its key: a key that is none is refused."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        idempotency_key(headers_of(scope))
        return self._app(scope, receive, send)


class Once:
    """In front of a POST whose answer is kept. Its body is held in memory, `json_bytes_max` of it at most.

    What was answered in another epoch of `log` is not given again: what it tells of may be lost.
    """

    def __init__(
        self, app: ASGIApp, replies: Replies, log: EventLog, new_token: Callable[[], str], settings: IngestSettings
    ) -> None:
        self._app = app
        self._replies = replies
        self._log = log
        self._new_token = new_token
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Rejected (bad_idempotency_key, idempotency_in_progress), Refused (idempotency_key_reused) and what
        the body, the log and the store raise."""
        key = idempotency_key(headers_of(scope))
        if key is None:
            await self._app(scope, receive, send)
            return
        body = await read_body(Request(scope, receive), bytes_max=self._settings.json_bytes_max)
        epochs = await epochs_of(self._log, scope["path"])
        name = _digest(principal_of(scope).actor, scope["method"], scope["path"], key, *epochs)
        fingerprint = _digest(scope["query_string"].decode("latin-1"), body.hex())
        token = self._new_token()
        lease_ms = self._settings.idempotency_lease_s * 1_000
        match await self._replies.begin(name, fingerprint, token=token, lease_ms=lease_ms):
            case Begun():
                await self._answer(name, token, body, scope, receive, send)
            case Underway():
                raise Rejected(
                    ProblemCode.IDEMPOTENCY_IN_PROGRESS,
                    "A request with this Idempotency-Key is being answered; ask again in a moment.",
                )
            case OtherRequest():
                raise Refused(
                    RefusalCode.IDEMPOTENCY_KEY_REUSED,
                    "this Idempotency-Key came with another request before; use a new key for a new request",
                )
            case Reply() as reply:
                await _send(reply, send)

    async def _answer(self, name: str, token: str, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(send, self._settings.idempotency_reply_bytes_max)
        try:
            await self._app(scope, _again(body, receive), answer.take)
        except BaseException:
            await self._forget(name, token)
            raise
        reply = answer.reply
        if reply is None or reply.status >= 500:
            await self._forget(name, token)
        else:
            await self._keep(name, token, reply)
        await answer.pass_on()

    async def _keep(self, name: str, token: str, reply: Reply) -> None:
        """Before it is sent: a client that has seen the answer gets no other."""
        kept = Reply(reply.status, tuple(one for one in reply.headers if one[0].lower() not in NOT_KEPT), reply.body)
        kept_ms = self._settings.idempotency_kept_s * 1_000
        try:
            await self._replies.finish(name, token=token, reply=kept, kept_ms=kept_ms)
        except LogError as error:
            # It took effect and is answered; a repetition is told so until the lease is over, then takes effect anew.
            _log.warning("answer_not_kept", error=repr(error))

    async def _forget(self, name: str, token: str) -> None:
        try:
            await self._replies.forget(name, token=token)
        except LogError as error:
            _log.warning("key_under_way_until_its_lease_is_over", error=repr(error))


class _Answer:
    """What an application sends, held back until it is complete, or too large to be kept."""

    def __init__(self, send: Send, bytes_max: int) -> None:
        self._send = send
        self._bytes_max = bytes_max
        self._held: list[Message] = []
        self._size_bytes = 0

    async def take(self, message: Message) -> None:
        self._size_bytes += len(message.get("body", b""))
        if self._size_bytes > self._bytes_max:
            await self.pass_on()
            await self._send(message)
        else:
            self._held.append(message)

    @property
    def reply(self) -> Reply | None:
        """None for an answer that was too large."""
        if self._size_bytes > self._bytes_max or not self._held:
            return None
        start, *parts = self._held
        body = b"".join(part.get("body", b"") for part in parts)
        return Reply(start["status"], tuple((bytes(name), bytes(value)) for name, value in start["headers"]), body)

    async def pass_on(self) -> None:
        held, self._held = self._held, []
        for message in held:
            await self._send(message)


async def _send(reply: Reply, send: Send) -> None:
    await send({"type": "http.response.start", "status": reply.status, "headers": list(reply.headers)})
    await send({"type": "http.response.body", "body": reply.body})


def _again(body: bytes, receive: Receive) -> Receive:
    """The body that was read, then whatever the client does."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return messages.pop() if messages else await receive()

    return next_message


def _digest(*parts: str) -> str:
    return hashlib.sha256(msgspec.msgpack.encode(parts)).hexdigest()
