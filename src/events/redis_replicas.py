"""Asks the servers of the log for the replicas that follow them (INFO replication)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from redis.asyncio.cluster import RedisCluster
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.exceptions import NoPermissionError, RedisClusterException, ResponseError

from events.keys import Keys, slot_of
from events.redis_border import RedisClient, at_the_border
from events.replicas import Primary

REPLICA_LAG_S_MAX: Final = 3
"""A replica says every second how far it is (REPLCONF ACK, repl-ping-replica-period); one that has said nothing for
longer confirms nothing within the 4 s that MILLSTREAM_CONFIRM_MS_MAX may be at most."""

GOOD_REPLICAS: Final = "min_slaves_good_slaves"
"""INFO has it where `min-replicas-to-write` is set: how many count for that."""


async def primaries(client: RedisClient, keys: Keys) -> list[Primary]:
    """One server, or a cluster's masters, in the order of `redis_setup.memory`. Raises LogUnavailable.

    Whoever has become a replica since its layout was asked for is none of them.
    """
    with at_the_border():
        if not isinstance(client, RedisCluster):
            told = await client.info("replication")
            wanted = await _wanted(client, told)
            return [_primary(_address_of(client), range(keys.partitions), told, wanted)] if _is_master(told) else []
        await client.initialize()
        found = await _masters(client, keys)
        if len(found) < len(client.get_primaries()):
            await client.nodes_manager.initialize()
            found = await _masters(client, keys)
        return found


async def _masters(client: RedisCluster, keys: Keys) -> list[Primary]:
    owners = {partition: _owner(client, slot_of(keys.log(partition))) for partition in range(keys.partitions)}
    asked = [
        (node, await client.execute_command("INFO", "replication", target_nodes=node))
        for node in client.get_primaries()
    ]
    return [
        _primary(
            node.name,
            [partition for partition, owner in owners.items() if owner == node.name],
            told,
            await _wanted(client, told, target_nodes=node),
        )
        for node, told in asked
        if _is_master(told)
    ]


async def _wanted(client: RedisClient, told: Mapping[str, Any], **where: Any) -> int:
    """`min-replicas-to-write`; 0 where it is not set, and 1 at least where the server does not let us ask."""
    if GOOD_REPLICAS not in told:
        return 0
    try:
        found: Any = await client.execute_command("CONFIG", "GET", "min-replicas-to-write", **where)
    except (NoPermissionError, ResponseError):
        return 1
    return int(found[b"min-replicas-to-write"]) if found else 1


def _owner(client: RedisCluster, slot: int) -> str | None:
    """None where nobody is known to serve the slot: that is told by whoever needs it."""
    try:
        return str(client.nodes_manager.get_node_from_slot(slot).name)
    except RedisClusterException:
        return None


def _is_master(told: Mapping[str, Any]) -> bool:
    return bool(told.get("role") == "master")


def _primary(server: str, partitions: Sequence[int], info: Mapping[str, Any], wanted: int) -> Primary:
    """`slaveN` tells of a replica."""
    return Primary(
        server=server,
        partitions=tuple(partitions),
        replicas=sum(_follows(told) for name, told in info.items() if name.startswith("slave") and _is_replica(told)),
        refuses_writes=int(info.get(GOOD_REPLICAS, 0)) < wanted,
    )


def _is_replica(told: object) -> bool:
    return isinstance(told, Mapping) and "state" in told


def _follows(told: Mapping[str, Any]) -> bool:
    return told["state"] == "online" and int(told.get("lag", 0)) <= REPLICA_LAG_S_MAX


def _address_of(client: Any) -> str:
    """As the client reaches it: of the Sentinels' service the server that they named last."""
    pool = client.connection_pool
    if isinstance(pool, SentinelConnectionPool):
        host, port = getattr(pool, "master_address", None) or (pool.service_name, "")
        return f"{host}:{port}".rstrip(":")
    reached = pool.connection_kwargs
    return str(reached.get("path") or f"{reached.get('host', 'localhost')}:{reached.get('port', 6379)}")
