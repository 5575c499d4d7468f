"""The client's connection for programs with an event loop; also to an application in the same process."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec
from starlette.types import ASGIApp

from millstream.client_http import TIMEOUT_S, no_answer_of, refusal_of, tls
from millstream.client_key import api_key_from_environment, checked_key

T = TypeVar("T")


class AsyncHttp:
    """One server over HTTP. Every call raises Unreachable and Refused."""

    def __init__(self, url: str, headers: Mapping[str, str], transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=f"{self.url}/api/v1",
            timeout=TIMEOUT_S,
            trust_env=False,
            headers=headers,
            transport=transport,
            verify=tls(),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """As `httpx.AsyncClient.request`; `path` is below /api/v1."""
        try:
            response = await self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise no_answer_of(self.url, error) from None
        if response.status_code >= 400:
            raise refusal_of(response)
        return response

    async def post(
        self, path: str, answer: type[T], body: Any, *, idempotency_key: str | None = None, **options: Any
    ) -> T:
        """The decoded answer of a POST of `body` as JSON."""
        headers = {"Content-Type": "application/json"}
        headers |= {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        response = await self.send("POST", path, headers=headers, content=msgspec.json.encode(body), **options)
        return msgspec.json.decode(response.content, type=answer)

    async def get(self, path: str, answer: type[T], **options: Any) -> T:
        """The decoded answer of a GET."""
        return msgspec.json.decode((await self.send("GET", path, **options)).content, type=answer)


def async_http(url: str, api_key: str | None = None) -> AsyncHttp:
    """Without a key that of MILLSTREAM_API_KEY is shown, where there is one. Raises Stop for what is no key."""
    key = api_key or api_key_from_environment()
    return AsyncHttp(url, {} if key is None else {"Authorization": f"Bearer {checked_key(key)}"})


def inner_http(app: ASGIApp, url: str, headers: Mapping[str, str], client: tuple[str, int]) -> AsyncHttp:
    """To an application in this process, as if `client` (its address and port) called it at `url`."""
    return AsyncHttp(url, headers, httpx.ASGITransport(app, raise_app_exceptions=False, client=client))
