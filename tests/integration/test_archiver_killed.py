"""A real projector role is killed between any two steps of its archiver; the next one leaves the archive whole."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from blobs.local import LocalBlobStore
from events.archive import segments_prefix
from events.failpoints import Place
from events.keys import Keys, tags
from events.pointer import INBOX_CODES
from events.redis_archive import RedisArchive
from events.redis_border import execute
from events.redis_clients import Clients
from events.redis_log import RedisLog
from events.redis_setup import open_installation
from projections.archive_reader import Archive
from projections.history import ArchivedLog
from tests.servers.redis_process import RedisProcess
from tests.servers.service_process import environment_with
from tests.waiting import wait_for
from tests.workshop import Workshop

pytest_plugins = ("tests.servers.redis",)

WAIT_S_MAX = 60.0
PLACES = [place for place in Place if place.value.startswith("archiver.")]


class Role:
    """`millstream projector` as a process, on a data directory, that archives whatever is a second old."""

    def __init__(self, redis_url: str, directory: Path) -> None:
        self._directory = directory
        self._variables = {
            "MILLSTREAM_REDIS_URL": redis_url,
            "MILLSTREAM_DATA_DIR": str(directory),
            "MILLSTREAM_ARCHIVE_AFTER_S": "1",
            "MILLSTREAM_ARCHIVE_RETENTION_S": "0",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **variables: str) -> None:
        with (self._directory / "role.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "millstream", "projector"],
                env=environment_with(self._variables | variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def ended(self) -> int:
        assert self._process is not None
        return await asyncio.wait_for(asyncio.to_thread(self._process.wait), WAIT_S_MAX)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(WAIT_S_MAX)


@pytest.fixture
async def role(redis_server: RedisProcess, redis_clients: Clients, tmp_path: Path) -> AsyncIterator[Role]:
    started = Role(redis_server.url, tmp_path)
    yield started
    started.stop()


async def work_is_taken(clients: Clients, keys: Keys) -> None:
    for step, lane in INBOX_CODES:
        await execute(clients.commands, "XTRIM", keys.inbox(0, step, lane), "MAXLEN", 0)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.value)
async def test_an_archiver_that_was_killed_is_taken_up_where_it_stopped(
    role: Role, redis_clients: Clients, tmp_path: Path, place: Place
) -> None:
    keys = await open_installation(redis_clients.commands, partitions=1)
    log = RedisLog(redis_clients.commands, redis_clients.blocking, keys)
    workshop = Workshop(log)
    task, (document, _) = await workshop.through(await workshop.create(), 2)
    before, history = await log.read(0), await log.history(document)
    await work_is_taken(redis_clients, keys)

    role.start(MILLSTREAM_FAILPOINTS=f"{place.value}=kill9")
    assert await role.ended() == -signal.SIGKILL

    blobs = LocalBlobStore(tmp_path / "blobs")
    archive = Archive(RedisArchive(redis_clients.commands, keys), blobs)
    assert await ArchivedLog(log, archive).read(0) == before
    await execute(redis_clients.commands, "DEL", keys.archiver(0))  # its lease has ended
    role.start()
    await wait_for(lambda: is_all_archived(archive), "the whole log is archived and trimmed", WAIT_S_MAX)
    reader = ArchivedLog(log, Archive(archive.store, blobs))
    assert await reader.read(0) == before
    assert await reader.history(document) == history
    assert len(await reader.history(task)) == 2
    assert await reader.verify(0) == []
    stored = [info.key async for info in blobs.list(segments_prefix(tags(1)[0]))]
    assert stored == [segment.key for segment in await reader.segments(0)]
    await blobs.close()


async def is_all_archived(archive: Archive) -> bool:
    state = await archive.store.state(0)
    return state.trimmed_number == state.head.number
