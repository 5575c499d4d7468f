"""The sidecars of a request: stored before its append, and let go with the blobs that no document needs."""

import asyncio
from collections.abc import Sequence
from itertools import starmap

import structlog
from msgspec.structs import replace

from blobs.errors import BlobError
from blobs.store import BlobWriter
from domain.commands import SkipDocument
from domain.document import DocumentState, Erased, Removed, Skipped, Unknown, record_of
from domain.sidecar import Sidecar, SkippedFile, encode_sidecar, sidecar_key
from events.failpoints import Place, failpoint
from ingest.concurrency import all_of, both_of
from ingest.unclaimed import UnclaimedBlobs

_log = structlog.get_logger()


async def store_sidecars(
    sidecars: Sequence[Sidecar], unclaimed: UnclaimedBlobs, *, in_flight_max: int, last: BlobWriter | None = None
) -> None:
    """Beside their sources; the last of them is stored now (where it is not yet), and carries its own where it can.

    Raises what the blob store raises.
    """
    encoded, carried = [(sidecar_key(one.accept.source_blob), encode_sidecar(one)) for one in sidecars], b""
    if last is not None and await last.carries(len(encoded[-1][1])):
        _, carried = encoded.pop()
    if last is None:
        await _store(encoded, unclaimed, in_flight_max)
    elif not encoded:
        await _commit(last, carried)
    elif len(encoded) == 1:
        await both_of(unclaimed.put(*encoded[0]), _commit(last, carried))
    else:
        await both_of(_store(encoded, unclaimed, in_flight_max), _commit(last, carried))


async def _store(encoded: Sequence[tuple[str, bytes]], unclaimed: UnclaimedBlobs, in_flight_max: int) -> None:
    turns = asyncio.Semaphore(in_flight_max)

    async def store(key: str, sidecar: bytes) -> None:
        async with turns:
            await unclaimed.put(key, sidecar)

    await all_of(starmap(store, encoded))


async def _commit(writer: BlobWriter, metadata: bytes) -> None:
    await writer.commit(metadata)
    failpoint(Place.API_STORED)


async def let_go(sidecars: Sequence[Sidecar], documents: Sequence[DocumentState], unclaimed: UnclaimedBlobs) -> None:
    """Disclaims what no document of the request names: what was skipped, and all of it where this is a repeat.

    Before that a sidecar that stays is told of what was skipped: the request would not be complete without. Where it
    cannot be told, the blobs stay as well, for the collector.
    """
    states = list(zip(sidecars, documents, strict=True))
    unwanted = [sidecar for sidecar, state in states if _source_of(state) != sidecar.accept.source_blob]
    if not unwanted:
        return  # nearly always
    wanted = [sidecar for sidecar, state in states if _source_of(state) == sidecar.accept.source_blob]
    skipped = [_skipped_file(sidecar, state) for sidecar, state in states if isinstance(state, Skipped)]
    if wanted and skipped:
        try:
            first = replace(wanted[0], skipped=tuple(skipped))
            await unclaimed.put(sidecar_key(first.accept.source_blob), encode_sidecar(first))
        except BlobError as left:
            _log.warning("orphans_left", documents=len(unwanted), error=repr(left))
            return
    sources = [sidecar.accept.source_blob for sidecar in unwanted]
    unclaimed.disclaim([*sources, *map(sidecar_key, sources)])


def _skipped_file(sidecar: Sidecar, state: Skipped) -> SkippedFile:
    accept = sidecar.accept
    return SkippedFile(
        sidecar.ordinal,
        SkipDocument(
            knowledge_base_id=accept.knowledge_base_id,
            task_id=accept.task_id,
            filename=accept.filename,
            media_type=accept.media_type,
            size_bytes=accept.size_bytes,
            sha256=accept.sha256,
            duplicate_of=state.duplicate_of,
        ),
    )


def _source_of(state: DocumentState) -> str | None:
    match state:
        case Unknown() | Skipped():
            return None
        case Removed() | Erased():
            return _source_of(state.before)
        case _:
            return record_of(state).about.source_blob
