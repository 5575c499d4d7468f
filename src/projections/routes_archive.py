"""HTTP of the archive: what it holds, archive now, and verify as server-sent events."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, assert_never

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from events.errors import LogUnavailable
from projections.archive_check import Damage, verifying
from projections.archive_overview import ArchiveAtAGlance
from projections.archive_reader import Archive
from projections.errors import ArchiveNotKept, VerifiedAlready
from projections.parameters import Parameters
from projections.progress import Progress
from projections.streamed import StreamedEvents

ALL: Final = -1


class VerifyProgress(msgspec.Struct, frozen=True, kw_only=True):
    """So many of a partition's archived events were read."""

    partition: int
    events: int
    total: int


class VerifyDamage(msgspec.Struct, frozen=True, kw_only=True):
    """Something is not what was written: `offset` in the segment's blob, `number` of the event, where known."""

    partition: int
    segment: str
    what: str
    offset: int | None
    number: int | None


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """All was read."""

    partitions: int
    events: int
    damages: int


class VerifyFailed(msgspec.Struct, frozen=True, kw_only=True):
    """It could not go on; `code` is that of a problem document."""

    code: str
    detail: str


def archive_routes(archive: Archive, glance: ArchiveAtAGlance) -> list[Route]:
    """Raises InvalidQuery, ArchiveNotKept, VerifiedAlready and LogUnavailable."""
    verifier = _Verifier(archive)

    async def get_archive(_request: Request) -> Response:
        return _json(await glance.look(), 200)

    async def archive_now(_request: Request) -> Response:
        if not glance.is_kept:
            raise ArchiveNotKept
        return _json(await glance.ask(), 202)

    async def verify_archive(request: Request) -> Response:
        asked = Parameters(request.query_params.multi_items(), known=frozenset({"partition"}))
        partition = asked.integer("partition", 0, glance.partitions - 1, ALL)
        wanted = range(glance.partitions) if partition == ALL else [partition]
        events = verifier.events(wanted)
        # Its beginning says whether there is a turn, while that can be told by status.
        await anext(events)
        return StreamedEvents(events)

    return [
        Route("/api/v1/archive", get_archive, name="get_archive"),
        Route("/api/v1/archive/now", archive_now, methods=["POST"], name="archive_now"),
        Route("/api/v1/archive/verify", verify_archive, methods=["POST"], name="verify_archive"),
    ]


class _Verifier:
    """One verification at a time in this process: it takes its processor time beside everybody's requests."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._is_busy = False

    async def events(self, partitions: Sequence[int]) -> AsyncGenerator[bytes, None]:
        """Ends, and the work with it, when the client goes. Raises VerifiedAlready."""
        if self._is_busy:
            raise VerifiedAlready
        self._is_busy = True
        try:
            yield b": begun\n\n"
            async with aclosing(self._found(partitions)) as found:
                async for event in found:
                    yield event
        finally:
            self._is_busy = False

    async def _found(self, partitions: Sequence[int]) -> AsyncGenerator[bytes, None]:
        events = damages = 0
        try:
            for partition in partitions:
                read = 0
                async with aclosing(verifying(self._archive, partition)) as found:
                    async for told in found:
                        match told:
                            case Progress():
                                read = told.folded
                                yield _event(
                                    "progress", VerifyProgress(partition=partition, events=read, total=told.total)
                                )
                            case Damage():
                                damages += 1
                                yield _event("damage", _damage(partition, told))
                            case _:
                                assert_never(told)
                events += read
        except LogUnavailable:
            detail = "Redis or the blob store does not answer; what was read until now was told. Try again."
            yield _event("error", VerifyFailed(code="dependency_unavailable", detail=detail))
            return
        yield _event("end", Verified(partitions=len(partitions), events=events, damages=damages))


def _damage(partition: int, damage: Damage) -> VerifyDamage:
    return VerifyDamage(
        partition=partition, segment=damage.segment, what=damage.what, offset=damage.offset, number=damage.number
    )


def _event(name: str, data: msgspec.Struct) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(data))


def _json(value: msgspec.Struct, status: int) -> Response:
    return Response(
        msgspec.json.encode(value),
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
