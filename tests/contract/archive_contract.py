"""What log and archive must be together. A test file for each pair of stores provides the fixture `world`."""

import asyncio
from typing import Any

import pytest

from blobs.errors import BlobExists
from events.archive import Mark, StreamVersion, segments_prefix
from events.envelope import Envelope, Position
from events.errors import ArchiveRefused, EntriesArchived, HistoryArchived
from events.failpoints import Action, FailpointReached, Failpoints, Place, Rule, arm
from events.keys import tags
from events.log import Appended, Conflict, Unreadable
from events.steps import Step
from projections.archiver import TRIM_ENTRIES
from projections.progress import Progress
from tests.contract.archive_world import ArchiveWorld, archive_all, archiver, fresh, read_all, settle
from tests.contract.event_log_contract import PARSED, STARTED, document_write
from tests.contract.log_world import PARTITIONS, inbox_key
from tests.event_samples import accepted, new_document, new_knowledge_base, new_task
from tests.event_samples import write as write_of

KB = new_knowledge_base()
TASK = new_task()
TAG = tags(PARTITIONS)[0]


async def append(world: ArchiveWorld, document: str, expected: int, count: int = 1) -> None:
    events = [STARTED] * count
    answer = await world.log.append([document_write(document, expected, *events)])
    assert isinstance(answer, Appended)


async def interleave(world: ArchiveWorld, documents: int = 5, rounds: int = 6) -> list[str]:
    """Events of several streams in turns, so that each has some in every segment."""
    streams: list[str] = [new_document() for _ in range(documents)]
    for version in range(rounds):
        for stream in streams:
            await append(world, stream, version)
    return streams


async def damage(world: ArchiveWorld, key: str, data: bytes) -> None:
    await world.blobs.delete(key)
    await world.blobs.put_new(key, data)


