"""What is checked and made before the log is used: the server's settings and the stored format."""

import hashlib
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoPermissionError, ResponseError

from events.errors import FormatMismatch, UnsafeConfiguration
from events.ids import PARTITIONS_MAX
from events.keys import Keys
from events.redis_border import RedisClient, at_the_border, execute

FORMAT_BY_NAME: Final = 1
"""Of keys and their fields. Raised when a program before would read them wrongly."""

FORMAT_BY_PLACE: Final = 2
"""The log may hold events by place (`events.codec`), which are damage to programs that know one format."""

FORMATS: Final = {str(one).encode(): one for one in (FORMAT_BY_NAME, FORMAT_BY_PLACE)}
"""What is stored, and means the same to this program."""

PARTITIONS_DEFAULT: Final = 8

SERVER_VERSION_MIN: Final = (7, 2, 5)
"""Below it, consumers are created by blocked reads that time out, idle times of consumers mean something else, and
scripts write the number 100,000,000 as 1e+8 (redis/redis#13115): the log would not be read behind it."""


async def open_installation(
    client: RedisClient,
    *,
    partitions: int | None,
    namespace: str = "ms",
    new_installation_id: Callable[[], str] = lambda: uuid.uuid4().hex,
) -> Keys:
    """Checks the server, then reads the installation's number of partitions or fixes it at first start.

    `partitions` (1 to 256) None takes what is stored, 8 at first start. Raises UnsafeConfiguration, FormatMismatch
    and LogUnavailable.
    """
    await check_server(client)
    meta = Keys(1, namespace).installation
    wanted = PARTITIONS_DEFAULT if partitions is None else partitions
    if not 1 <= wanted <= PARTITIONS_MAX:
        raise FormatMismatch(f"there can be 1 to {PARTITIONS_MAX} partitions, not {wanted}")
    fresh = {"format": str(FORMAT_BY_NAME), "partitions": str(wanted), "id": new_installation_id()}
    with at_the_border():
        async with client.pipeline(transaction=True) as pipeline:
            pipeline.exists(meta)
            for field in ("format", "partitions"):
                pipeline.hget(meta, field)
            exists, stored_format, stored_partitions = await pipeline.execute()
        if not exists:
            async with client.pipeline(transaction=True) as pipeline:
                for field, value in fresh.items():
                    pipeline.hsetnx(meta, field, value)
                pipeline.hmget(meta, ["format", "partitions"])
                stored_format, stored_partitions = (await pipeline.execute())[-1]
    return Keys(_agreed(stored_format, stored_partitions, partitions), namespace)


def _agreed(stored_format: bytes | None, stored_partitions: bytes | None, partitions: int | None) -> int:
    if stored_format not in FORMATS:
        found = (stored_format or b"none").decode(errors="replace")
        raise FormatMismatch(f"the store has format {found}, this program knows formats up to {max(FORMATS.values())}")
    if stored_partitions is None or not stored_partitions.isdigit():
        raise FormatMismatch("the store does not say how many partitions it has")
    if partitions is not None and partitions != int(stored_partitions):
        raise FormatMismatch(
            f"the number of partitions is fixed: the store has {int(stored_partitions)}, not {partitions}"
        )
    return int(stored_partitions)


async def allow_events_by_place(client: RedisClient, keys: Keys) -> None:
    """To be called ahead of the first that may be written: from now on programs that cannot read them refuse to start.
    Raises LogUnavailable and LogFull."""
    with at_the_border():
        stored = await execute(client, "HGET", keys.installation, "format")
        if FORMATS.get(stored) == FORMAT_BY_NAME:
            await execute(client, "HSET", keys.installation, "format", FORMAT_BY_PLACE)


async def check_server(client: RedisClient) -> None:
    """Refuses a server that is too old or may lose facts. INFO tells all, so CONFIG may be forbidden.

    Raises UnsafeConfiguration with a sentence on what to change, and LogUnavailable.
    """
    for found in await _infos(client, ("server", "persistence", "memory")):
        if found.get("redis_mode") == "cluster" and not isinstance(client, RedisCluster):
            raise UnsafeConfiguration("this Redis is a node of a cluster: write redis+cluster:// before its address")
        reason = what_is_unsafe(found)
        if reason is not None:
            raise UnsafeConfiguration(reason)


