"""Small documents in one turn: the facts, rows and rules are those of one step after the other."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec
import pytest

from domain.commands import CancelDocument, RemoveDocument, StartStep
from domain.document import Cancelled, Chunked, DocumentState, Embedded, Failed, Indexed, Parsed
from events import document as facts
from events.ids import DocumentId
from events.inbox import Delivery
from events.steps import Step
from knowledge.chunkers import ChunkerKind, make_chunker
from knowledge.embedders import Remote
from knowledge.errors import EmbeddingError, IndexUnavailable, ParseError, ParseErrorCode
from knowledge.index import IndexRow, IndexTable
from knowledge.media_type import MediaType
from knowledge.memory_index import MemoryIndex
from knowledge.text import ParsedText
from knowledge.vectors import Vectors
from processors.bundle import SEPARATOR, Bundle, StepBlobs
from processors.chunk import ChunkStep
from processors.documents import DocumentDeliveries
from processors.embed import EmbedStep
from processors.failures import BlobCorrupt
from processors.group_commit import GroupCommit
from processors.knowledge_bases import KnowledgeBases
from processors.observing import Ended, ErrandEnded, NobodyWatches
from processors.orphans import blobs_named
from processors.parse import ParseStep
from processors.provider_calls import ProviderCalls
from processors.rows import RowMaker, embed_through
from processors.settings import WorkerSettings
from processors.slots import leave_by
from processors.step import Processor
from processors.stored import load, load_chunks, load_vectors
from processors.through import STEPS_IN_TURN, Through, behind_a_turn
from processors.under_way import UnderWay
from tests.searched import search_keyword
from tests.unit.processors.chunked_document import BATCH, CountingEmbedder, InterruptedIndex, World
from tests.waiting import wait_until

TEXT = "The mill grinds slowly. "
STEPS = (Step.PARSE, *STEPS_IN_TURN)


class Decoding:
    """A parser that reads what it gets, a PDF when it may, and tells the world's `order` when."""

    def __init__(self, world: "ThroughWorld") -> None:
        self._world = world

    async def parse(
        self, pieces: AsyncIterator[bytes], *, size_bytes: int, media_type: MediaType, filename: str
    ) -> ParsedText:
        self._world.order.append("parsed")
        if media_type is MediaType.PDF and self._world.parses_long is not None:
            await self._world.parses_long.wait()
        text = b"".join([piece async for piece in pieces]).decode()
        if not text.strip():
            raise ParseError(ParseErrorCode.NO_TEXT, "blank")
        return ParsedText(text=text, parser=f"{media_type} of {size_bytes} in {filename}")


class Watching:
    """Remembers which attempts ended."""

    def __init__(self) -> None:
        self.told: list[Ended] = []

    def began(self, step: Step) -> None: ...

    def left(self, step: Step) -> None: ...

    def errand_ended(self, errand: ErrandEnded) -> None: ...

    def ended(self, attempt: Ended) -> None:
        self.told.append(attempt)


