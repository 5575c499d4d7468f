"""The border to redis-py: its errors become ours, its scripts are sent by their digest."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import AbstractConnection, BlockingConnectionPool, ConnectionPool
from redis.exceptions import (
    ClusterError,
    NoScriptError,
    OutOfMemoryError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from events.errors import FormatMismatch, LogError, LogFull, LogUnavailable, NotReplicated
from events.redis_cluster import exchange_on_cluster, node_of
from events.redis_wire import LATE, Argument, Command, ask, is_of_closed, packed, paired

RedisClient = Redis | RedisCluster
"""One server, or the one that Sentinels name, or a cluster."""

_FULL: Final = ("OOM", "MISCONF")
_UNAVAILABLE: Final = ("LOADING", "BUSY", "MASTERDOWN", "READONLY", "UNBLOCKED", "CLUSTERDOWN", "TRYAGAIN", "NOPERM")
_UNAVAILABLE_WITHIN: Final = ("ACL failure in script", "exhausted the last possible ID", "access a non local key")
"""Refusals without a code of their own: a right that a script lacks, a stream that takes no more entries, a slot that
moves to another server. All last until an operator acts, or is done, and none must end a process."""


_OF_A_PIPELINE: Final = re.compile(r"Command # \d+ \(.*\) of pipeline caused error: \(['\"](.*)['\"],?\)", re.DOTALL)
"""What redis-py makes of a refusal of one command of its pipelines."""


def translated(error: RedisError | RedisClusterException | OSError) -> LogError:
    """Our error for one of redis-py's; what the server says goes along, without the command, whose arguments may be
    secret."""
    text = str(error)
    if (refused := _OF_A_PIPELINE.fullmatch(text)) is not None:
        text = refused[1]
    match error:
        case RedisConnectionError() | RedisTimeoutError() | RedisClusterException() | ClusterError() | OSError():
            return LogUnavailable(f"Redis did not answer: {text}")
        case OutOfMemoryError():
            return LogFull(f"Redis refuses writes, its memory is full: {text}")
        case ResponseError() if text.startswith(_FULL):
            return LogFull(f"Redis refuses writes: {text}")
        case ResponseError() if text.startswith("NOREPLICAS"):
            return NotReplicated(f"Redis takes no writes without a replica: {text}")
        case ResponseError() if text.startswith("WRONGTYPE"):
            return FormatMismatch(f"a key of ours holds something that this program never wrote: {text}")
        case ResponseError() if (
            text.startswith(_UNAVAILABLE)
            or any(words in text for words in _UNAVAILABLE_WITHIN)
            or type(error) is not ResponseError
        ):
            return LogUnavailable(f"Redis cannot serve the call now: {text}")
        case _:
            return LogError(f"Redis refused the call: {text}")


@contextmanager
def at_the_border() -> Iterator[None]:
    """Whatever redis-py raises inside leaves as one of our errors."""
    try:
        yield
    except (RedisError, RedisClusterException, OSError) as error:
        raise translated(error) from error
    except LATE as error:
        if not is_of_closed(error):
            raise
        raise LogUnavailable("Redis did not answer: the connection ended while it was made") from error


async def execute(client: RedisClient, *command: Argument, near: str | None = None) -> Any:
    """The server's answer to one command; redis-py's errors stay as they are.

    `near` is a key: on a cluster the command goes to the node that serves it. Needed where redis-py would ask a node
    which keys the command has, or where it has none.
    """
    if near is None or not isinstance(client, RedisCluster):
        return await client.execute_command(*command)
    return await client.execute_command(*command, target_nodes=await node_of(client, near))


async def exchange(client: RedisClient, commands: Sequence[Command], tail: Command = ()) -> list[Any]:
    """Sends commands at once and reads their answers in order; a refused one's answer is its ResponseError.

    As a redis-py pipeline without a transaction, but packed by hiredis: a third less client time a command. A broken
    connection is retried as the client is told to, so each command must be one that may be repeated. Where the
    repetition finds the server full, the first call may have taken effect all the same: that is no refusal.

    `tail` is sent behind them on the same connection; where there is one, each answer but a refusal is a pair of the
    command's own and the tail's.
    """
    if isinstance(client, RedisCluster):
        found, repeated = await exchange_on_cluster(client, commands, tail)
        return [_in_doubt(answer) if place in repeated else answer for place, answer in enumerate(found)]
    sent = packed((*commands, tail) if tail else commands)
    pool, count = client.connection_pool, len(commands) + bool(tail)
    connection = await _connection_of(pool)
    tries = 1

    async def give_up(_error: Exception) -> None:
        nonlocal tries
        tries += 1
        await connection.disconnect()

    try:
        try:
            answers = await ask(connection, sent, count)
        except Exception as error:
            again = _raising_first(error, lambda: ask(connection, sent, count))
            answers = await connection.retry.call_with_retry(again, give_up)
    except BaseException:
        await connection.disconnect()  # answers that nobody read would be taken for those of the next commands
        raise
    finally:
        await _release(pool, connection)
    if tail:
        *answers, told = answers
        answers = paired(answers, told)
    return answers if tries == 1 else [_in_doubt(answer) for answer in answers]


def _raising_first(error: Exception, call: Callable[[], Awaitable[list[Any]]]) -> Callable[[], Awaitable[list[Any]]]:
    """A call that has been made once and ended so: what repeats calls repeats it as if it had made it."""
    ended = [error]

    async def again() -> list[Any]:
        if ended:
            raise ended.pop()
        return await call()

    return again


async def _connection_of(pool: ConnectionPool) -> AbstractConnection:
    """A lock, a timer and a generator are how a pool lets wait for a connection: not where one lies there."""
    if not pool.can_get_connection():
        waited: AbstractConnection = await pool.get_connection()  # type: ignore[no-untyped-call]  # untyped
        return waited
    connection: AbstractConnection = pool.get_available_connection()  # type: ignore[no-untyped-call]  # untyped
    try:
        await pool.ensure_connection(connection)
    except BaseException:
        await pool.release(connection)
        raise
    return connection


async def _release(pool: ConnectionPool, connection: AbstractConnection) -> None:
    """A lock, a notification, an event and two counters are how a pool takes a connection back: not where nobody waits
    for one. Nobody listens for the event unless passwords come as a stream."""
    is_outdated: bool = connection.should_reconnect()  # type: ignore[no-untyped-call]  # redis-py gives it no types
    if is_outdated or not isinstance(pool, BlockingConnectionPool) or _is_waited_for(pool):
        await pool.release(connection)
    else:
        pool._in_use_connections.remove(connection)
        pool._available_connections.append(connection)


def _is_waited_for(pool: BlockingConnectionPool) -> bool:
    return pool._condition.locked() or bool(pool._condition._waiters)


def answered(answers: Sequence[Any]) -> Sequence[Any]:
    """The same answers. Raises the first that is a refusal."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


