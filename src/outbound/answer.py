"""What came back: status, headers by name, and a body that is counted while it streams."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Final

import httpcore

from outbound.decoding import decoding_of
from outbound.errors import FetchFailed, FetchLimit
from outbound.faults import translated
from outbound.limits import Limits
from outbound.urls import HttpUrl

_OK: Final = range(200, 300)
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Answer:
    """`url` is where it came from, after redirects. Valid while the call that gave it is open."""

    def __init__(
        self, url: HttpUrl, response: httpcore.Response, limits: Limits, *, clock_s: Callable[[], float] | None = None
    ) -> None:
        if len(response.headers) > limits.headers_max:
            raise FetchLimit(f"{len(response.headers):,} header fields; {limits.headers_max} are the most")
        self.url = url
        self.status = response.status
        self._headers: Sequence[tuple[bytes, bytes]] = response.headers
        self._response = response
        self._limits = limits
        self._clock_s = clock_s or asyncio.get_running_loop().time

    @property
    def is_success(self) -> bool:
        return self.status in _OK

    @property
    def is_redirect(self) -> bool:
        return self.status in _REDIRECTS and self.header("location") is not None

    def header(self, name: str) -> str | None:
        """The first of this name, as text; None where there is none."""
        wanted = name.lower().encode("ascii")
        return next((value.decode("latin-1") for field, value in self._headers if field.lower() == wanted), None)

    @property
    def declared_bytes(self) -> int | None:
        """Content-Length, which h11 has checked to be a number; None where there is none."""
        length = self.header("content-length")
        return int(length) if length is not None and length.isdigit() else None

    async def body(self) -> AsyncGenerator[bytes, None]:
        """The body, decompressed, in pieces of at most 64 KiB. Raises FetchLimit and FetchFailed."""
        if (self.declared_bytes or 0) > self._limits.body_bytes_max:
            raise self._too_large()
        async with aclosing(self._pieces()) as pieces:
            async for piece in pieces:
                yield piece

    async def body_start(self) -> bytes:
        """At most `body_bytes_max` of the body; the rest is not asked for, and what cannot be undone is left out."""
        kept = bytearray()
        with suppress(FetchLimit, FetchFailed):
            async with aclosing(self._pieces()) as pieces:
                async for piece in pieces:
                    kept += piece
        return bytes(kept)

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        decoding = decoding_of(self.header("content-encoding") or "")
        received = decoded = 0
        async with aclosing(self._paced()) as parts:
            async for data in parts:
                received += len(data)
                if received > self._limits.body_bytes_max:
                    raise self._too_large()
                for piece in decoding.feed(data):
                    decoded += len(piece)
                    if decoded > self._limits.body_bytes_max:
                        raise self._too_large()
                    yield piece
        if received:
            decoding.finish()

    async def _paced(self) -> AsyncGenerator[bytes, None]:
        """Only time spent waiting for bytes counts: a slow disk of ours is not the sender's fault."""
        waited_s, received = 0.0, 0
        parts = aiter(self._response.aiter_stream())
        while True:
            asked_s = self._clock_s()
            with translated():
                data = await anext(parts, None)
            waited_s += self._clock_s() - asked_s
            if data is None:
                return
            received += len(data)
            if waited_s > self._limits.rate_grace_s and received < waited_s * self._limits.rate_bytes_s_min:
                raise FetchLimit(f"{received:,} bytes in {waited_s:.0f} s are too slow", is_permanent=False)
            yield data

    def _too_large(self) -> FetchLimit:
        return FetchLimit(f"more than {self._limits.body_bytes_max:,} bytes")
