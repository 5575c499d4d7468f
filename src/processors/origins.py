"""Where documents are fetched from: what a step may ask of a place, however it is reached."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from domain.origin import Origin


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes on their way. `filename` is what the place calls them, None where it does not tell; `url` is where they
    come from in the end. `pieces` raises as `Origins.open` does."""

    pieces: AsyncIterator[bytes]
    filename: str | None = None
    declared_media_type: str | None = None
    url: str | None = None


class OriginRefuses(Exception):
    """Asking again would end the same way."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


class OriginFails(Exception):
    """It may be there later, not before `retry_after_s` where it said so."""

    def __init__(self, code: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


class Origins(Protocol):
    """All places that a worker can fetch from."""

    def open(self, origin: Origin) -> AbstractAsyncContextManager[Incoming]:
        """Raises OriginRefuses and OriginFails."""
        ...

    async def close(self) -> None:
        """Release connections; idempotent."""
        ...
