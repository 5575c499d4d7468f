"""Fixtures of a real Redis Cluster: `pytest_plugins = ("tests.servers.redis_cluster",)`.

A module that runs a suite on a cluster gives the clients of it the name `redis_clients` that the suite asks for.
"""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio.cluster import RedisCluster as ClusterClient

from events.redis_clients import Clients, make_clients
from tests.servers.redis_cluster_process import RedisCluster
from tests.servers.redis_process import redis_binary


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """One cluster for the session; whoever kills a node of it brings it back."""
    with tempfile.TemporaryDirectory(prefix="ms-cluster-") as directory:
        cluster = RedisCluster(redis_binary(), Path(directory))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture
async def cluster_clients(redis_cluster: RedisCluster) -> AsyncIterator[Clients]:
    """Clients of the session's cluster, emptied before the test."""
    async with make_clients(redis_cluster.url) as clients:
        await clients.commands.flushall(target_nodes=ClusterClient.PRIMARIES)
        yield clients
