"""One endpoint of a model's provider over HTTP: JSON there, bytes back, every trouble as a ProviderError.

The key is sent in one header and appears nowhere else: not in `repr`, not in an error.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import msgspec

from knowledge.errors import ProviderError
from knowledge.provider_faults import is_retryable, retry_after_s

_DETAIL_CHARS_MAX: Final = 200
_REFUSAL_BYTES_MAX: Final = 64 * 1024
_PORT_MAX: Final = 65_535


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ProviderHttp:
    """`POST url`. Raises ValueError where it is no http or https address."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None,
        call_s_max: float,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        _check_address(url)
        self._url = url
        self._api_key = api_key
        self._call_s_max = call_s_max
        self._clock = clock
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.AsyncClient(headers=headers, timeout=call_s_max, follow_redirects=False)

    def __repr__(self) -> str:
        return f"ProviderHttp(url={self._url!r})"

    async def close(self) -> None:
        await self._client.aclose()

    async def post(self, body: object, *, answer_bytes_max: int) -> bytes:
        """The whole answer. Raises ProviderError: also where it takes longer than the deadline, to the last byte."""
        content = bytearray()
        async with self.streaming(body) as parts:
            async for part in parts:
                content += part
                if len(content) > answer_bytes_max:
                    raise ProviderError("provider_answer", f"more than {answer_bytes_max:,} bytes came back")
        return bytes(content)

    @asynccontextmanager
    async def streaming(self, body: object) -> AsyncIterator[AsyncIterator[bytes]]:
        """The answer as it comes, within the deadline for all of it. Raises ProviderError."""
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        try:
            async with (
                asyncio.timeout(self._call_s_max),
                self._client.stream("POST", self._url, content=_encoded(body), headers=headers) as response,
            ):
                if response.status_code != httpx.codes.OK:
                    raise await self._refused(response)
                yield response.aiter_bytes()
        except (TimeoutError, httpx.TimeoutException) as error:
            raise ProviderError("provider_timeout", f"no whole answer within {self._call_s_max:g} s") from error
        except httpx.DecodingError as error:
            raise ProviderError("provider_answer", f"the answer cannot be unpacked: {error}") from error
        except httpx.HTTPError as error:
            raise ProviderError("provider_unreachable", self._masked(str(error) or type(error).__name__)) from error

    async def _refused(self, response: httpx.Response) -> ProviderError:
        content = bytearray()
        async for part in response.aiter_bytes():
            content += part
            if len(content) > _REFUSAL_BYTES_MAX:
                break  # the status says it all
        status = response.status_code
        detail = self._masked(content.decode("utf-8", "replace"))[:_DETAIL_CHARS_MAX]
        return ProviderError(
            f"provider_{status}",
            f"the provider answered {status}: {detail}",
            retry_after_s=retry_after_s(response.headers.get("Retry-After"), self._clock())
            if is_retryable(status)
            else None,
            is_permanent=not is_retryable(status),
        )

    def _masked(self, text: str) -> str:
        return text.replace(self._api_key, "***") if self._api_key else text


def _encoded(body: object) -> bytes:
    return msgspec.json.encode(_clean(body))


def _clean(value: Any) -> Any:
    """Lone surrogates cannot be written as JSON: they become question marks."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode("utf-8")
        case list() | tuple():
            return [_clean(one) for one in value]
        case dict():
            return {key: _clean(one) for key, one in value.items()}
        case _:
            return value


def _check_address(url: str) -> None:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"the base URL cannot be used: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host or not 0 < (parsed.port or 80) <= _PORT_MAX:
        raise ValueError("the base URL must be an http or https address")