class ThroughWorld(World):
    """The steps from parse on, in one turn and each for itself, on the same stores."""

    def __init__(
        self, embedder: CountingEmbedder | None = None, index: MemoryIndex | None = None, *, bytes_max: int = 10_000
    ) -> None:
        super().__init__(embedder, index)
        settings = WorkerSettings(embed_batch_chunks=BATCH)
        self.remote_calls = asyncio.Semaphore(2)
        self.order: list[str] = []
        self.parses_long: asyncio.Event | None = None
        self.steps = self.steps_on(self.blobs)
        self.through = Through(
            self.blobs,
            self.steps_on,
            settings,
            self.mill.clock,
            NobodyWatches(),
            bytes_max=bytes_max,
            looks=GroupCommit(UnderWay(NobodyWatches()), places=1, wait_s=0),
        )

    def steps_on(self, blobs: StepBlobs) -> Mapping[Step, Processor]:
        rows = RowMaker(blobs, self.index, embed_through(lambda _: self.embedder, self.gate))
        calls = ProviderCalls(self.embedder, self.gate, sleep=self._sleep, texts_max=BATCH)
        steps: list[Processor] = [
            ParseStep(blobs, Decoding(self), time_limit_s=5),
            ChunkStep(
                blobs,
                lambda _: make_chunker(ChunkerKind.MARKDOWN),
                lambda _: calls,
                chunks_max=100,
                time_limit_s=5,
            ),
            EmbedStep(
                blobs,
                lambda _: self.embedder,
                self.gate,
                self.index,
                batch_chunks=BATCH,
                time_limit_s=5,
                remote_calls=self.remote_calls,
            ),
            self.index_step(rows),
        ]
        return {one.step: one for one in steps}

    async def _sleep(self, _seconds: float) -> None: ...

    async def uploaded(self, text: str = TEXT, media_type: MediaType = MediaType.TEXT) -> DocumentId:
        data = text.encode()
        await self.blobs.put("documents/x/source", data)
        digest = hashlib.sha256(data).hexdigest()
        about = {"filename": "a.txt", "size_bytes": len(data), "sha256": digest, "source_blob": "documents/x/source"}
        about["media_type"] = media_type.value
        _, (document,) = await self.mill.submit(**about)  # type: ignore[arg-type]
        return document

    async def waiting(self) -> dict[Step, int]:
        """Deliveries of each step that nobody has taken."""
        depths = {step: await self.mill.depth(step) for step in STEPS}
        return {step: depth.waiting for step, depth in depths.items() if depth.waiting}

    async def die_at_the_rows(self) -> None:
        """A worker goes through all steps with a document, and is killed ahead of telling."""

        async def dies() -> None:
            raise SystemExit("killed")

        self.index = dying = InterruptedIndex()
        dying.meanwhile.append(dies)
        with pytest.raises(SystemExit):
            await self.run(self.through)

    async def claimed(self) -> Delivery:
        """By worker-2, of whoever is silent for longer than a lease."""
        self.mill.clock.advance(600)
        (claimed,) = await self.mill.claim(Step.PARSE, "worker-2")
        return claimed

    async def texts(self) -> list[str]:
        return [hit.chunk.text for hit in await search_keyword(self.index, self.table, "mill", limit=9)]


async def a_world(embedder: CountingEmbedder | None = None, index: MemoryIndex | None = None) -> ThroughWorld:
    world = ThroughWorld(embedder, index)
    await world.mill.create()
    return world


def kinds(events: Sequence[object]) -> list[str]:
    return [type(event).__name__ for event in events]


async def test_one_delivery_leads_to_the_facts_that_four_lead_to() -> None:
    world = await a_world()
    by_inboxes, in_one_turn = await world.uploaded(), await world.uploaded()
    first, second = await world.mill.take(Step.PARSE, count=2)
    await world.run(world.through, second)
    assert await world.waiting() == {}, "but for the other document, which is in the hand"
    await world.run(world.steps[Step.PARSE], first)
    for step in STEPS_IN_TURN:
        await world.run(world.steps[step])

    one, other = await world.mill.history(by_inboxes), await world.mill.history(in_one_turn)

    assert kinds(one) == kinds(other)
    assert [e.step for e in other if isinstance(e, facts.StepStarted)] == list(STEPS)
    assert comparable(await world.mill.document(by_inboxes)) == comparable(await world.mill.document(in_one_turn))
    assert await world.texts() == [TEXT.strip()] * 2


def comparable(state: DocumentState) -> object:
    """A state without what differs between any two documents."""
    assert isinstance(state, Indexed)
    return state.vectors, state.generation, state.chunks.tokens, [batch.calls for batch in state.batches]


async def test_what_the_steps_made_is_one_blob_of_which_each_part_is_read_by_its_name() -> None:
    world = await a_world()
    document = await world.uploaded()
    await world.run(world.through)
    state = await world.mill.document(document)
    assert isinstance(state, Indexed)
    names = (state.text.text_blob, state.chunks.chunks_blob, state.batches[0].vectors_blob)
    assert {name.partition(SEPARATOR)[0] for name in names} == {f"documents/{document}/bundle@1"}
    assert [info.key async for info in world.blobs.list(f"documents/{document}/")] == [f"documents/{document}/bundle@1"]
    assert ParsedText.decode(await load(world.blobs, state.text.text_blob)).text == TEXT
    assert [chunk.text for chunk in await load_chunks(world.blobs, state.chunks)] == [TEXT.strip()]
    assert len(await load_vectors(world.blobs, state.batches)) == 1
    history = await world.mill.log.history(document)
    assert f"documents/{document}/bundle@1" in set(blobs_named(history)), "or it would be collected"


