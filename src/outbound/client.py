"""The one client that calls addresses of strangers: for documents (`get`) and for webhooks (`post`)."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Final

import httpcore
import httpx
import msgspec

from outbound.answer import Answer
from outbound.backend import CheckedBackend
from outbound.errors import FetchFailed, FetchLimit
from outbound.faults import translated
from outbound.guard import Guard
from outbound.limits import POST_LIMITS, Limits
from outbound.urls import HttpUrl, joined, parse_url

CONNECTIONS_MAX: Final = 100
USER_AGENT: Final = "Millstream"
_RETRY_AFTER_CHARACTERS_MAX: Final = 100


class Posted(msgspec.Struct, frozen=True):
    """What a receiver answered: of its body the first 64 KiB; `retry_after` is its header, unread."""

    status: int
    body: bytes
    retry_after: str | None


class OutboundClient:
    """No proxies of the environment, no cookies, no credentials, no connection used twice; certificates are verified.

    Everything goes through `guard`, at each hop and each attempt anew. `tls` is for tests with a certificate authority
    of their own.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        limits: Limits | None = None,
        post_limits: Limits = POST_LIMITS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._guard = guard
        self._limits = limits or Limits()
        self._post_limits = post_limits
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or _tls(),
            max_connections=CONNECTIONS_MAX,
            max_keepalive_connections=0,
            network_backend=CheckedBackend(guard, connect_s_max=self._limits.connect_s_max),
        )

    async def check_url(self, url: str) -> HttpUrl:
        """Whether we would call it now: syntax, scheme, addresses, port. Raises UrlRefused and Unresolvable."""
        return await self._guard.check_url(url)

    @contextlib.asynccontextmanager
    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> AsyncIterator[Answer]:
        """The answer behind at most `redirects_max` redirects, each hop checked as the first, whatever its status.

        Raises UrlRefused, Unresolvable, FetchLimit, FetchFailed; the body raises them too, while it is read.
        """
        with translated():
            async with _deadline(self._limits.total_s_max), contextlib.AsyncExitStack() as stack:
                yield await self._followed(stack, parse_url(url), _fields(headers or {}))

    async def post(self, url: str, content: bytes, *, headers: Mapping[str, str]) -> Posted:
        """Redirects are answers like others: what was addressed to one host is carried to no other.

        Raises UrlRefused, Unresolvable, FetchLimit, FetchFailed.
        """
        limits = self._post_limits
        with translated():
            async with (
                _deadline(limits.total_s_max),
                self._sent("POST", parse_url(url), _fields(headers), limits, content) as answer,
            ):
                retry_after = answer.header("retry-after")
                kept = retry_after[:_RETRY_AFTER_CHARACTERS_MAX] if retry_after else None
                return Posted(answer.status, await answer.body_start(), kept)

    async def close(self) -> None:
        await self._pool.aclose()

    async def _followed(self, stack: contextlib.AsyncExitStack, url: HttpUrl, fields: list[tuple[str, str]]) -> Answer:
        for _ in range(self._limits.redirects_max + 1):
            hop = contextlib.AsyncExitStack()
            answer = await hop.enter_async_context(self._sent("GET", url, fields, self._limits))
            if not answer.is_redirect:
                await stack.enter_async_context(hop)
                return answer
            await hop.aclose()
            url = _next(url, answer)
        raise FetchLimit(f"more than {self._limits.redirects_max} redirects")

    @contextlib.asynccontextmanager
    async def _sent(
        self, method: str, url: HttpUrl, fields: list[tuple[str, str]], limits: Limits, content: bytes | None = None
    ) -> AsyncIterator[Answer]:
        silence_s = limits.silence_s_max
        timeouts = {"connect": limits.connect_s_max, "read": silence_s, "write": silence_s, "pool": limits.total_s_max}
        target = httpcore.URL(
            scheme=url.scheme.encode(),
            host=str(url.place.host).encode("ascii"),
            port=url.place.port,
            target=url.target.encode("ascii"),
        )
        stream = self._pool.stream(
            method, target, headers=[("Host", url.netloc), *fields], content=content, extensions={"timeout": timeouts}
        )
        async with stream as response:
            yield Answer(url, response, limits)


def _fields(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    ours = {"user-agent": USER_AGENT, "accept": "*/*", "accept-encoding": "identity"}
    return list({**ours, **{name.lower(): value for name, value in headers.items()}}.items())


def _next(url: HttpUrl, answer: Answer) -> HttpUrl:
    following = joined(url, answer.header("location") or "")
    if url.scheme == "https" and following.scheme == "http":
        raise FetchFailed("redirected from https to http, where anybody could change what comes", is_permanent=True)
    return following


def _tls() -> ssl.SSLContext:
    """The authorities that httpx ships, and those of this machine: an installation may have one of its own."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context


@contextlib.asynccontextmanager
async def _deadline(total_s_max: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(total_s_max) as deadline:
            yield
    except TimeoutError as error:
        if not deadline.expired():
            raise
        raise FetchLimit(f"not done within {total_s_max:g} s", is_permanent=False) from error
