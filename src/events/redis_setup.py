"""What is checked and made before the log is used: the server's settings, the stored format, the clients."""

import re
import uuid
from collections.abc import Callable, Mapping
from typing import Final, Self

import msgspec
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import NoPermissionError, ResponseError

from events.errors import FormatMismatch, UnsafeConfiguration
from events.ids import PARTITIONS_MAX
from events.keys import Keys
from events.redis_border import at_the_border, execute
from events.redis_log import BLOCK_MS_MAX

FORMAT_VERSION: Final = 1
"""Of keys and their fields. Raised when a program before would read them wrongly."""

PARTITIONS_DEFAULT: Final = 8

SERVER_VERSION_MIN: Final = (7, 2, 5)
"""Below it, consumers are created by blocked reads that time out, and idle times of consumers mean something else."""

COMMAND_TIMEOUT_S: Final = 5.0
CONNECT_TIMEOUT_S: Final = 2.0
POOL_WAIT_S: Final = 5.0
"""How long a call waits for a free connection before the log counts as unavailable."""

RETRIES: Final = 2
"""Of commands after a broken connection: all of ours may be repeated. The callers' own retries have longer pauses."""

BLOCK_GRACE_S: Final = 3.0


class Clients:
    """Two clients of one server: `commands` for everything that answers at once, `blocking` for reads that wait."""

    def __init__(self, commands: Redis, blocking: Redis) -> None:
        self.commands = commands
        self.blocking = blocking

    async def aclose(self) -> None:
        await self.blocking.aclose()
        await self.commands.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def make_clients(url: str, *, connections_max: int = 32, blocking_connections_max: int = 64) -> Clients:
    """Clients for `redis://`, `rediss://` and `unix://`; nothing is connected yet. Answers are bytes, over RESP3."""
    backoff = ExponentialWithJitterBackoff(base=0.05, cap=0.5)
    commands = _client(url, connections_max, COMMAND_TIMEOUT_S, Retry(backoff, RETRIES))
    blocking_timeout_s = BLOCK_MS_MAX / 1_000 + BLOCK_GRACE_S
    return Clients(commands, _client(url, blocking_connections_max, blocking_timeout_s, Retry(NoBackoff(), 0)))


def _client(url: str, connections_max: int, timeout_s: float, retry: Retry) -> Redis:
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections_max,
        timeout=POOL_WAIT_S,
        socket_timeout=timeout_s,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        protocol=3,
        legacy_responses=False,
        decode_responses=False,
        retry=retry,
    )
    return Redis.from_pool(pool)


async def open_installation(
    client: Redis,
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
    fresh = {"format": str(FORMAT_VERSION), "partitions": str(wanted), "id": new_installation_id()}
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
    if stored_format != str(FORMAT_VERSION).encode():
        found = (stored_format or b"none").decode(errors="replace")
        raise FormatMismatch(f"the store has format {found}, this program knows format {FORMAT_VERSION}")
    if stored_partitions is None or not stored_partitions.isdigit():
        raise FormatMismatch("the store does not say how many partitions it has")
    if partitions is not None and partitions != int(stored_partitions):
        raise FormatMismatch(
            f"the store has {int(stored_partitions)} partitions, {partitions} were asked for: the number is fixed"
        )
    return int(stored_partitions)


async def check_server(client: Redis) -> None:
    """Refuses a server that is too old or may lose facts. INFO tells all, so CONFIG may be forbidden.

    Raises UnsafeConfiguration with a sentence on what to change, and LogUnavailable.
    """
    with at_the_border():
        found = [await client.info(section) for section in ("server", "persistence", "memory")]
    reason = what_is_unsafe({name: str(value) for section in found for name, value in section.items()})
    if reason is not None:
        raise UnsafeConfiguration(reason)


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


async def durability(client: Redis) -> Durability:
    """Raises LogUnavailable."""
    with at_the_border():
        server, replication = await client.info("server"), await client.info("replication")
    second = str(replication.get("master_replid2", ""))
    return Durability(
        run_id=str(server.get("run_id", "")), fsync=await fsync_policy(client), was_promoted=second.strip("0") != ""
    )


async def fsync_policy(client: Redis) -> str | None:
    """`always`, `everysec` or `no`; None where the server does not let us ask. Only `always` survives a power cut."""
    with at_the_border():
        try:
            found = await execute(client, "CONFIG", "GET", "appendfsync")
        except (NoPermissionError, ResponseError):
            return None
    return str(found[b"appendfsync"].decode()) if found else None
