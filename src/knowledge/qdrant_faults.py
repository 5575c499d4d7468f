"""Calls of a Qdrant server: tried again where that helps at once, and its errors in words of ours.

Every call of ours may be made twice: rows have ids of their own, deletions are by condition.
"""

import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from knowledge.errors import IndexRefused, IndexUnavailable, KnowledgeError

TRIES_MAX: Final = 3
"""A connection that broke, a proxy without a server behind it, a limit of calls: what is longer is for the step's own
retry, or for the caller of a search."""
PAUSE_S_FIRST: Final = 0.1
PAUSE_S_MAX: Final = 2.0
DETAIL_CHARS_MAX: Final = 300

_PASSING: Final = frozenset({429, 502, 503, 504})
_ADVICE: Final = {
    401: "it refuses the key: set MILLSTREAM_QDRANT_API_KEY",
    403: "it forbids that: the key may only read, or the server is locked or strict",
    413: "the request is too large: raise service.max_request_size_mb of the server",
    429: "its limit of calls is reached",
    507: "its disk or quota is full",
}
_WRONG_DIMENSIONS: Final = "dimension"

_Answer = TypeVar("_Answer")
_log = structlog.get_logger()


class Calls:
    """Makes calls; `rng` spreads the pauses between tries."""

    def __init__(self, rng: random.Random, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._rng = rng
        self._sleep = sleep

    async def make(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Raises IndexUnavailable, or KnowledgeError where the same call can never work."""
        for attempt in range(TRIES_MAX):
            try:
                return await call()
            except (ApiException, QdrantException, ValueError, RuntimeError) as error:
                asked_s = pause_s(error)
                if asked_s is None or attempt == TRIES_MAX - 1:
                    raise translated(error) from error
                _log.warning("index_call_again", error=words_of(error), attempt=attempt + 1)
                await self.pause(attempt, at_least_s=asked_s)
        raise AssertionError("unreachable")

    async def pause(self, attempt: int, *, at_least_s: float = 0.0) -> None:
        """Full jitter, behind what the server asked for."""
        await self._sleep(at_least_s + self._rng.uniform(0, min(PAUSE_S_MAX, PAUSE_S_FIRST * 2**attempt)))


def pause_s(error: Exception) -> float | None:
    """How long to wait before the same call, at least; None where another try would be no use now."""
    match error:
        case ResourceExhaustedResponse(retry_after_s=seconds):
            return float(seconds) if seconds <= PAUSE_S_MAX else None
        case UnexpectedResponse(status_code=status):
            return 0.0 if status in _PASSING else None
        case ResponseHandlingException():
            return 0.0 if _is_broken_connection(error) else None
        case _:
            return None


def translated(error: Exception) -> KnowledgeError:
    """What a step and a person are told."""
    status = status_of(error)
    if status in (400, 422) and _WRONG_DIMENSIONS in words_of(error).lower():
        return KnowledgeError(f"the index takes no vectors of this length: {words_of(error)}")
    advice = _ADVICE.get(status or 0)
    told = f"; {advice}" if advice else ""
    kind = IndexRefused if status in (401, 403) else IndexUnavailable
    return kind(f"the index failed: Qdrant: {words_of(error)}{told}")


def status_of(error: Exception) -> int | None:
    """The HTTP status that the server answered, if it did."""
    if isinstance(error, ResourceExhaustedResponse):
        return 429
    return error.status_code if isinstance(error, UnexpectedResponse) else None


def words_of(error: Exception) -> str:
    """What the server or the connection said, on one line."""
    match error:
        case UnexpectedResponse(status_code=status, content=content):
            text = f"{status} {content.decode('utf-8', 'replace')}"
        case ResponseHandlingException(source=source):
            text = f"{type(source).__name__} {source}"
        case _:
            text = str(error) or type(error).__name__
    return " ".join(text.split())[:DETAIL_CHARS_MAX]


def _is_broken_connection(error: ResponseHandlingException) -> bool:
    """By the names of httpx: a call that ran into its time limit is not made again, the caller waited long enough."""
    return type(error.source).__name__ in ("ConnectError", "ReadError", "RemoteProtocolError", "WriteError")