async def test_a_bundle_in_hand_is_read_by_the_names_that_it_gave_and_by_no_others() -> None:
    world = await a_world()
    bundle = Bundle(world.blobs, "x", 1)
    ref = await bundle.put("documents/x/text@1-abc", b"words")
    assert await load(bundle, ref.key) == b"words"
    for name in (f"{ref.key}d", ref.key.partition(SEPARATOR)[0] + "0" + SEPARATOR + "text@1-abc"):
        assert bundle.held(name) is None
    with pytest.raises(BlobCorrupt):
        await load(bundle, f"{ref.key}d")
    await world.blobs.put("documents/x/source", b"bytes")
    assert await load(bundle, "documents/x/source") == b"bytes", "what is stored is read from there"


@pytest.mark.parametrize(
    ("media_type", "places_taken", "order"),
    [
        (MediaType.TEXT, 0, ["left", "parsed"]),
        (MediaType.CSV, WorkerSettings().through_documents - 1, ["left", "parsed"]),
        (MediaType.PDF, 0, ["parsed", "left"]),
    ],
)
async def test_text_leaves_its_slot_ahead_of_the_parser_and_what_takes_long_behind_it(
    media_type: MediaType, places_taken: int, order: list[str]
) -> None:
    world = await a_world()
    document = await world.uploaded(media_type=media_type)
    for _ in range(places_taken):
        await world.through._places.acquire()
    leave_by.set(lambda: world.order.append("left"))
    await world.run(world.through)
    assert world.order == order
    assert isinstance(await world.mill.document(document), Indexed)
    assert world.through._places._value == WorkerSettings().through_documents - places_taken


async def test_text_without_a_place_keeps_its_slot_until_it_has_one() -> None:
    world = await a_world()
    document = await world.uploaded()
    for _ in range(WorkerSettings().through_documents):
        await world.through._places.acquire()
    leave_by.set(lambda: world.order.append("left"))
    running = asyncio.create_task(world.run(world.through))
    await wait_until(lambda: world.order == ["parsed"], "it is parsed")
    world.through._places.release()
    await running
    assert world.order == ["parsed", "left"]
    assert isinstance(await world.mill.document(document), Indexed)


async def test_text_keeps_its_slot_while_a_parser_is_busy_with_something_long() -> None:
    world = await a_world()
    document = await world.uploaded()
    leave_by.set(lambda: world.order.append("left"))
    world.parses_long = asyncio.Event()
    long = await world.uploaded(media_type=MediaType.PDF)
    first, second = await world.mill.take(Step.PARSE, count=2)
    texts, pdf = (first, second) if first.stream_id == document else (second, first)
    reading = asyncio.create_task(world.run(world.through, pdf))
    await wait_until(lambda: world.order == ["parsed"], "the other one is being read")
    await world.run(world.through, texts)
    assert world.order == ["parsed", "parsed", "left"]
    world.parses_long.set()
    await reading
    assert isinstance(await world.mill.document(long), Indexed)
    assert isinstance(await world.mill.document(document), Indexed)


async def test_text_that_cannot_be_read_gives_its_place_back() -> None:
    world = await a_world()
    document = await world.uploaded(" ")
    await world.run(world.through)
    assert isinstance(await world.mill.document(document), Failed)
    assert world.through._places._value == WorkerSettings().through_documents


async def test_a_step_that_is_not_done_comes_by_its_inbox_and_fails_there() -> None:
    world = await a_world(CountingEmbedder(1, 2))
    document = await world.uploaded()
    await world.run(world.through)
    assert isinstance(await world.mill.document(document), Chunked)
    assert await world.waiting() == {Step.EMBED: 1}
    await world.run(world.steps[Step.EMBED])
    (failed,) = [one for one in await world.mill.history(document) if isinstance(one, facts.StepFailed)]
    assert (failed.step, failed.attempt, failed.code) == (Step.EMBED, 1, "provider_500")
    await world.come_due()
    await world.run(world.steps[Step.EMBED])
    await world.run(world.steps[Step.INDEX])
    assert isinstance(await world.mill.document(document), Indexed)
    assert await world.texts() == [TEXT.strip()]


async def test_where_the_index_is_away_what_was_embedded_is_told_and_not_paid_again() -> None:
    class Away(MemoryIndex):
        async def upsert(self, table: IndexTable, document_id: str, rows: Sequence[IndexRow], *, fence: int = 0) -> int:
            raise IndexUnavailable("away")

    embedder = CountingEmbedder()
    world = await a_world(embedder, Away())
    document = await world.uploaded()
    await world.run(world.through)
    assert isinstance(await world.mill.document(document), Embedded)
    assert (await world.waiting(), len(embedder.batches)) == ({Step.INDEX: 1}, 1)