async def _infos(client: RedisClient, sections: Sequence[str]) -> list[dict[str, str]]:
    """What INFO tells, of the server or of each of a cluster's masters."""
    with at_the_border():
        if not isinstance(client, RedisCluster):
            found = [[await client.info(section) for section in sections]]
        else:
            await client.initialize()
            found = [
                [await client.execute_command("INFO", section, target_nodes=node) for section in sections]
                for node in client.get_primaries()
            ]
    return [{name: str(value) for section in told for name, value in section.items()} for told in found]


def what_is_unsafe(info: Mapping[str, str]) -> str | None:
    """A sentence on what to change, from the fields of INFO; None for a server that is safe."""
    version = info.get("redis_version", "unknown")
    if tuple(map(int, re.findall(r"\d+", version)[:3])) < SERVER_VERSION_MIN:
        floor = ".".join(map(str, SERVER_VERSION_MIN))
        return f"Redis {version} is too old: run {floor} or later"
    if info.get("aof_enabled") != "1":
        return "Redis keeps no append-only file, a crash would lose uploads: set `appendonly yes`"
    policy = info.get("maxmemory_policy", "unknown")
    if policy != "noeviction":
        return f"Redis deletes facts when memory is full (maxmemory-policy {policy}): set `maxmemory-policy noeviction`"
    return None


SAFETY: Final = {"no": 0, "everysec": 2, "always": 3}

RUN_DIGITS: Final = 40
"""Of a digest in place of one server's run id, as long as that."""


class Durability(msgspec.Struct, frozen=True):
    """How much of what it acknowledged a server may have lost. `run_id` is another after each start of it.

    `fsync` as in `fsync_policy`. `was_promoted`: it was a replica once, and may lack what its primary said yes to last.
    """

    run_id: str
    fsync: str | None
    was_promoted: bool

    @property
    def may_lose(self) -> bool:
        """Whether a restart, or a replica that takes over, may take acknowledged events away."""
        return self.fsync != "always" or self.was_promoted

    @property
    def warning(self) -> str | None:
        """A sentence for whoever runs the service; None for a server that loses nothing."""
        if self.fsync != "always":
            return (
                f"Redis runs with appendfsync {self.fsync or 'unknown'}: a power cut may lose the events of the last "
                "second. Uploads are accepted again from the blob store; with `appendfsync always` nothing is lost."
            )
        return None


async def durability(client: RedisClient) -> Durability:
    """Of a cluster: the least that any of its masters gives; `run_id` names them all. Raises LogUnavailable."""
    found = await _infos(client, ("server", "replication"))
    runs = sorted(one.get("run_id", "") for one in found)
    policies = await _fsync_policies(client)
    return Durability(
        run_id=runs[0] if len(runs) == 1 else hashlib.sha256(" ".join(runs).encode()).hexdigest()[:RUN_DIGITS],
        fsync=min(policies, key=_safety),
        was_promoted=any(one.get("master_replid2", "").strip("0") != "" for one in found),
    )


class Memory(msgspec.Struct, frozen=True):
    """Of one server, bytes; `max_bytes` 0 is no limit."""

    used_bytes: int
    max_bytes: int


async def memory(client: RedisClient) -> list[Memory]:
    """Of each server that holds facts: one, or a cluster's masters. Raises LogUnavailable."""
    found = await _infos(client, ("memory",))
    return [Memory(int(one.get("used_memory", 0)), int(one.get("maxmemory", 0))) for one in found]


async def fsync_policy(client: RedisClient) -> str | None:
    """`always`, `everysec` or `no`; None where the server does not let us ask. Only `always` survives a power cut."""
    return min(await _fsync_policies(client), key=_safety)


async def _fsync_policies(client: RedisClient) -> list[str | None]:
    with at_the_border():
        try:
            if not isinstance(client, RedisCluster):
                found = [await execute(client, "CONFIG", "GET", "appendfsync")]
            else:
                await client.initialize()
                found = [
                    await client.execute_command("CONFIG", "GET", "appendfsync", target_nodes=node)
                    for node in client.get_primaries()
                ]
        except (NoPermissionError, ResponseError):
            return [None]
    return [str(one[b"appendfsync"].decode()) if one else None for one in found]


def _safety(policy: str | None) -> int:
    """What may not be asked for counts for less than what is known to be safe."""
    return SAFETY.get(policy or "", 1)