def _in_doubt(answer: Any) -> Any:
    if isinstance(answer, ResponseError) and isinstance(translated(answer), LogFull):
        return RedisConnectionError(f"the answer was lost, and then: {answer}")
    return answer


class Script:
    """A Lua file of this package. The server keeps it by its SHA-1 until it restarts or another server takes over."""

    def __init__(self, file: str) -> None:
        self.text = Path(__file__).with_name(file).read_text(encoding="utf-8")
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def command(self, keys: Sequence[str], arguments: Sequence[Argument]) -> Command:
        return ("EVALSHA", self.digest, len(keys), *keys, *arguments)

    async def load(self, client: RedisClient, keys: Iterable[str]) -> None:
        """Into the servers that serve the keys: on a cluster each node has scripts of its own."""
        if isinstance(client, RedisCluster):
            for node in {await node_of(client, key) for key in keys}:
                await client.execute_command("SCRIPT", "LOAD", self.text, target_nodes=node)
        else:
            await execute(client, "SCRIPT", "LOAD", self.text)

    async def run(self, client: RedisClient, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Loads the script where the server does not know it: nothing of the first call took effect."""
        command = self.command(keys, arguments)
        with at_the_border():
            try:
                return await _call(client, command)
            except NoScriptError:
                await self.load(client, keys)
                return await _call(client, command)


async def _call(client: RedisClient, command: Command) -> Any:
    """One server is asked as it is for several, at half the price: nothing else is to be made of the answer."""
    if isinstance(client, RedisCluster):
        return await execute(client, *command)
    return answered(await exchange(client, (command,)))[0]
