"""Upkeep on a real Redis that loses the end of its log: noticed, made good, and only then anything is deleted."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from domain.commands import CreateKnowledgeBase
from domain.deciders import knowledge_base_decider
from domain.handle import handle
from domain.sidecar import source_key
from events.ids import KnowledgeBaseId, TaskId, document_id
from events.redis_border import execute
from events.redis_turns import RedisTurns
from ingest.knowledge_bases import while_active
from ingest.multipart import StoredFile
from ingest.options import UploadOptions
from ingest.services import IngestServices
from ingest.submit import Submission, submit
from ingest.unclaimed import UnclaimedBlobs
from knowledge.media_type import MediaType
from millstream.admission.door import Standing
from millstream.bootstrap import queries_of
from millstream.errors import Stop
from millstream.health import health_routes
from millstream.ingesting import ingest_services
from millstream.installation import tell_of_risks
from millstream.settings import Settings
from millstream.stores import Stores, clock_us, open_stores, views_of
from millstream.tidying import collect_now
from millstream.upkeep import Turn, Upkeep
from millstream.views_check import check_views
from projections.system import System
from tests.servers.redis_process import RedisProcess, redis_binary
from tests.waiting import wait_for

pytest_plugins = ("tests.servers.redis",)


class World:
    def __init__(self, redis: RedisProcess, directory: Path, stores: Stores) -> None:
        self.redis = redis
        self.stores = stores
        self.services: IngestServices = ingest_services(stores, queries_of(stores))
        self._directory = directory

    async def bring_on(self) -> None:
        """No index is being built here."""

    def upkeep(self, holder: str = "one") -> Upkeep:
        return Upkeep(self.stores, self.services, bring_on=self.bring_on, holder=holder)

    async def create(self) -> KnowledgeBaseId:
        kb = self.services.ids.knowledge_base(self.stores.log.partitions)
        decider = knowledge_base_decider(kb)
        await handle(self.stores.log, decider, kb, [CreateKnowledgeBase(name="a")], self.services.context(kb, "me"))
        return kb

    async def upload(self, kb: KnowledgeBaseId) -> TaskId:
        task = self.services.ids.task(kb)
        async with UnclaimedBlobs(self.stores.blobs) as unclaimed:
            key = source_key(document_id(task, 0), self.services.ids.unique())
            blob = await unclaimed.put(key, b"text")
            stored = StoredFile(filename="a.txt", media_type=MediaType.TEXT, declared_media_type=None, blob=blob)
            submission = Submission(
                knowledge_base_id=kb,
                task_id=task,
                files=(stored,),
                options=UploadOptions(),
                idempotency_key=None,
                actor="me",
                guard=await while_active(self.stores.log, kb),
            )
            await submit(self.services, submission, unclaimed)
        return task

    async def loses_what(self, deed: Callable[[], Awaitable[TaskId]]) -> TaskId:
        """The server's file is cut to where it ended before the deed, as after a power cut."""
        await wait_for(self._is_written, "the server has written what it answered to")
        (file,) = (self._directory / "appendonlydir").glob("*.incr.aof")
        kept_bytes = file.stat().st_size
        task = await deed()
        self.redis.kill()
        with file.open("r+b") as cut:
            cut.truncate(kept_bytes)
        self.redis.start()
        await wait_for(self._answers, "the server answers again")
        assert await self.stores.log.versions([task]) == [0]
        return task

    async def _is_written(self) -> bool:
        """While a sync is under way the server keeps writes back for up to 2 s."""
        persistence = await self.stores.clients.commands.info("persistence")
        return int(persistence["aof_buffer_length"]) == 0

    async def _answers(self) -> bool:
        return bool(await self.stores.clients.commands.ping())

    async def is_accepted_by(self, upkeep: Upkeep, task: TaskId) -> None:
        async def looked() -> bool:
            await upkeep.look()
            return await self.stores.log.versions([task, document_id(task, 0)]) == [1, 1]

        await wait_for(looked, "the upload is accepted again")


@asynccontextmanager
async def opened(directory: Path, root: Path, *, fsync: str, **changes: Any) -> AsyncIterator[World]:
    redis = RedisProcess(redis_binary(), directory, "--appendfsync", fsync)
    redis.start()
    settings = Settings(
        redis_url=redis.url, data_dir=str(root), partitions=1, embedding="hash", reconcile_age_s=1, **changes
    )
    try:
        async with open_stores(settings) as stores:
            yield World(redis, directory, stores)
    finally:
        redis.stop()


async def test_what_a_server_lost_that_syncs_once_a_second_is_accepted_again(
    redis_directory: Path, tmp_path: Path
) -> None:
    async with opened(redis_directory, tmp_path, fsync="everysec") as world:
        upkeep, kb = world.upkeep(), await world.create()
        await upkeep.look()
        task = await world.loses_what(lambda: world.upload(kb))
        await world.is_accepted_by(upkeep, task)
        assert (await world.stores.log.head(0)).epoch == 2, "whoever was told of the upload misses it"


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_log_that_has_lost_its_end_is_noticed_under_always_too(
    redis_directory: Path, tmp_path: Path, is_restarted: bool
) -> None:
    async with opened(redis_directory, tmp_path, fsync="always", orphan_grace_s=1) as world:
        upkeep, kb = world.upkeep(), await world.create()

        async def uploaded_and_seen() -> TaskId:
            task = await world.upload(kb)
            await upkeep.look()
            return task

        task = await world.loses_what(uploaded_and_seen)
        later = await world.upload(kb)
        await world.is_accepted_by(world.upkeep("two") if is_restarted else upkeep, task)
        assert await world.stores.log.versions([later]) == [1]
        assert (await world.stores.log.head(0)).epoch == 2


