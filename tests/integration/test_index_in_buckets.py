"""Several processes write an index in a bucket, of a server that compares commits and of one that does not."""

import multiprocessing
from collections.abc import Iterator
from multiprocessing.context import SpawnProcess
from typing import Final

import pytest

from events.redis_clients import Clients
from events.redis_setup import open_installation
from millstream.doctor import Finding, examine
from millstream.errors import ExitCode, Stop
from millstream.index_location import Comparer
from millstream.settings import load_settings
from tests.contract.index_contract import TABLE, direction, rows_of
from tests.integration.bucket_writer import DOCUMENTS, Variables, opened, write_documents, write_on, write_once
from tests.searched import search_keyword, search_vector
from tests.servers.redis_process import RedisProcess
from tests.servers.s3_comparing import ComparingServer
from tests.servers.s3_gateway import S3Server
from tests.waiting import wait_for

pytest_plugins = ("tests.servers.s3", "tests.servers.redis")

CONTEXT: Final = multiprocessing.get_context("spawn")
JOIN_S_MAX: Final = 180.0


@pytest.fixture(scope="module")
def comparing(s3_server: S3Server) -> Iterator[ComparingServer]:
    with ComparingServer(s3_server.endpoint_url) as server:
        yield server


class Buckets:
    """The settings of an index at a server that ignores `If-None-Match`, and at one that keeps it."""

    def __init__(self, redis: RedisProcess, server: S3Server, comparing: ComparingServer, prefix: str) -> None:
        def at(url: str, kind: str) -> Variables:
            return {
                "MILLSTREAM_REDIS_URL": redis.url,
                "MILLSTREAM_INDEX_URL": f"s3://{server.bucket}/{prefix}/{kind}",
                "MILLSTREAM_S3_ENDPOINT_URL": url,
                "MILLSTREAM_S3_ACCESS_KEY": server.access_key,
                "MILLSTREAM_S3_SECRET_KEY": server.secret_key,
            }

        self.ignoring = at(server.endpoint_url, "ignoring")
        self.comparing = at(comparing.proxy.endpoint_url, "comparing")

    @property
    def both(self) -> tuple[Variables, Variables]:
        return self.ignoring, self.comparing


@pytest.fixture
async def buckets(
    redis_server: RedisProcess,
    redis_clients: Clients,
    s3_server: S3Server,
    comparing: ComparingServer,
    request: pytest.FixtureRequest,
) -> Buckets:
    await open_installation(redis_clients.commands, partitions=1)
    return Buckets(redis_server, s3_server, comparing, request.node.name)


def started(target: object, *arguments: object) -> SpawnProcess:
    process = CONTEXT.Process(target=target, args=arguments)  # type: ignore[arg-type]
    process.start()
    return process


async def test_two_processes_write_at_once_and_lose_nothing(buckets: Buckets, comparing: ComparingServer) -> None:
    start = CONTEXT.Event()
    writers = [started(write_documents, buckets.both, name, start) for name in ("a", "b")]
    start.set()
    for writer in writers:
        writer.join(JOIN_S_MAX)
        assert writer.exitcode == 0
    for variables, comparer in zip(buckets.both, (Comparer.REDIS, Comparer.SERVER), strict=True):
        async with opened(variables) as one:
            assert one.comparer is comparer
            assert one.location.uri in one.told
            assert await one.index.count(TABLE) == 2 * DOCUMENTS * 2 + 1
            assert await one.index.count(TABLE, "shared") == 1
            assert len(await search_keyword(one.index, TABLE, "grain", limit=100)) == 2 * DOCUMENTS
            assert len(await search_vector(one.index, TABLE, direction(0), limit=100)) == 2 * DOCUMENTS * 2 + 1
    assert comparing.proxy.refused, "they never met"


async def test_a_writer_killed_in_the_middle_leaves_nothing_twice_and_harms_nobody(buckets: Buckets) -> None:
    names = ("first", "second")
    async with opened(buckets.ignoring) as ignoring, opened(buckets.comparing) as comparing:
        both = (ignoring.index, comparing.index)
        for fence, name in enumerate(names):
            writer = started(write_on, buckets.both, name)

            async def is_under_way(name: str = name) -> bool:
                return all([await index.count(TABLE, f"doc_{name}_0") for index in both])

            await wait_for(is_under_way, "it has written to both", JOIN_S_MAX)
            for index in both:
                assert await index.upsert(TABLE, "ours", rows_of("ours", [name, "stays"]), fence=fence) == 2
            writer.kill()
            writer.join()
        for index in both:
            assert await index.count(TABLE, "ours") == 2
            for name in names:
                await write_once(index, name, fence=10_000)
            assert await index.count(TABLE) == len(names) * DOCUMENTS * 2 + 1 + 2
            await index.optimize(TABLE)
            assert await index.count(TABLE) == len(names) * DOCUMENTS * 2 + 1 + 2


async def test_a_server_that_stops_comparing_is_not_written_to_until_somebody_decides(
    buckets: Buckets, redis_clients: Clients
) -> None:
    async with opened(buckets.ignoring) as one:
        assert one.comparer is Comparer.REDIS
    (place,) = await redis_clients.commands.hkeys("ms:index")
    await redis_clients.commands.hset("ms:index", place, "server")
    with pytest.raises(Stop, match="does no longer") as stopped:
        async with opened(buckets.ignoring):
            pass
    assert stopped.value.exit_code is ExitCode.CONFIGURATION
    async with opened({**buckets.ignoring, "MILLSTREAM_INDEX_COMMITS": "redis"}) as one:
        assert one.comparer is Comparer.REDIS
    async with opened(buckets.ignoring) as one:
        assert one.comparer is Comparer.REDIS


async def test_the_doctor_says_who_compares_and_what_a_missing_bucket_needs(buckets: Buckets) -> None:
    async def found(variables: Variables) -> Finding:
        settings = load_settings({**variables, "MILLSTREAM_EMBEDDING": "hash"}).settings
        (one,) = [finding for finding in await examine(settings) if finding.subject == "index"]
        return one

    assert "Redis compares" in (await found(buckets.ignoring)).detail
    assert "the S3 server compares" in (await found(buckets.comparing)).detail
    missing = await found({**buckets.ignoring, "MILLSTREAM_INDEX_URL": "s3://no-such-bucket/index"})
    assert not missing.is_good
    assert "'no-such-bucket' does not exist: create it" in missing.detail
    assert buckets.ignoring["MILLSTREAM_S3_SECRET_KEY"] not in repr(missing)
