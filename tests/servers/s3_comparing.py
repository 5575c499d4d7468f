"""A proxy that keeps `If-None-Match: *` before a real S3 server that ignores it."""

import asyncio
from typing import Final

from aiohttp import web

from tests.servers.s3_proxy import FaultyProxy, ProxyThread

_TAKEN: Final = "<?xml version='1.0'?><Error><Code>PreconditionFailed</Code><Message>it is there</Message></Error>"


class ComparingProxy(FaultyProxy):
    """Everything has to be written and deleted through it. A put under a condition that is met is carried out alone."""

    def __init__(self, target_url: str) -> None:
        super().__init__(target_url, lambda _: None)
        self._there: set[str] = set()
        self._putting = asyncio.Lock()
        self.refused = 0

    async def _forward(self, request: web.Request, *send: object) -> web.StreamResponse:
        if request.headers.get("If-None-Match") == "*":
            async with self._putting:
                if request.path in self._there:
                    await request.read()
                    self.refused += 1
                    return web.Response(status=412, text=_TAKEN, content_type="application/xml")
                return self._noted(request, await super()._forward(request))
        return self._noted(request, await super()._forward(request))

    def _noted(self, request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
        if answer.status < 300 and not request.query_string:
            if request.method == "PUT":
                self._there.add(request.path)
            elif request.method == "DELETE":
                self._there.discard(request.path)
        return answer


class ComparingServer(ProxyThread):
    """As a context manager it runs in a thread of its own."""

    def __init__(self, target_url: str) -> None:
        super().__init__(target_url)
        self.proxy: ComparingProxy = ComparingProxy(target_url)
