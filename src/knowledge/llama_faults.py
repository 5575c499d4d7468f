"""Errors of embedding classes that others wrote, read for what a retry needs: HTTP status, Retry-After, kind.

The classes behind LlamaIndex raise what their client libraries raise (openai, httpx, requests, aiohttp, botocore,
cohere, google), often wrapped. All of them keep the status somewhere; where there is none, the kind of error decides.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from knowledge.errors import EmbeddingError
from knowledge.provider_faults import RETRY_AFTER_S_MAX, embedding_code_of, is_retryable, retry_after_s

FAILED: Final = "model_failed"
"""Nobody knows what it was: tried again, and counted as an attempt."""
_UNAVAILABLE: Final = "model_unavailable"
_CAUSES_MAX: Final = 10
_DETAIL_CHARS_MAX: Final = 200
_SECRET_CHARS_MIN: Final = 4
_SECRET_WORDS: Final = ("key", "token", "secret", "password", "auth", "credential", "header", "cookie")

_STATUS_NAMES: Final = ("status_code", "status", "http_status", "code")
_TIMEOUT_WORDS: Final = ("Timeout", "TimedOut", "DeadlineExceeded")
_CONNECTION_WORDS: Final = (
    *("ConnectionError", "ConnectError", "ConnectorError", "NetworkError", "ProtocolError", "Disconnected"),
    *("ReadError", "WriteError", "ServiceUnavailable"),
)


def embedding_error_of(error: Exception, arguments: Mapping[str, Any], now: datetime) -> EmbeddingError:
    """What the error of an embedding class means for whoever may ask again."""
    chain = list(_chain(error))
    detail = masked(f"{type(error).__name__}: {error}", arguments)[:_DETAIL_CHARS_MAX]
    status = next((found for one in chain if (found := _status_of(one)) is not None), None)
    if status is not None:
        retryable = is_retryable(status)
        return EmbeddingError(
            embedding_code_of(status),
            f"the provider answered {status}: {detail}",
            retry_after_s=_asked_s(chain, now) if retryable else None,
            is_permanent=not retryable,
        )
    if any(_is_timeout(one) for one in chain):
        return EmbeddingError("provider_timeout", detail)
    if any(_is_connection(one) for one in chain):
        return EmbeddingError("provider_unreachable", detail)
    match error:
        case ImportError() | OSError() | NotImplementedError():
            return EmbeddingError(_UNAVAILABLE, detail, is_permanent=True)
        case ValueError() | TypeError() | LookupError() | AttributeError() | ArithmeticError():
            # Mostly an answer that the class could not read: asked for once more, as any garbage is.
            return EmbeddingError("provider_answer", detail)
        case _:
            return EmbeddingError(FAILED, detail)


def masked(text: str, arguments: Mapping[str, Any]) -> str:
    """The text without what the arguments hold under names that sound like secrets."""
    for secret in sorted(_secrets(arguments, is_secret=False), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _secrets(value: Any, *, is_secret: bool) -> set[str]:
    match value:
        case str():
            return {value} if is_secret and len(value) >= _SECRET_CHARS_MIN else set()
        case Mapping():
            parts = (_secrets(one, is_secret=is_secret or _sounds_secret(str(name))) for name, one in value.items())
            return set().union(*parts)
        case list() | tuple():
            return set().union(*(_secrets(one, is_secret=is_secret) for one in value))
        case _:
            return set()


def _sounds_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET_WORDS)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what led to it."""
    current: BaseException | None = error
    for _ in range(_CAUSES_MAX):
        if current is None:
            return
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _status_of(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    candidates = [getattr(holder, name, None) for holder in (error, response) for name in _STATUS_NAMES]
    if isinstance(response, Mapping):  # botocore
        metadata = response.get("ResponseMetadata")
        candidates.append(metadata.get("HTTPStatusCode") if isinstance(metadata, Mapping) else None)
    return next((int(one) for one in candidates if isinstance(one, int) and 300 <= one < 600), None)


def _asked_s(chain: list[BaseException], now: datetime) -> float | None:
    """What the provider asked for, in its headers or as the library read them."""
    for error in chain:
        asked = getattr(error, "retry_after", None)
        if isinstance(asked, int | float) and not isinstance(asked, bool) and asked >= 0:
            return min(float(asked), RETRY_AFTER_S_MAX)
        for holder in (error, getattr(error, "response", None)):
            header = _header(getattr(holder, "headers", None))
            if header is not None and (seconds := retry_after_s(header, now)) is not None:
                return seconds
    return None


def _header(headers: Any) -> str | None:
    if not hasattr(headers, "items"):
        return None
    return next((str(value) for name, value in headers.items() if str(name).lower() == "retry-after"), None)


def _is_timeout(error: BaseException) -> bool:
    return isinstance(error, TimeoutError) or _is_called(error, _TIMEOUT_WORDS)


def _is_connection(error: BaseException) -> bool:
    return isinstance(error, ConnectionError) or _is_called(error, _CONNECTION_WORDS)


def _is_called(error: BaseException, words: tuple[str, ...]) -> bool:
    """By the name of the error's class: the libraries that it comes from need not be here."""
    return any(word in kind.__name__ for kind in type(error).__mro__ for word in words)
