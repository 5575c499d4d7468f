"""Any mixture of requests, cuts and writers at once ends with the bytes that were sent, and no offset goes back."""

import asyncio
import hashlib
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

from blobs.memory import MemoryBlobStore
from domain.commands import CreateKnowledgeBase
from domain.deciders import knowledge_base_decider
from domain.handle import handle
from events.document import DocumentAccepted
from events.envelope import Envelope
from events.ids import IdFactory, KnowledgeBaseId
from events.memory import MemoryLog
from ingest.memory_uploads import MemoryUploads
from ingest.problems import ProblemCode, Rejected
from ingest.resumable_uploads import ResumableUploads
from ingest.services import IngestServices
from ingest.settings import KIB, IngestSettings
from ingest.upload_registry import Finished
from tests.unit.ingest.test_resumable import encoded

ME: Final = "me"
PIECE_BYTES: Final = KIB
DATA: Final = "".join(f"Line {number} of the mill.\n" for number in range(400)).encode()
"""8.5 pieces; no two are alike."""


class World:
    """The uploads of one process, or of several that share registry, log and blobs."""

    def __init__(self, log: MemoryLog | None = None) -> None:
        counter = itertools.count()
        self.now_us = 1_800_000_000_000_000
        self.log = MemoryLog(partitions=1, clock_us=lambda: self.now_us) if log is None else log
        self.services = IngestServices(
            log=self.log,
            blobs=MemoryBlobStore(),
            uploads=MemoryUploads(),
            ids=IdFactory(lambda: self.now_us // 1_000, lambda size: next(counter).to_bytes(size)),
            clock_us=lambda: self.now_us,
            actor_of=lambda _request: ME,
            known_embedding=lambda _name: None,
            status_of=None,  # type: ignore[arg-type]  # asked for knowledge bases alone
            settings=IngestSettings(piece_bytes=PIECE_BYTES),
        )

    def process(self) -> ResumableUploads:
        return ResumableUploads(self.services)

    async def knowledge_base(self) -> KnowledgeBaseId:
        kb = self.services.ids.knowledge_base(1)
        command = CreateKnowledgeBase(name="Handbook")
        await handle(self.log, knowledge_base_decider(kb), kb, [command], self.services.context(kb, ME))
        return kb

    async def created(self, **headers: str) -> str:
        about = f"knowledge_base {encoded(await self.knowledge_base())}"
        made = Headers({"upload-length": str(len(DATA)), "upload-metadata": about, **headers})
        return (await self.process().create(made, ME, sent(b""))).about.upload_id

    async def assert_one_document(self) -> None:
        facts = [one for one in await self.log.read(0) if isinstance(one, Envelope)]
        (fact,) = (one.event for one in facts if isinstance(one.event, DocumentAccepted))
        assert (fact.size_bytes, fact.sha256) == (len(DATA), hashlib.sha256(DATA).hexdigest())
        assert await self.services.blobs.get(fact.source_blob) == DATA
        assert [info.key async for info in self.services.blobs.list("uploads/")] == []


async def sent(
    data: bytes, *, by: int = 700, cut: bool = False, turns: random.Random | None = None
) -> AsyncIterator[bytes]:
    """A body as it comes in; others have their turn in between."""
    for first in range(0, len(data), by):
        for _ in range(turns.randrange(4) if turns else 0):
            await asyncio.sleep(0)
        yield data[first : first + by]
    if cut:
        raise ClientDisconnect


def patch_headers(offset: int) -> Headers:
    return Headers({"upload-offset": str(offset), "content-type": "application/offset+octet-stream"})


REQUESTS: Final = st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 2_000), st.booleans()), max_size=12)


@given(REQUESTS)
async def test_cut_anywhere_an_upload_goes_on_where_its_offset_says(requests: list[tuple[int, int, bool]]) -> None:
    world = World()
    upload_id, promised = await world.created(), 0
    for size, by, cut in [*requests, (len(DATA), 999, False)]:
        process = world.process()  # what one process knows of it is nothing that the next one needs
        offset = (await process.status(upload_id, ME)).offset
        assert offset == promised
        body = sent(DATA[offset : offset + size], by=by, cut=cut)
        with suppress(ClientDisconnect):
            await process.append(upload_id, patch_headers(offset), ME, body)
        promised = min(offset + size, len(DATA))
        if promised == len(DATA):
            break
    assert isinstance((await world.process().status(upload_id, ME)).outcome, Finished)
    await world.assert_one_document()


@given(st.integers(0, 2**32), st.booleans())
async def test_writers_at_once_never_mix_and_one_of_them_comes_to_the_end(seed: int, is_one_process: bool) -> None:
    world, chance = World(), random.Random(seed)  # noqa: S311  which way it goes, nothing secret
    upload_id = await world.created()
    processes = [world.process()] * 3 if is_one_process else [world.process() for _ in range(3)]

    async def write(process: ResumableUploads) -> None:
        promised = 0
        while True:
            upload = await process.status(upload_id, ME)
            assert upload.offset >= promised, "no offset goes back"
            promised = upload.offset
            if upload.has_all_bytes:
                return
            body = DATA[promised : promised + chance.randrange(1, 4_000)]
            stream = sent(body, by=chance.randrange(1, 900), cut=chance.random() < 0.3, turns=chance)
            try:
                await process.append(upload_id, patch_headers(promised), ME, stream)
            except ClientDisconnect:
                continue
            except Rejected as refused:
                if refused.code not in {ProblemCode.OFFSET_MISMATCH, ProblemCode.UPLOAD_TAKEN_OVER}:
                    raise
                await asyncio.sleep(0)

    async with asyncio.timeout(20):
        await asyncio.gather(*map(write, processes))
    assert isinstance((await world.process().status(upload_id, ME)).outcome, Finished)
    await world.assert_one_document()
