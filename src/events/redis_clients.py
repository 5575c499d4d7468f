"""The clients of an installation's Redis. The URL says whether it is one server, has Sentinels, or is a cluster.

    redis://[user:password@]host[:port][/db]        one server; rediss:// with TLS, unix:// by its socket
    redis+sentinel://[…@]host:port,host:port/service   the primary of that service; rediss+sentinel:// with TLS
    redis+cluster://[…@]host:port,host:port         a cluster, by any of its nodes; rediss+cluster:// with TLS

Options of redis-py (`?ssl_ca_certs=…`) may follow each. Sentinels that want a password of their own get it by
`?sentinel_username=…&sentinel_password=…`.
"""

from typing import Any, Final, Self
from urllib.parse import SplitResult, parse_qs, urlencode, urlsplit

import msgspec
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff

from events.redis_border import RedisClient
from events.redis_log import BLOCK_MS_MAX

COMMAND_TIMEOUT_S: Final = 5.0
CONNECT_TIMEOUT_S: Final = 2.0
POOL_WAIT_S: Final = 5.0
"""How long a call waits for a free connection before the log counts as unavailable."""

RETRIES: Final = 2
"""Of commands after a broken connection: all of ours may be repeated. The callers' own retries have longer pauses."""

CLUSTER_RETRIES: Final = 5
"""Of commands after a node was lost; redis-py asks the others for the new layout before each."""

CLUSTER_CONNECTIONS_MAX: Final = 512
"""To one node. redis-py refuses what comes beyond instead of letting it wait, so it is more than the API's calls at a
time; a refused call counts as an unavailable log."""

BLOCK_GRACE_S: Final = 3.0

REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26379


class Clients:
    """Two clients of one Redis: `commands` for everything that answers at once, `blocking` for reads that wait."""

    def __init__(self, commands: RedisClient, blocking: RedisClient) -> None:
        self.commands = commands
        self.blocking = blocking

    async def aclose(self) -> None:
        await self.blocking.aclose()
        await self.commands.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class _Way(msgspec.Struct, frozen=True, kw_only=True):
    """How one of the two clients behaves."""

    connections_max: int
    timeout_s: float
    retry: Retry
    cluster_retry: Retry

    def options(self) -> dict[str, Any]:
        """Of every connection."""
        return {
            "socket_timeout": self.timeout_s,
            "socket_connect_timeout": CONNECT_TIMEOUT_S,
            "protocol": 3,
            "legacy_responses": False,
            "decode_responses": False,
        }


def make_clients(url: str, *, connections_max: int = 32, blocking_connections_max: int = 64) -> Clients:
    """Nothing is connected yet. Answers are bytes, over RESP3. Raises ValueError for a URL that is none of ours."""
    backoff = ExponentialWithJitterBackoff(base=0.05, cap=0.5)
    commands = _Way(
        connections_max=connections_max,
        timeout_s=COMMAND_TIMEOUT_S,
        retry=Retry(backoff, RETRIES),
        cluster_retry=Retry(backoff, CLUSTER_RETRIES),
    )
    blocking = _Way(
        connections_max=blocking_connections_max,
        timeout_s=BLOCK_MS_MAX / 1_000 + BLOCK_GRACE_S,
        retry=Retry(NoBackoff(), 0),
        cluster_retry=Retry(NoBackoff(), 0),
    )
    return Clients(_client(url, commands), _client(url, blocking))


def shown_url(url: str) -> str:
    """The URL without names, passwords and options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _client(url: str, way: _Way) -> RedisClient:
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    match kind:
        case "":
            return Redis.from_pool(_pool(url, way))
        case "cluster":
            return _cluster(scheme, parts, way)
        case "sentinel":
            return _sentinel(scheme, parts, way)
        case _:
            raise ValueError(f"there is no Redis of the kind {kind!r}: write redis+cluster:// or redis+sentinel://")


def _pool(url: str, way: _Way) -> BlockingConnectionPool:
    return BlockingConnectionPool.from_url(
        url, max_connections=way.connections_max, timeout=POOL_WAIT_S, retry=way.retry, **way.options()
    )


class _Cluster(RedisCluster):
    """Asks for the layout before the first call: redis-py sends what comes before it has one to any node."""

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        await self.initialize()
        return await super().execute_command(*args, **kwargs)


def _cluster(scheme: str, parts: SplitResult, way: _Way) -> RedisCluster:
    (host, port), *others = _addresses(parts, REDIS_PORT)
    if parts.path.strip("/"):
        raise ValueError("a cluster has no databases: leave the path away")
    return _Cluster.from_url(
        _single(scheme, parts, host, port, parts.query),
        startup_nodes=[ClusterNode(name, number) for name, number in others],
        retry=way.cluster_retry,
        max_connections=CLUSTER_CONNECTIONS_MAX,
        reinitialize_steps=0,  # else the fifth slot that has moved breaks off every call that is under way
        **way.options(),
    )


class _SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Lets calls wait for a free connection, as the pool of a single server does, and lets go of the Sentinels too."""

    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections)
        for sentinel in self.sentinel_manager.sentinels:
            await sentinel.connection_pool.disconnect()


def _sentinel(scheme: str, parts: SplitResult, way: _Way) -> Redis:
    service = parts.path.strip("/")
    if not service or "/" in service:
        raise ValueError("Sentinels are asked for a service by its name: redis+sentinel://host:port/NAME")
    addresses = _addresses(parts, SENTINEL_PORT)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    own = {name: query.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    options: dict[str, Any] = dict(parse_url(_single(scheme, parts, *addresses[0], urlencode(query))))
    is_tls = options.pop("connection_class", None) is SSLConnection
    options = {name: value for name, value in options.items() if name not in ("host", "port", "db")}
    tls = {name: value for name, value in options.items() if name.startswith("ssl_")} | (
        {"ssl": True} if is_tls else {}
    )
    asked = {"socket_timeout": CONNECT_TIMEOUT_S, "socket_connect_timeout": CONNECT_TIMEOUT_S}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]  # redis-py gives it no types
        addresses, sentinel_kwargs={**asked, **tls, **{k: v for k, v in own.items() if v}}
    )
    pool = _SentinelPool(  # type: ignore[no-untyped-call]  # redis-py gives it no types
        service,
        sentinel,
        max_connections=way.connections_max,
        timeout=POOL_WAIT_S,
        retry=way.retry,
        **options,
        **({"ssl": True} if is_tls else {}),
        **way.options(),
    )
    return Redis.from_pool(pool)


def _addresses(parts: SplitResult, port: int) -> list[tuple[str, int]]:
    """Raises ValueError for an address without a host."""
    found = [urlsplit(f"//{address}") for address in parts.netloc.rpartition("@")[2].split(",")]
    if not all(one.hostname for one in found):
        raise ValueError("each address is host:port, and a comma stands between two")
    return [(str(one.hostname), one.port or port) for one in found]


def _single(scheme: str, parts: SplitResult, host: str, port: int, query: str) -> str:
    """The URL as redis-py knows it, of one of the addresses."""
    user, at, _ = parts.netloc.rpartition("@")
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{user}{at}{name}:{port}" + (f"?{query}" if query else "")