async def test_more_chunks_than_a_batch_are_embedded_batch_by_batch_by_the_step_itself() -> None:
    world = await a_world()
    document = await world.uploaded(TEXT * 400)
    await world.run(world.through)
    state = await world.mill.document(document)
    assert isinstance(state, Chunked)
    assert state.chunks.chunks > BATCH
    assert await world.waiting() == {Step.EMBED: 1}
    await world.run(world.steps[Step.EMBED])
    assert isinstance(await world.mill.document(document), Embedded)


async def test_a_large_document_goes_by_the_inboxes() -> None:
    world = ThroughWorld(bytes_max=len(TEXT) - 1)
    await world.mill.create()
    document = await world.uploaded()
    await world.run(world.through)
    state = await world.mill.document(document)
    assert isinstance(state, Parsed)
    assert SEPARATOR not in state.text.text_blob
    assert await world.waiting() == {Step.CHUNK: 1}


async def test_whoever_dies_under_way_has_told_nothing_and_the_next_one_goes_step_by_step() -> None:
    world = await a_world()
    document = await world.uploaded()
    await world.die_at_the_rows()
    assert kinds(await world.mill.history(document)) == ["DocumentAccepted", "StepStarted"]
    assert await world.texts() == [TEXT.strip()], "behind the back of the log"

    await world.run(world.through, await world.claimed())
    assert await world.waiting() == {Step.CHUNK: 1}
    for step in STEPS_IN_TURN:
        await world.run(world.steps[step])
    assert isinstance(await world.mill.document(document), Indexed)
    assert await world.texts() == [TEXT.strip()], "once"


async def test_no_step_counts_of_a_turn_that_was_taken_over_at_whatever_step_the_other_is() -> None:
    index = InterruptedIndex()
    world = await a_world(index=index)
    document = await world.uploaded()

    async def is_taken_for_dead() -> None:
        claimed = await world.claimed()
        other = DocumentDeliveries(world.steps[Step.PARSE], world.mill.bench("worker-2"), world.knowledge_bases)
        await other.carry_out(claimed, 1)
        await world.mill.say(document, StartStep(step=Step.CHUNK, attempt=1, worker="worker-2"))

    index.meanwhile.append(is_taken_for_dead)
    await world.run(world.through)
    assert kinds(await world.mill.history(document))[-2:] == ["DocumentParsed", "StepStarted"], "worker-2 is at it"
    assert await world.waiting() == {Step.CHUNK: 1}


@pytest.mark.parametrize("command", [CancelDocument(), RemoveDocument()])
async def test_what_nobody_wants_any_more_is_taken_back(command: CancelDocument | RemoveDocument) -> None:
    index = InterruptedIndex()
    world = await a_world(index=index)
    document = await world.uploaded()

    async def meanwhile() -> None:
        await world.mill.say(document, command)

    index.meanwhile.append(meanwhile)
    await world.run(world.through)
    assert await world.texts() == []
    told = kinds(await world.mill.history(document))
    assert "DocumentParsed" not in told
    assert "DocumentIndexed" not in told


async def test_rows_of_the_dead_are_taken_back_by_whoever_lays_the_delivery_aside() -> None:
    world = await a_world()
    document = await world.uploaded()
    await world.die_at_the_rows()
    await world.mill.say(document, CancelDocument())
    claimed = await world.claimed()
    world.through._alone = world.steps_on(world.blobs)
    await world.run(world.through, claimed)
    assert isinstance(await world.mill.document(document), Cancelled)
    assert await world.texts() == []


async def rows_of_the_dead(world: ThroughWorld) -> DocumentId:
    """A small document that is being chunked: who went through all steps with it before died ahead of telling."""
    document = await world.uploaded()
    await world.die_at_the_rows()
    assert await world.texts() == [TEXT.strip()]
    await world.run(world.through, await world.claimed())
    return document


@pytest.mark.parametrize("ends_at", [Step.CHUNK, Step.EMBED])
async def test_rows_of_the_dead_are_taken_back_where_the_document_is_cancelled_at_a_later_step(ends_at: Step) -> None:
    world = await a_world()
    document = await rows_of_the_dead(world)
    steps = behind_a_turn(world.steps_on(world.blobs))
    if ends_at is Step.EMBED:
        await world.run(steps[Step.CHUNK])
    await world.mill.say(document, CancelDocument())
    await world.run(steps[ends_at])
    assert isinstance(await world.mill.document(document), Cancelled)
    assert await world.texts() == []
    assert await world.waiting() == {}