class ArchiveContract:
    """Needs the fixture `world`: an empty log with an empty archive."""

    async def test_what_left_the_log_is_read_as_if_it_were_there(self, world: ArchiveWorld) -> None:
        streams = await interleave(world)
        before = await read_all(world.log)
        histories = [await world.log.history(stream) for stream in streams]
        done = await archive_all(world, segment_events_max=7)
        assert (done.segments, done.events, done.trimmed) == (5, 30, 30)
        assert await world.store.entries(0, after=None, limit=10) == []
        for limit in (1, 3, 7, 8, 1_000):
            assert await read_all(fresh(world), limit=limit) == before
        for stream, history in zip(streams, histories, strict=True):
            assert await fresh(world).history(stream) == history
            assert await world.log.history(stream, after_version=4) == history[4:]
            assert await world.log.history(stream, after_version=6) == []
        for entry in before:
            page = await fresh(world).read(0, after=entry.position, limit=2)
            assert page == before[(entry.number or 0) : (entry.number or 0) + 2]

    async def test_the_log_alone_says_that_it_lacks_them_rather_than_hiding_it(self, world: ArchiveWorld) -> None:
        streams = await interleave(world)
        end = (await world.log.head(0)).position
        await archive_all(world)
        with pytest.raises(EntriesArchived):
            await world.plain.log.read(0)
        with pytest.raises(HistoryArchived) as caught:
            await world.plain.log.history(streams[0], after_version=2)
        assert caught.value.archived_versions == 6
        assert await world.plain.log.read(0, after=end) == []

    async def test_streams_go_on_where_the_archive_ends(self, world: ArchiveWorld) -> None:
        first, second = await interleave(world, documents=2, rounds=3)
        written = await world.log.history(first)
        await archive_all(world)
        assert await world.log.versions([first, second, new_document()]) == [3, 3, 0]
        for expected in (0, 1, 4):
            assert await world.log.append([document_write(first, expected, PARSED)]) == Conflict(first, 3)
        await append(world, first, 3, count=2)
        assert [found.version for found in await fresh(world).history(first)] == [1, 2, 3, 4, 5]
        assert (await fresh(world).history(first))[:3] == written
        await archive_all(world)
        await append(world, first, 5)
        await append(world, second, 3)
        await archive_all(world)
        history = await fresh(world).history(first)
        assert [found.version for found in history] == [1, 2, 3, 4, 5, 6]
        assert history[:3] == written
        assert [found.version for found in await fresh(world).history(second)] == [1, 2, 3, 4]
        assert [found.number for found in await read_all(fresh(world))] == list(range(1, 11))

    async def test_a_repeated_append_of_archived_events_is_told_where_the_stream_stands(
        self, world: ArchiveWorld
    ) -> None:
        """The writer then reads the history and finds what it had written."""
        write = document_write(new_document(), 0, STARTED, PARSED)
        await world.log.append([write])
        await archive_all(world)
        assert await world.log.append([write]) == Conflict(write.stream_id, 2)
        await append(world, write.stream_id, 2)
        assert await world.log.append([write]) == Conflict(write.stream_id, 3)
        ids = [found.event_id for found in await world.log.history(write.stream_id)]
        assert ids[:2] == [envelope.event_id for envelope in write.envelopes]

    async def test_a_stream_that_is_half_archived_is_read_from_both(self, world: ArchiveWorld) -> None:
        document, other = new_document(), new_document()
        await append(world, document, 0, count=3)
        await append(world, other, 0, count=4)
        await archive_all(world)
        await append(world, document, 3, count=3)
        await archiver(world).advance(everything=True)
        await world.project(8)
        await settle(world)
        await archiver(world).advance()
        assert (await world.store.state(0)).trimmed_number == 8
        history = await fresh(world).history(document)
        assert [(found.version, found.number) for found in history] == [(1, 1), (2, 2), (3, 3), (4, 8), (5, 9), (6, 10)]
        assert await world.log.history(document, after_version=4) == history[4:]
        place = await world.store.positions([StreamVersion(document, version) for version in range(3, 8)])
        assert place == [None, history[3].position, history[4].position, history[5].position, None]

    async def test_an_entry_that_is_no_envelope_is_kept_as_it_is(self, world: ArchiveWorld) -> None:
        await append(world, new_document(), 0)
        await world.plain.put_raw(0, b"junk \xff")
        await append(world, new_document(), 0)
        before = await read_all(world.log)
        await archive_all(world)
        assert await read_all(fresh(world)) == before
        assert isinstance(before[1], Unreadable)
        assert before[1].payload == b"junk \xff"

    async def test_a_segment_is_made_when_there_are_enough_events_or_the_oldest_is_old_enough(
        self, world: ArchiveWorld
    ) -> None:
        await append(world, new_document(), 0, count=5)
        patient = archiver(world, segment_events_max=3, after_s=3_600)
        assert (await patient.advance()) is not None
        assert (await world.store.state(0)).mark.number == 3
        await settle(world)
        hasty = archiver(world, segment_events_max=3, after_s=0)
        assert (await hasty.advance()) is not None
        assert [segment.count for segment in await world.log.segments(0)] == [3, 2]
        assert await archiver(world).advance(everything=True) is not None
        assert len(await world.log.segments(0)) == 2

    async def test_what_somebody_asked_for_is_archived_although_it_is_young_and_few(self, world: ArchiveWorld) -> None:
        young: dict[str, Any] = {"segment_events_max": 100, "after_s": 3_600}
        streams = await interleave(world, documents=2, rounds=2)
        early = await archiver(world, **young).advance()
        assert early is not None
        assert early.events == 0
        asked = await world.store.ask(0)
        assert (asked.head.number, asked.mark.number) == (4, 0)
        assert (await world.store.state(0)).asked_number == 4
        done = await archiver(world, **young).advance()
        assert done is not None
        assert (done.segments, done.events) == (1, 4)
        await append(world, streams[0], 2)
        later = await archiver(world, **young).advance()
        assert later is not None
        assert later.events == 0, "what came after it was asked waits as ever"

    async def test_that_a_partition_was_verified_is_known_from_then_on(self, world: ArchiveWorld) -> None:
        assert await world.store.verified(0) is None
        await interleave(world)
        await archive_all(world, segment_events_max=10)
        before_ms = (await world.store.state(0)).now_ms
        assert await fresh(world).verify(0) == []
        found = await world.store.verified(0)
        assert found is not None
        assert (found.segments, found.last_number, found.damages) == (3, 30, 0)
        assert await fresh(world).verify(0, unpacks=False) == []
        assert await world.store.verified(0) == found, "who compares digests alone has not verified it"
        assert before_ms <= found.at_ms <= (await world.store.state(0)).now_ms
        segment = (await world.store.segments(0))[1]
        await damage(world, segment.key, b"not a segment")
        assert len(await fresh(world).verify(0)) == 1
        again = await world.store.verified(0)
        assert again is not None
        assert again.damages == 1
        assert await world.store.verified(1) is None

    async def test_what_is_not_in_the_views_stays_in_the_log(self, world: ArchiveWorld) -> None:
        await append(world, new_document(), 0, count=6)
        await world.project(4)
        await settle(world)
        done = await archiver(world).advance(everything=True)
        assert done is not None
        assert (done.events, done.trimmed, done.held_by) == (6, 4, "views")
        floor = await world.store.floor(0, retention_ms=0)
        beyond = type(floor)(number=6, before=floor.before, held_by="")
        assert await world.store.trim(0, beyond, limit=10) == 0, "whatever the floor says"

    async def test_what_is_not_archived_stays_in_the_log(self, world: ArchiveWorld) -> None:
        await append(world, new_document(), 0, count=6)
        await world.project(6)
        await settle(world)
        await archiver(world, segment_events_max=4, after_s=3_600).advance()
        assert (await world.store.state(0)).trimmed_number == 4
        floor = await world.store.floor(0, retention_ms=0)
        assert await world.store.trim(0, type(floor)(number=6, before=floor.before, held_by=""), limit=10) == 0

    async def test_what_is_young_stays_in_the_log_although_it_is_archived(self, world: ArchiveWorld) -> None:
        await append(world, new_document(), 0, count=3)
        done = await archive_all(world, retention_s=3_600)
        assert (done.events, done.trimmed) == (3, 0)
        assert len(await world.plain.log.read(0)) == 3

    async def test_what_waits_in_an_inbox_stays_in_the_log_with_all_that_follows(self, world: ArchiveWorld) -> None:
        await append(world, new_document(), 0, count=3)
        waiting = new_document()
        await world.log.append([document_write(waiting, 0, accepted(TASK, KB))])
        await append(world, new_document(), 0, count=3)
        done = await archive_all(world)
        assert (done.events, done.trimmed, done.held_by) == (7, 3, "inbox parse:interactive")
        (delivery,) = await world.plain.inbox.take([inbox_key(Step.PARSE)], consumer="w", count=1)
        assert (await archive_all(world)).trimmed == 0, "it is in somebody's hands"
        await world.plain.inbox.acknowledge(delivery)
        assert (await archive_all(world)).trimmed == 4

    async def test_a_mark_that_moved_is_not_moved_again(self, world: ArchiveWorld) -> None:
        await append(world, new_document(), 0, count=3)
        await archive_all(world, segment_events_max=2)
        first, second = await world.log.segments(0)
        after_first = Mark(first.last_number, first.last, first.digest)
        assert await world.store.advance(0, after_first, second), "said again"
        assert not await world.store.advance(0, Mark(), first)
        assert not await world.store.advance(0, after_first, first)
        assert (await world.store.state(0)).mark == Mark(3, second.last, second.digest)
        assert await world.log.segments(0) == [first, second]

    async def test_one_process_at_a_time_archives_a_partition(self, world: ArchiveWorld) -> None:
        await append(world, new_document(), 0)
        assert await world.store.hold(0, holder="other", lease_ms=60_000)
        assert await archiver(world).advance(everything=True) is None
        assert await world.store.hold(0, holder="other", lease_ms=60_000), "renewed"
        assert await world.store.hold(1, holder="archiver", lease_ms=60_000), "another partition"
        await world.store.let_go(0, holder="archiver")
        assert await archiver(world).advance(everything=True) is None
        await world.store.let_go(0, holder="other")
        assert await archiver(world).advance(everything=True) is not None

    async def test_two_archivers_that_know_nothing_of_each_other_make_one_archive(self, world: ArchiveWorld) -> None:
        streams = await interleave(world)
        await world.project(30)
        await settle(world)
        makers = [archiver(world, holder="same", segment_events_max=events) for events in (4, 7)]
        outcomes = await asyncio.gather(*(one.advance(everything=True) for one in makers), return_exceptions=True)
        assert [one for one in outcomes if isinstance(one, BaseException) and not isinstance(one, ArchiveRefused)] == []
        await archive_all(world)
        assert [found.number for found in await read_all(fresh(world))] == list(range(1, 31))
        assert [len(await fresh(world).history(stream)) for stream in streams] == [6] * 5
        assert await world.log.verify(0) == []

    @pytest.mark.parametrize(
        "place",
        [
            Place.ARCHIVER_SEGMENT_STORED,
            Place.ARCHIVER_MANIFEST_STORED,
            Place.ARCHIVER_BEFORE_TRIM,
            Place.ARCHIVER_MID_TRIM,
        ],
    )
    async def test_whoever_dies_in_between_leaves_something_that_the_next_one_goes_on_with(
        self, world: ArchiveWorld, place: Place
    ) -> None:
        streams = await interleave(world)
        before = await read_all(world.log)
        arm(Failpoints((Rule(place, Action.RAISE, 0.0, 1),)))
        try:
            with pytest.raises(FailpointReached):
                await archive_all(world, segment_events_max=11)
        finally:
            arm(Failpoints())
        assert await read_all(fresh(world)) == before
        await append(world, streams[0], 6)
        await archive_all(world, segment_events_max=20)
        assert (await read_all(fresh(world)))[:-1] == before
        assert (await world.log.segments(0))[0].count == 11, "what was stored is used"
        assert await world.log.verify(0) == []
        blobs = [info.key async for info in world.blobs.list(segments_prefix(TAG))]
        assert blobs == [segment.key for segment in await world.log.segments(0)]
        assert await world.store.entries(0, after=None, limit=1) == []

    async def test_a_foreign_segment_in_the_way_is_neither_used_nor_overwritten(self, world: ArchiveWorld) -> None:
        await append(world, new_document(), 0, count=4)
        await archive_all(world, segment_events_max=4)
        (segment,) = await world.log.segments(0)
        theirs = await world.blobs.get(segment.key)
        await append(world, new_document(), 0, count=4)
        key = segments_prefix(TAG) + f"{5:016d}_{8:016d}.seg"
        await world.blobs.put_new(key, theirs)
        with pytest.raises((ArchiveRefused, Exception), match="seg"):
            await archive_all(world)
        assert await world.blobs.get(key) == theirs
        assert (await world.store.state(0)).mark.number == 4
        assert len(await world.store.entries(0, after=None, limit=10)) == 4

    async def test_a_segment_that_reaches_beyond_the_log_is_refused(self, world: ArchiveWorld) -> None:
        """As after a log that lost its end: what would follow now is another past."""
        await append(world, new_document(), 0, count=2)
        await world.blobs.put_new(segments_prefix(TAG) + f"{1:016d}_{9:016d}.seg", b"whatever")
        with pytest.raises(ArchiveRefused, match="lost its end"):
            await archive_all(world)

    async def test_a_long_log_is_trimmed_in_parts(self, world: ArchiveWorld) -> None:
        knowledge_base, task = new_knowledge_base(1), new_task(1)
        documents = [new_document(1) for _ in range(TRIM_ENTRIES // 40 + 10)]
        for document in documents:
            events = [STARTED] * 40
            wanted = write_of(document, 0, *events, knowledge_base=knowledge_base, task=task)
            assert isinstance(await world.log.append([wanted]), Appended)
        done = await archive_all(world, partition=1)
        assert done.trimmed == len(documents) * 40 > TRIM_ENTRIES
        assert len(await read_all(fresh(world), partition=1)) == done.trimmed
        assert [found.version for found in await fresh(world).history(documents[-1])] == list(range(1, 41))

    async def test_a_sound_archive_is_verified_without_a_word(self, world: ArchiveWorld) -> None:
        assert await world.log.verify(0) == []
        await interleave(world)
        await archive_all(world, segment_events_max=8)
        told: list[Progress] = []
        assert await fresh(world).verify(0, told.append) == []
        assert told[-1] == Progress(30, 30)

    async def test_verifying_names_every_segment_that_is_not_what_was_written(self, world: ArchiveWorld) -> None:
        await interleave(world)
        await archive_all(world, segment_events_max=5)
        keys = [segment.key for segment in await world.log.segments(0)]
        sound = [await world.blobs.get(key) for key in keys]
        flipped = bytearray(sound[1])
        flipped[-3] ^= 4
        await damage(world, keys[1], bytes(flipped))
        await damage(world, keys[2], sound[2][:-10])
        await damage(world, keys[3], sound[4])
        await world.blobs.delete(keys[5])
        damages = await fresh(world).verify(0)
        assert await fresh(world).verify(0, unpacks=False) == damages, "digests stand for every byte"
        assert [found.segment for found in damages] == [keys[1], keys[2], keys[3], keys[5]]
        assert [found.offset is not None for found in damages] == [True, True, True, False]
        assert "missing" in damages[-1].what
        with pytest.raises(Exception, match=keys[1]):
            await read_all(fresh(world))
        for key, data in zip(keys, sound, strict=True):
            await world.blobs.put(key, data)
        assert await fresh(world).verify(0) == []

    async def test_positions_behind_the_archive_are_those_of_the_log(self, world: ArchiveWorld) -> None:
        await append(world, new_document(), 0, count=3)
        await archive_all(world)
        await append(world, new_document(), 0, count=2)
        found = await read_all(fresh(world))
        places = [entry.position for entry in found if isinstance(entry, Envelope)]
        assert all(isinstance(place, Position) for place in places)
        assert places == sorted(place for place in places if place is not None)
        with pytest.raises(BlobExists):
            await world.blobs.put_new((await world.log.segments(0))[0].key, b"")
