"""A proxy before a real S3 server that fails as told: it answers an error, falls silent, or cuts the connection."""

import asyncio
import enum
import io
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from aiohttp import web
from yarl import URL

BODY_BYTES_MAX: Final = 64 * 1024 * 1024
CUT_AFTER_BYTES: Final = 100_000
SLOW_BYTES_A_PIECE: Final = 1_000
"""Ten pieces a second."""
_HOP_HEADERS: Final = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive", "expect"})


class Fault(enum.Enum):
    """How one request goes wrong."""

    SLOW_DOWN = "answer 503"
    FULL = "answer 507"
    SILENCE = "never answer"
    CUT_REQUEST = "break off in the middle of the request"
    CUT_RESPONSE = "break off in the middle of the answer's body"
    LOSE_ANSWER = "let the server do it, then break off without an answer"
    SILENT_BODY = "answer with headers, then fall silent"
    SLOW_BODY = "answer with 10 kB a second"
    OTHER_BYTES = "answer 200 with as many bytes, of which some are others"
    SHORT_BODY = "answer 200 with half of the bytes, as if they were all"
    MISSING = "answer 404"
    ELSEWHERE = "answer that the bucket is in another region"


_ERRORS: Final = {
    Fault.SLOW_DOWN: (503, "SlowDown"),
    Fault.FULL: (507, "InsufficientStorage"),
    Fault.MISSING: (404, "NoSuchKey"),
    Fault.ELSEWHERE: (400, "AuthorizationHeaderMalformed"),
}

Plan = Callable[[web.Request], Fault | None]
Send = Callable[[web.Request, web.Response], Awaitable[web.StreamResponse]]


class FaultyProxy:
    """An async context manager; `endpoint_url` is where it listens, `requests` what came (method and path with query).

    `plan` says for each request how it goes wrong, None for not at all; it may be changed at any time. The Host header
    passes through unchanged, so signatures hold.
    """

    def __init__(self, target_url: str, plan: Plan) -> None:
        self.requests: list[str] = []
        self.endpoint_url = ""
        self._target_url = target_url
        self.plan = plan
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._port = 0
        self._is_ending = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        application = web.Application(client_max_size=BODY_BYTES_MAX)
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, shutdown_timeout=1)
        await self._runner.setup()
        await self.accept()
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

    async def accept(self) -> None:
        """Listens (again)."""
        assert self._runner is not None
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    async def refuse(self) -> None:
        """As a server that is down: new connections are refused. Those that stand are the plan's to cut."""
        assert self._site is not None
        await self._site.stop()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.raw_path}")
        fault = self.plan(request)
        match fault:
            case Fault.SLOW_DOWN | Fault.FULL | Fault.MISSING | Fault.ELSEWHERE:
                await request.read()
                return _error(*_ERRORS[fault])
            case Fault.SILENCE:
                await self._is_ending.wait()
                return _cut(request)
            case Fault.CUT_REQUEST:
                await request.content.read(CUT_AFTER_BYTES)
                return _cut(request)
            case Fault.LOSE_ANSWER:
                await self._forward(request)
                return _cut(request)
            case None:
                return await self._forward(request)
            case _:
                return await self._forward(request, self._sends[fault])

    @property
    def _sends(self) -> dict[Fault, Send]:
        return {
            Fault.CUT_RESPONSE: _send_half,
            Fault.SILENT_BODY: self._send_headers,
            Fault.SLOW_BODY: self._send_slowly,
            Fault.OTHER_BYTES: _send_others,
            Fault.SHORT_BODY: _send_shortened,
        }

    async def _forward(self, request: web.Request, send: Send | None = None) -> web.StreamResponse:
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

    async def _send_headers(self, request: web.Request, whole: web.Response) -> web.StreamResponse:
        begun = await _begin(request, whole)
        await self._is_ending.wait()
        _cut(request)
        return begun

    async def _send_slowly(self, request: web.Request, whole: web.Response) -> web.StreamResponse:
        begun, body = await _begin(request, whole), _body_of(whole)
        for start in range(0, len(body), SLOW_BYTES_A_PIECE):
            await begun.write(body[start : start + SLOW_BYTES_A_PIECE])
            try:
                await asyncio.wait_for(self._is_ending.wait(), 0.1)
            except TimeoutError:
                continue
            _cut(request)
            break
        return begun


async def _send_half(request: web.Request, whole: web.Response) -> web.StreamResponse:
    half, body = await _begin(request, whole), _body_of(whole)
    await half.write(body[: len(body) // 2])
    _cut(request)
    return half


async def _send_others(_request: web.Request, whole: web.Response) -> web.StreamResponse:
    """One bit of each byte of the second half is another one, so that headers and magic numbers still hold."""
    body = _body_of(whole)
    middle = len(body) // 2
    return _with_body(whole, body[:middle] + bytes(byte ^ 1 for byte in body[middle:]))


async def _send_shortened(_request: web.Request, whole: web.Response) -> web.StreamResponse:
    body = _body_of(whole)
    return _with_body(whole, body[: len(body) // 2])


async def _begin(request: web.Request, whole: web.Response) -> web.StreamResponse:
    headers = {**whole.headers, "Content-Length": str(len(_body_of(whole)))}
    begun = web.StreamResponse(status=whole.status, headers=headers)
    await begun.prepare(request)
    return begun


def _with_body(whole: web.Response, body: bytes) -> web.Response:
    headers = {name: value for name, value in whole.headers.items() if name.lower() != "content-length"}
    return web.Response(status=whole.status, headers=headers, body=body)


def _body_of(whole: web.Response) -> bytes:
    assert isinstance(whole.body, bytes)
    return whole.body


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _error(status: int, code: str) -> web.Response:
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>told to</Message></Error>"
    return web.Response(status=status, text=text, content_type="application/xml")


class ProxyThread:
    """A proxy for tests without an event loop; it passes everything through until its `plan` is changed."""

    def __init__(self, target_url: str) -> None:
        self.proxy = FaultyProxy(target_url, lambda _: None)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self.proxy.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self.proxy.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextmanager
    def going_wrong(self, plan: Plan) -> Iterator[None]:
        """While the block runs, requests go wrong as the plan says."""
        self.proxy.plan = plan
        try:
            yield
        finally:
            self.proxy.plan = lambda _: None

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """While the block runs, nobody listens, and connections that stand are cut."""
        self._run(self.proxy.refuse())
        try:
            with self.going_wrong(lambda _: Fault.CUT_REQUEST):
                yield
        finally:
            self._run(self.proxy.accept())

    def _run(self, call: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(call, self._loop).result(20)
