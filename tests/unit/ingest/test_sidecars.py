"""What is let go of a request of which some was skipped, and what must be said before that."""

from msgspec.structs import replace

from blobs.errors import BlobStoreUnavailable
from blobs.memory import MemoryBlobStore
from blobs.store import BlobRef
from domain.commands import AcceptDocument
from domain.deciders import DOCUMENT
from domain.document import DocumentState
from domain.sidecar import Sidecar, SkippedFile, decode_sidecar, sidecar_key
from events.document import OnDuplicate
from events.ids import document_id
from ingest.sidecars import let_go, store_sidecars
from ingest.unclaimed import UnclaimedBlobs
from tests.facts import ACCEPT, TASK_ID
from tests.strategies import DOCUMENTS

HOLDER = DOCUMENTS[7]


class StubbornStore(MemoryBlobStore):
    """Takes a blob once."""

    async def put(self, key: str, data: bytes) -> BlobRef:
        if key in {info.key async for info in self.list(key)}:
            raise BlobStoreUnavailable("away")
        return await super().put(key, data)


def sidecar(ordinal: int) -> Sidecar:
    document = document_id(TASK_ID, ordinal)
    return Sidecar(
        format=3,
        document_id=document,
        ordinal=ordinal,
        documents=3,
        stored_at_us=1,
        actor="a",
        accept=replace(ACCEPT, source_blob=f"documents/{document}/source@{ordinal}", on_duplicate=OnDuplicate.SKIP),
    )


SIDECARS = [sidecar(ordinal) for ordinal in range(3)]


def decided(accept: AcceptDocument, *, is_skipped: bool) -> DocumentState:
    told = replace(accept, holder=HOLDER if is_skipped else None)
    (event,) = DOCUMENT.decide(told, DOCUMENT.initial)
    return DOCUMENT.evolve(DOCUMENT.initial, event, 1)


async def left_in(store: MemoryBlobStore, *skipped: int) -> set[str]:
    """The keys that are there after a request whose files with these numbers were skipped."""
    states = [decided(one.accept, is_skipped=one.ordinal in skipped) for one in SIDECARS]
    async with UnclaimedBlobs(store) as unclaimed:
        for one in SIDECARS:
            await unclaimed.put(one.accept.source_blob, b"bytes")
        await store_sidecars(SIDECARS, unclaimed, in_flight_max=2)
        unclaimed.claim()
        await let_go(SIDECARS, states, unclaimed)
    return {info.key async for info in store.list("")}


def keys(*ordinals: int) -> set[str]:
    sources = {SIDECARS[ordinal].accept.source_blob for ordinal in ordinals}
    return sources | set(map(sidecar_key, sources))


async def test_what_was_accepted_stays_and_its_first_sidecar_speaks_of_the_rest() -> None:
    store = MemoryBlobStore()
    assert await left_in(store, 0, 2) == keys(1)
    key = sidecar_key(SIDECARS[1].accept.source_blob)
    told = decode_sidecar(key, await store.get(key))
    assert told is not None
    assert replace(told, skipped=()) == SIDECARS[1]
    assert [(one.ordinal, one.skip.duplicate_of) for one in told.skipped] == [(0, HOLDER), (2, HOLDER)]
    assert {type(one) for one in told.skipped} == {SkippedFile}


async def test_of_a_request_that_was_skipped_as_a_whole_nothing_stays() -> None:
    assert await left_in(MemoryBlobStore(), 0, 1, 2) == set()


async def test_of_a_request_that_was_accepted_as_a_whole_all_stays_as_it_was() -> None:
    assert await left_in(StubbornStore()) == keys(0, 1, 2)


async def test_where_the_sidecar_cannot_be_told_everything_stays_for_the_collector() -> None:
    assert await left_in(StubbornStore(), 0, 2) == keys(0, 1, 2)