async def test_nobody_sweeps_or_collects_while_another_does(redis_directory: Path, tmp_path: Path) -> None:
    async with opened(redis_directory, tmp_path, fsync="always", orphan_grace_s=1, collect_interval_s=3_600) as world:
        turns = RedisTurns(world.stores.clients.commands, world.stores.keys, holder="other")
        async with Turn(turns) as turn:
            assert turn.is_ours
            await world.upkeep().look()
            assert not await turns.is_done("collected")
        with structlog.testing.capture_logs() as lines:
            for holder in ("one", "two"):
                await world.upkeep(holder).look()
        assert [line["event"] for line in lines].count("collected") == 1


async def test_collecting_by_hand_waits_until_another_is_done(redis_directory: Path, tmp_path: Path) -> None:
    async with opened(redis_directory, tmp_path, fsync="always", orphan_grace_s=1) as world:
        other = RedisTurns(world.stores.clients.commands, world.stores.keys, holder="other")
        async with Turn(other) as turn:
            assert turn.is_ours
            with pytest.raises(Stop, match="a worker is at it"):
                await collect_now(world.stores.settings, dry_run=False, patience_s=0)
        assert await other.take(ttl_ms=500), "as a worker that dies at it leaves the lease"
        report = await collect_now(world.stores.settings, dry_run=False)
        assert (report.collected.documents, report.collected.orphans) == (0, 0)


async def test_collecting_by_hand_accepts_first_what_may_be_lost(redis_directory: Path, tmp_path: Path) -> None:
    async with opened(redis_directory, tmp_path, fsync="everysec", orphan_grace_s=1) as world:
        kb = await world.create()
        task = await world.loses_what(lambda: world.upload(kb))
        accepted = 0

        async def collected() -> bool:
            nonlocal accepted
            report = await collect_now(world.stores.settings, dry_run=False)
            assert report.reconciled is not None
            accepted += report.reconciled.documents_accepted
            assert report.collected.orphans == 0
            return accepted == 1

        await wait_for(collected, "the upload is old enough")
        assert await world.stores.log.versions([task]) == [1]
        assert len([one async for one in world.stores.blobs.list("documents/")]) == 2


@pytest.mark.parametrize(("fsync", "warns"), [("always", False), ("everysec", True)])
async def test_a_server_that_may_lose_events_is_warned_of(
    redis_directory: Path, tmp_path: Path, fsync: str, warns: bool
) -> None:
    async with opened(redis_directory, tmp_path, fsync=fsync) as world:
        with structlog.testing.capture_logs() as lines:
            await tell_of_risks(world.stores.clients)
        assert ["everysec" in line["advice"] for line in lines] == [True] * warns
        (readyz,) = (
            route
            for route in health_routes(world.stores, lambda: (Standing.OPEN_BY_SETTING, "open"))
            if route.path == "/readyz"
        )
        answer = await readyz.endpoint(None)
        assert answer.status_code == 200
        assert (b"everysec" in answer.body) is warns
        codes = [(one["code"], one["values"]) for one in json.loads(answer.body)["warned"]]
        assert codes == [("may_lose_last_second", {"policy": "everysec"})] * warns


async def test_a_hole_in_the_log_is_told_with_what_to_do_by_readyz_the_flow_and_the_doctor(
    redis_directory: Path, tmp_path: Path
) -> None:
    async with opened(redis_directory, tmp_path, fsync="always") as world:
        stores = world.stores
        (readyz,) = (
            route
            for route in health_routes(stores, lambda: (Standing.OPEN_BY_SETTING, "open"))
            if route.path == "/readyz"
        )
        system = System(stores.log, views_of(stores), stores.inbox, clock_us=clock_us)
        kb = await world.create()
        await world.upload(kb)
        assert b"missing" not in (await readyz.endpoint(None)).body
        assert await check_views(stores.settings) == "3 events behind the log"

        log = stores.keys.log(0)
        first, second, *_ = await execute(stores.clients.commands, "XRANGE", log, "-", "+")
        await execute(stores.clients.commands, "XDEL", log, first[0], second[0])

        told = "events 1 to 2 are missing from the log of partition 0"
        answer = await readyz.endpoint(None)
        assert answer.status_code == 200, "uploads are accepted, and wait"
        assert told.encode() in answer.body
        assert b"put back a copy of Redis" in answer.body
        shown = json.loads(answer.body)
        assert [one["text"] for one in shown["warned"]] == shown["warnings"]
        (warned,) = shown["warned"]
        assert (warned["code"], warned["values"]) == ("log_has_hole", {"partition": 0, "first": 1, "last": 2})
        with pytest.raises(Stop, match=told) as stop:
            await check_views(stores.settings)
        assert "docs/recovery.md" in (stop.value.hint or "")
        (partition,) = (await system.flow()).partitions
        assert (partition.lag_events, partition.missing) == (3, f"{told}: the views stand still before that")