async def test_rows_of_the_dead_are_taken_back_where_the_document_fails_at_a_later_step() -> None:
    class Refusing(CountingEmbedder):
        async def embed_passages(self, texts: Sequence[str]) -> Vectors:
            raise EmbeddingError("provider_401", "no such key", is_permanent=True)

    world = await a_world()
    document = await rows_of_the_dead(world)
    world.embedder = Refusing()
    steps = behind_a_turn(world.steps_on(world.blobs))
    await world.run(steps[Step.CHUNK])
    await world.run(steps[Step.EMBED])
    assert isinstance(await world.mill.document(document), Failed)
    assert await world.texts() == []
    assert await world.waiting() == {}


async def test_each_step_is_told_with_its_own_times() -> None:
    world = await a_world()
    document = await world.uploaded()
    watching = Watching()
    bench = msgspec.structs.replace(world.mill.bench(), observer=watching)

    class Slow(CountingEmbedder):
        async def embed_passages(self, texts):  # type: ignore[no-untyped-def]
            world.mill.clock.advance(7)
            return await super().embed_passages(texts)

    world.embedder = Slow()
    deliveries = DocumentDeliveries(world.through, bench, KnowledgeBases(world.mill.log, clock_us=world.mill.clock))
    await deliveries.carry_out(await world.mill.take_one(Step.PARSE), 1)
    state = await world.mill.document(document)
    assert isinstance(state, Indexed)
    took_us = {one.step: (one.finished_at_us or 0) - one.started_at_us for one in state.record.stages}
    assert took_us == {Step.PARSE: 0, Step.CHUNK: 0, Step.EMBED: 7_000_000, Step.INDEX: 0}
    assert [(one.step, one.outcome) for one in watching.told] == [(step, "done") for step in STEPS]
    assert {one.step: one.ran_us - one.began_us for one in watching.told}[Step.EMBED] == 7_000_000


async def test_an_error_of_the_first_step_is_that_step_s_to_answer() -> None:
    world = await a_world()
    document = await world.uploaded(" ")
    await world.run(world.through)
    (failed,) = [one for one in await world.mill.history(document) if isinstance(one, facts.DocumentFailed)]
    assert (failed.step, failed.code) == (Step.PARSE, "no_text")


async def test_a_provider_that_refuses_for_good_is_asked_once() -> None:
    class Refusing(CountingEmbedder):
        async def embed_passages(self, texts):  # type: ignore[no-untyped-def]
            self.batches.append(list(texts))
            raise EmbeddingError("provider_401", "wrong key", is_permanent=True)

    embedder = Refusing()
    world = await a_world(embedder)
    document = await world.uploaded()
    await world.run(world.through)
    (failed,) = [one for one in await world.mill.history(document) if isinstance(one, facts.DocumentFailed)]
    assert (failed.step, failed.code, len(embedder.batches)) == (Step.EMBED, "provider_401", 1)
    assert await world.waiting() == {}
    assert (await world.mill.depth(Step.PARSE)).pending == 0


class Crowd(CountingEmbedder):
    """Answers nobody until `wanted` documents are being embedded at a time, or it is told to go on."""

    def __init__(self, wanted: int, remote: Remote | None = None) -> None:
        super().__init__()
        self.remote = remote
        self.most = 0
        self.is_full = asyncio.Event()
        self._wanted = wanted
        self._here = 0

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        self._here += 1
        self.most = max(self.most, self._here)
        if self._here == self._wanted:
            self.is_full.set()
        async with asyncio.timeout(20):
            await self.is_full.wait()
        self._here -= 1
        return await super().embed_passages(texts)


async def test_a_local_model_gets_all_documents_that_are_on_their_way() -> None:
    crowd = Crowd(wanted=12)
    world = await a_world(crowd)
    for _ in range(12):
        await world.uploaded()
    deliveries = await world.mill.take(Step.PARSE, count=12)
    await asyncio.gather(*(world.run(world.through, one) for one in deliveries))
    assert crowd.most == 12


async def test_a_provider_is_called_for_as_many_documents_at_a_time_as_its_slots() -> None:
    crowd = Crowd(wanted=2, remote=Remote("provider", 64))
    world = await a_world(crowd)
    for _ in range(12):
        await world.uploaded()
    deliveries = await world.mill.take(Step.PARSE, count=12)
    await asyncio.gather(*(world.run(world.through, one) for one in deliveries))
    assert crowd.most == 2
