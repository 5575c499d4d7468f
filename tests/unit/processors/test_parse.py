"""The parse step: the source is verified, crashes are tried once more."""

import hashlib
from collections.abc import AsyncIterator

import pytest

from blobs.memory import MemoryBlobStore
from domain.commands import RemoveDocument
from domain.document import Accepted, Failed, Parsed, Waiting
from events.ids import DocumentId
from events.steps import Step
from knowledge.media_type import MediaType
from knowledge.text import ParsedText
from processors.artifacts import text_blob
from processors.documents import DocumentDeliveries
from processors.knowledge_bases import KnowledgeBases
from processors.parse import TITLE_CHARS_MAX, WARNINGS_MAX, ParseStep
from processors.sandbox import ParserCrashed
from tests.unit.processors.mill import Mill

SOURCE = b"The mill grinds slowly. " * 100


class LittleParser:
    """Decodes; crashes as often as it is told to."""

    def __init__(self, *, crashes: int = 0, warnings: int = 0) -> None:
        self.calls: list[tuple[int, MediaType, str]] = []
        self._crashes = crashes
        self._warnings = warnings

    async def parse(
        self, pieces: AsyncIterator[bytes], *, size_bytes: int, media_type: MediaType, filename: str
    ) -> ParsedText:
        data = b"".join([piece async for piece in pieces])
        self.calls.append((size_bytes, media_type, filename))
        if len(self.calls) <= self._crashes:
            raise ParserCrashed("signal 11")
        return ParsedText(text=data.decode(), title="t" * 10_000, parser="p", warnings=("w" * 5_000,) * self._warnings)


class World:
    """A submitted document whose source lies in a blob store."""

    def __init__(self, parser: LittleParser) -> None:
        self.mill = Mill()
        self.blobs = MemoryBlobStore()
        self.parser = parser
        step = ParseStep(self.blobs, parser, time_limit_s=5)
        self.deliveries = DocumentDeliveries(
            step, self.mill.bench(), KnowledgeBases(self.mill.log, clock_us=self.mill.clock)
        )

    async def submit(self, source: bytes | None = SOURCE, media_type: str = "text/plain") -> DocumentId:
        if source is not None:
            await self.blobs.put("documents/x/source", source)
        _, (document,) = await self.mill.submit(
            media_type=media_type,
            size_bytes=len(SOURCE),
            sha256=hashlib.sha256(SOURCE).hexdigest(),
            source_blob="documents/x/source",
        )
        return document

    async def run(self) -> None:
        await self.deliveries.carry_out(await self.mill.take_one(Step.PARSE), 1)

    async def come_due(self) -> None:
        self.mill.clock.advance(600)
        for partition in range(self.mill.log.partitions):
            await self.mill.inbox.move_due(partition)


async def test_the_text_is_stored_under_the_attempt_and_recorded() -> None:
    world = World(LittleParser())
    document = await world.submit()
    await world.run()
    state = await world.mill.document(document)
    assert isinstance(state, Parsed)
    stored = await world.blobs.get(state.text.text_blob)
    assert state.text.text_blob == text_blob(document, 1, stored)
    assert ParsedText.decode(stored).text == SOURCE.decode()
    assert world.parser.calls == [(len(SOURCE), MediaType.TEXT, "a.txt")]


async def test_what_a_hostile_document_says_of_itself_is_cut() -> None:
    world = World(LittleParser(warnings=1_000))
    document = await world.submit()
    await world.run()
    state = await world.mill.document(document)
    assert isinstance(state, Parsed)
    assert len(state.text.title or "") == TITLE_CHARS_MAX
    assert len(state.text.warnings) == WARNINGS_MAX


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (None, "blob_missing"),
        (SOURCE[:-1], "blob_corrupt"),
        (SOURCE + b"!", "blob_corrupt"),
        (SOURCE[:-1] + b"?", "blob_corrupt"),
        (b"", "blob_corrupt"),
    ],
)
async def test_wrong_bytes_are_never_parsed(source: bytes | None, code: str) -> None:
    world = World(LittleParser())
    document = await world.submit(source)
    await world.run()
    state = await world.mill.document(document)
    assert isinstance(state, Failed)
    assert state.code == code
    assert world.parser.calls == []


async def test_a_type_that_no_parser_knows_is_rejected() -> None:
    world = World(LittleParser())
    document = await world.submit(media_type="application/x-unheard-of")
    await world.run()
    state = await world.mill.document(document)
    assert isinstance(state, Failed)
    assert state.code == "unsupported_type"


async def test_a_crash_is_tried_once_more_and_may_have_been_an_accident() -> None:
    world = World(LittleParser(crashes=1))
    document = await world.submit()
    await world.run()
    state = await world.mill.document(document)
    assert isinstance(state, Accepted)
    assert isinstance(state.activity, Waiting)
    await world.come_due()
    await world.run()
    assert isinstance(await world.mill.document(document), Parsed)


async def test_a_second_crash_is_no_accident() -> None:
    world = World(LittleParser(crashes=2))
    document = await world.submit()
    await world.run()
    await world.come_due()
    await world.run()
    state = await world.mill.document(document)
    assert isinstance(state, Failed)
    assert state.code == "parse_failed"
    assert len(world.parser.calls) == 2


async def test_a_text_that_is_stored_behind_an_erasure_is_deleted_again() -> None:
    class RemovedMeanwhile(LittleParser):
        async def parse(
            self, pieces: AsyncIterator[bytes], *, size_bytes: int, media_type: MediaType, filename: str
        ) -> ParsedText:
            await world.mill.say(document, RemoveDocument())
            return await super().parse(pieces, size_bytes=size_bytes, media_type=media_type, filename=filename)

    world = World(RemovedMeanwhile())
    document = await world.submit()
    await world.run()
    assert [info.key async for info in world.blobs.list(f"documents/{document}/")] == []
