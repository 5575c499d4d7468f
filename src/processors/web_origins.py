"""Documents at URLs and in the import bucket, through the client that checks addresses and the reader of objects."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Final

from blobs.errors import BlobMissing, InvalidBlobKey
from blobs.objects import ObjectReader
from domain.instant import EPOCH
from domain.origin import Origin
from outbound.answer import Answer
from outbound.client import OutboundClient
from outbound.errors import FETCH_FAILED, OutboundError
from outbound.retry_after import retry_after_s
from outbound.urls import parse_url
from processors.naming import name_of_answer
from processors.origins import Incoming, OriginFails, OriginRefuses
from processors.politeness import TURN_S_MAX, HostTurns

NO_IMPORT_BUCKET: Final = "no_import_bucket"
OBJECT_MISSING: Final = "object_missing"
OBJECT_KEY_INVALID: Final = "object_key_invalid"
EMPTY_DOCUMENT: Final = "empty_document"

DECLARED_TYPE_CHARS_MAX: Final = 200

_OK: Final = frozenset({200, 203})
_WITHOUT_BODY: Final = frozenset({204, 205})
_LATER: Final = frozenset({408, 425, 429})
_SERVER_ERROR_MIN: Final = 500


class WebOrigins:
    """`slots_per_host` fetches from one host at a time; `clock_us` (unix µs) is for dates in Retry-After."""

    def __init__(
        self,
        outbound: OutboundClient,
        objects: ObjectReader | None,
        *,
        slots_per_host: int,
        clock_us: Callable[[], int],
        turn_s_max: float = TURN_S_MAX,
    ) -> None:
        self._outbound = outbound
        self._objects = objects
        self._turns = HostTurns(slots_per_host, turn_s_max)
        self._clock_us = clock_us

    @asynccontextmanager
    async def open(self, origin: Origin) -> AsyncIterator[Incoming]:
        """Raises OriginRefuses, OriginFails and, for an import bucket that does not answer, BlobStoreUnavailable."""
        if origin.url is not None:
            async with self._answered(origin.url) as incoming:
                yield incoming
        elif origin.object_key is not None:
            async with aclosing(self._read(origin.object_key)) as pieces:
                yield Incoming(pieces=pieces)
        else:
            raise OriginRefuses(OBJECT_KEY_INVALID, "neither a URL nor a key says where the document is")

    async def close(self) -> None:
        await self._outbound.close()
        if self._objects is not None:
            await self._objects.close()

    @asynccontextmanager
    async def _answered(self, url: str) -> AsyncIterator[Incoming]:
        try:
            host = str(parse_url(url).place.host)
            async with self._turns.of(host), self._outbound.get(url) as answer:
                self._refuse(answer)
                async with aclosing(_translated(answer)) as pieces:
                    yield _incoming(answer, pieces)
        except OutboundError as error:
            raise _said(error) from error

    def _refuse(self, answer: Answer) -> None:
        status = answer.status
        if status in _OK:
            return
        message = f"{answer.url.place.host} answered {status}"
        if status in _WITHOUT_BODY:
            raise OriginRefuses(EMPTY_DOCUMENT, message)
        if status in _LATER or status >= _SERVER_ERROR_MIN:
            now = EPOCH + timedelta(microseconds=self._clock_us())
            raise OriginFails(FETCH_FAILED, message, retry_after_s(answer.header("retry-after"), now))
        raise OriginRefuses(FETCH_FAILED, message)

    async def _read(self, key: str) -> AsyncGenerator[bytes, None]:
        if self._objects is None:
            raise OriginRefuses(NO_IMPORT_BUCKET, "this worker has no import bucket (MILLSTREAM_IMPORT_BUCKET_URL)")
        try:
            async with aclosing(self._objects.read(key)) as pieces:
                async for piece in pieces:
                    yield piece
        except BlobMissing as error:
            raise OriginRefuses(OBJECT_MISSING, f"there is no object {key[:200]!r} in the import bucket") from error
        except InvalidBlobKey as error:
            raise OriginRefuses(OBJECT_KEY_INVALID, str(error)) from error


async def _translated(answer: Answer) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(answer.body()) as pieces:
            async for piece in pieces:
                yield piece
    except OutboundError as error:
        raise _said(error) from error


def _incoming(answer: Answer, pieces: AsyncIterator[bytes]) -> Incoming:
    url, declared = str(answer.url), answer.header("content-type")
    is_short = declared is not None and declared.isascii() and 0 < len(declared) <= DECLARED_TYPE_CHARS_MAX
    return Incoming(
        pieces=pieces,
        filename=name_of_answer(answer.header("content-disposition"), url, declared),
        declared_media_type=declared if is_short else None,
        url=url,
    )


def _said(error: OutboundError) -> OriginRefuses | OriginFails:
    return (OriginRefuses if error.is_permanent else OriginFails)(error.code, error.detail)
