"""A log that is archived and trimmed at random beside one that keeps everything: readers must see no difference.

Positions differ where each store has its own clock, so events are compared by their dense numbers.
"""

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from blobs.local import LocalBlobStore
from blobs.memory import MemoryBlobStore
from events.envelope import Envelope, Event, Position
from events.failpoints import Action, FailpointReached, Failpoints, Place, Rule, arm
from events.log import Appended, Unreadable, Write
from events.redis_border import execute
from events.redis_clients import make_clients
from events.steps import Step
from tests.contract.archive_world import (
    ArchiveWorld,
    MemoryArchiveWorld,
    RedisArchiveWorld,
    archiver,
    fresh,
    read_all,
    settle,
)
from tests.contract.event_log_contract import PARSED, STARTED, document_write
from tests.contract.log_world import EVENTS_PER_STREAM_MAX, LogWorld, MemoryWorld, inbox_key
from tests.event_samples import new_document
from tests.machines import examples_driven
from tests.servers.redis_process import RedisProcess

pytest_plugins = ("tests.servers.redis",)

T = TypeVar("T")
STREAMS: Final = 4
PLACES: Final = [place for place in Place if place.value.startswith("archiver.")]


class ArchiveMachine(RuleBasedStateMachine):
    """One example; `make_world` gives it an empty log with an empty archive."""

    server_url = ""

    @initialize()
    def open(self) -> None:
        self.runner = asyncio.Runner()
        self.clients = make_clients(self.server_url) if self.server_url else None
        self.directory = tempfile.TemporaryDirectory(prefix="ms-archive-")
        self.kept = MemoryWorld()
        self.world: ArchiveWorld = self.run(self.make_world())
        self.streams = [new_document() for _ in range(STREAMS)]
        self.versions: dict[str, int] = dict.fromkeys(self.streams, 0)
        self.written: list[Write] = []
        self.reader = fresh(self.world)

    async def make_world(self) -> ArchiveWorld:
        if self.clients is None:
            return MemoryArchiveWorld(MemoryBlobStore())
        await execute(self.clients.commands, "FLUSHALL")
        return await RedisArchiveWorld.begun(self.clients, LocalBlobStore(Path(self.directory.name)))

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.run(self.world.blobs.close())
            if self.clients is not None:
                self.run(self.clients.aclose())
            self.runner.close()
            self.directory.cleanup()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(call)

    @rule(stream=st.integers(0, STREAMS - 1), count=st.integers(1, 5), miss=st.sampled_from([0, 0, 0, 1, -1]))
    def append(self, stream: int, count: int, miss: int) -> None:
        document = self.streams[stream]
        expected = max(0, self.versions[document] + miss)
        if expected + count > EVENTS_PER_STREAM_MAX:
            return
        events: list[Event] = [STARTED, PARSED] * 3
        is_next = expected == self.versions[document]
        assert self._append(document_write(document, expected, *events[:count])) == is_next

    @rule(data=st.data())
    def repeat_an_append(self, data: st.DataObject) -> None:
        """It may be told of a conflict where the archive has its events, never be written again."""
        if self.written:
            self.run(self.world.log.append([data.draw(st.sampled_from(self.written))]))

    @rule()
    def put_junk(self) -> None:
        self.run(self.kept.put_raw(0, b"junk"))
        self.run(self.world.plain.put_raw(0, b"junk"))

    @rule(share=st.floats(0, 1))
    def project(self, share: float) -> None:
        number = self.run(self.world.log.head(0)).number
        self.run(self.world.project(int(number * share)))

    @rule(events_max=st.integers(1, 9), everything=st.booleans(), place=st.sampled_from([None, None, *PLACES]))
    def archive(self, events_max: int, everything: bool, place: Place | None) -> None:
        """Possibly dying in the middle."""
        self.run(settle(self.world))
        arm(Failpoints(() if place is None else (Rule(place, Action.RAISE, 0.0, 1),)))
        try:
            self.run(archiver(self.world, segment_events_max=events_max).advance(everything=everything))
        except FailpointReached:
            pass
        finally:
            arm(Failpoints())

    @rule(limit=st.integers(1, 12))
    def take_work_out(self, limit: int) -> None:
        """What waits in an inbox keeps the log: workers take it now and then."""
        for world in (self.kept, self.world.plain):
            self.run(_take(world, limit))

    @invariant()
    def nobody_sees_a_difference(self) -> None:
        if not hasattr(self, "world"):
            return
        wanted = self.run(self.kept.log.read(0))
        for log in (self.reader, fresh(self.world)):
            found = self.run(read_all(log, limit=7))
            assert list(map(_timeless, found)) == list(map(_timeless, wanted))
        for stream in self.streams:
            for after in (0, 2):
                mine = self.run(self.reader.history(stream, after_version=after))
                theirs = self.run(self.kept.log.history(stream, after_version=after))
                assert list(map(_timeless, mine)) == list(map(_timeless, theirs))
        assert self.run(self.world.log.versions(self.streams)) == self.run(self.kept.log.versions(self.streams))
        assert self.run(fresh(self.world).verify(0)) == []

    def _append(self, write: Write) -> bool:
        one = self.run(self.kept.log.append([write]))
        other = self.run(self.world.log.append([write]))
        assert type(one) is type(other)
        is_new = isinstance(one, Appended)
        if is_new:
            self.versions[write.stream_id] += len(write.envelopes)
            self.written.append(write)
        return is_new


async def _take(world: LogWorld, limit: int) -> None:
    for delivery in await world.inbox.take([inbox_key(Step.CHUNK)], consumer="w", count=limit):
        await world.inbox.acknowledge(delivery)


def _timeless(entry: Envelope | Unreadable) -> Envelope | Unreadable:
    if isinstance(entry, Envelope):
        return msgspec.structs.replace(entry, position=None)
    return msgspec.structs.replace(entry, position=Position(0, 0, 0), reason="")


def test_an_archived_log_in_memory_reads_like_one_that_keeps_everything() -> None:
    assert examples_driven(ArchiveMachine, examples_max=30, steps_max=25) >= 30


@pytest.mark.timeout(300)
def test_an_archived_log_on_redis_reads_like_one_that_keeps_everything(redis_server: RedisProcess) -> None:
    class Machine(ArchiveMachine):
        server_url = redis_server.url

    assert examples_driven(Machine, examples_max=12, steps_max=25) >= 12
