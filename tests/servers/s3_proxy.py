"""A proxy before a real S3 server that fails as told: it answers an error, falls silent, or cuts the connection."""

import asyncio
import enum
import io
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

import aiohttp
from aiohttp import web
from yarl import URL

BODY_BYTES_MAX: Final = 64 * 1024 * 1024
CUT_AFTER_BYTES: Final = 100_000
_HOP_HEADERS: Final = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive", "expect"})


class Fault(enum.Enum):
    """How one request goes wrong."""

    SLOW_DOWN = "answer 503"
    FULL = "answer 507"
    SILENCE = "never answer"
    CUT_REQUEST = "break off in the middle of the request"
    CUT_RESPONSE = "break off in the middle of the answer's body"
    LOSE_ANSWER = "let the server do it, then break off without an answer"


Plan = Callable[[web.Request], Fault | None]


class FaultyProxy:
    """An async context manager; `endpoint_url` is where it listens, `requests` what came (method and path with query).

    `plan` says for each request how it goes wrong, None for not at all. The Host header passes through unchanged,
    so signatures hold.
    """

    def __init__(self, target_url: str, plan: Plan) -> None:
        self.requests: list[str] = []
        self.endpoint_url = ""
        self._target_url = target_url
        self._plan = plan
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self._is_ending = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        application = web.Application(client_max_size=BODY_BYTES_MAX)
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.endpoint_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_ending.set()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.raw_path}")
        fault = self._plan(request)
        match fault:
            case None:
                return await self._forward(request)
            case Fault.SLOW_DOWN:
                await request.read()
                return _error(503, "SlowDown")
            case Fault.FULL:
                await request.read()
                return _error(507, "InsufficientStorage")
            case Fault.SILENCE:
                await self._is_ending.wait()
                return _cut(request)
            case Fault.CUT_REQUEST:
                await request.content.read(CUT_AFTER_BYTES)
                return _cut(request)
            case Fault.CUT_RESPONSE:
                return await self._forward(request, _send_half)
            case Fault.LOSE_ANSWER:
                await self._forward(request)
                return _cut(request)

    async def _forward(
        self,
        request: web.Request,
        send: Callable[[web.Request, web.Response], Awaitable[web.StreamResponse]] | None = None,
    ) -> web.StreamResponse:
        assert self._session is not None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_HEADERS}
        body = await request.read()
        url = URL(f"{self._target_url}{request.raw_path}", encoded=True)
        async with self._session.request(request.method, url, headers=headers, data=io.BytesIO(body)) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_HEADERS}
            if request.method == "HEAD":
                kept["Content-Length"] = answer.headers.get("Content-Length", "0")
            response = web.Response(status=answer.status, headers=kept, body=await answer.read())
        return await send(request, response) if send else response


async def _send_half(request: web.Request, whole: web.Response) -> web.StreamResponse:
    body = whole.body
    assert isinstance(body, bytes)
    headers = {**whole.headers, "Content-Length": str(len(body))}
    half = web.StreamResponse(status=whole.status, headers=headers)
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    _cut(request)
    return half


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _error(status: int, code: str) -> web.Response:
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>told to</Message></Error>"
    return web.Response(status=status, text=text, content_type="application/xml")
