"""Redis that fails over and certainly loses something: a replica that gets nothing any more, and takes over.

One interface for a cluster and for Sentinels. What a paused server was sent waits in its socket and is read when it
goes on, so its connection is ended before anything is written that is to be lost.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import pytest

from events.keys import Keys, slot_of
from tests.servers.redis_cluster_process import ClusterNode, RedisCluster
from tests.servers.redis_process import redis_binary
from tests.servers.redis_sentinel_process import RedisWithSentinels
from tests.waiting import poll

TAKES_OVER_S_MAX = 60.0

BOTH_KINDS: Final = ("cluster", "sentinels")


class FailingOver(Protocol):
    """Of the server that has one partition."""

    @property
    def url(self) -> str: ...

    def stop_replicating(self) -> None:
        """From now on what is written is on the primary alone."""
        ...

    def lose_replica(self) -> None:
        """It is killed."""
        ...

    def bring_replica_back(self) -> None:
        """Returns when it follows."""
        ...

    def fail_over(self) -> None:
        """The primary is killed, the replica takes over; returns when the old primary follows it."""
        ...

    def ask(self, *command: str | int) -> Any:
        """The present primary. Raises RedisError."""
        ...


class ClusterFailingOver:
    def __init__(self, cluster: RedisCluster, keys: Keys, partition: int) -> None:
        self._cluster = cluster
        self._slot = slot_of(keys.log(partition))
        self._pair: tuple[ClusterNode, ClusterNode] | None = None

    @property
    def url(self) -> str:
        return self._cluster.url

    def is_elsewhere(self, slot: int) -> bool:
        """Whether another server has the slot."""
        return self._cluster.master_of(slot) is not self._primary

    def stop_replicating(self) -> None:
        primary = self._primary
        replica = self._cluster.replica_of(primary)
        replica.pause()
        primary.cut_off_replicas()
        self._pair = primary, replica

    def lose_replica(self) -> None:
        primary = self._primary
        replica = self._cluster.replica_of(primary)
        replica.kill()
        self._pair = primary, replica

    def bring_replica_back(self) -> None:
        assert self._pair is not None, "nobody is away"
        self._pair[1].start()
        self._cluster.wait_until_whole()

    def fail_over(self) -> None:
        assert self._pair is not None, "nobody is paused"
        dead, replica = self._pair
        dead.kill()
        replica.go_on()
        poll(replica.is_master, "the replica takes over", TAKES_OVER_S_MAX)
        dead.start()
        self._cluster.wait_until_whole()

    def ask(self, *command: str | int) -> Any:
        return self._primary.ask(*command)

    @property
    def _primary(self) -> ClusterNode:
        return self._cluster.master_of(self._slot)


class SentinelsFailingOver:
    def __init__(self, servers: RedisWithSentinels) -> None:
        self._servers = servers
        self._primary, self._replica = servers.ports

    @property
    def url(self) -> str:
        return self._servers.url

    def stop_replicating(self) -> None:
        self._servers.pause(self._replica)
        self._servers.ask(self._primary, "CLIENT", "KILL", "TYPE", "replica")

    def lose_replica(self) -> None:
        self._servers.kill(self._replica)

    def bring_replica_back(self) -> None:
        self._servers.start_server(self._replica, "--replicaof", f"127.0.0.1 {self._primary}")
        poll(self._servers.is_replicating, "it follows", TAKES_OVER_S_MAX)

    def hang(self) -> None:
        """The primary says nothing more; returns when the replica is promoted."""
        self._servers.pause(self._primary)
        servers, replica = self._servers, self._replica
        poll(lambda: servers.is_primary(replica), "the replica is promoted", TAKES_OVER_S_MAX)
        poll(lambda: servers.agree_on(replica), "the Sentinels agree", TAKES_OVER_S_MAX)
        self._primary, self._replica = self._replica, self._primary

    def wake(self) -> None:
        """Whoever hung goes on as the primary that it thinks it is; returns when it follows the other."""
        self._servers.go_on(self._replica)
        poll(self._servers.is_replicating, "the old primary follows", TAKES_OVER_S_MAX)

    def fail_over(self) -> None:
        servers, dead, replica = self._servers, self._primary, self._replica
        servers.kill(dead)
        servers.go_on(replica)
        poll(lambda: servers.is_primary(replica), "the replica is promoted", TAKES_OVER_S_MAX)
        poll(lambda: servers.agree_on(replica), "the Sentinels agree", TAKES_OVER_S_MAX)
        servers.start_server(dead, "--replicaof", f"127.0.0.1 {replica}")
        self._primary, self._replica = replica, dead
        poll(servers.is_replicating, "the old primary follows", TAKES_OVER_S_MAX)

    def ask(self, *command: str | int) -> Any:
        return self._servers.ask(self._primary, *command)


@contextmanager
def redis_of_either_kind(request: pytest.FixtureRequest, keys: Keys, partition: int) -> Iterator[FailingOver]:
    """Of the kind that the fixture's parameter names, empty: the session's cluster, or servers of its own behind
    Sentinels."""
    if request.param == "cluster":
        cluster: RedisCluster = request.getfixturevalue("redis_cluster")
        for node in cluster.masters():
            node.ask("FLUSHALL")
        yield ClusterFailingOver(cluster, keys, partition)
        for node in cluster.nodes:
            node.come_back()
        cluster.wait_until_whole()
    else:
        with redis_behind_sentinels() as servers:
            yield SentinelsFailingOver(servers)


@contextmanager
def redis_behind_sentinels() -> Iterator[RedisWithSentinels]:
    """Started, and gone behind the body, however it ends."""
    with tempfile.TemporaryDirectory(prefix="ms-sentinel-") as directory:
        servers = RedisWithSentinels(redis_binary(), Path(directory))
        try:
            servers.start()
            yield servers
        finally:
            servers.stop()
