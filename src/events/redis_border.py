"""The border to redis-py: its errors become ours, its scripts are sent by their digest."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, OutOfMemoryError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from events.errors import FormatMismatch, LogError, LogFull, LogUnavailable

Argument = str | bytes | int
Command = Sequence[Argument]

_FULL: Final = ("OOM", "MISCONF")
_UNAVAILABLE: Final = ("LOADING", "BUSY", "MASTERDOWN", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "NOPERM")
_UNAVAILABLE_WITHIN: Final = ("ACL failure in script", "exhausted the last possible ID")
"""Refusals without a code of their own: a right that a script lacks, a stream that takes no more entries. Both last
until an operator acts, and neither must end a process."""


def translated(error: RedisError | OSError) -> LogError:
    """Our error for one of redis-py's; what the server says goes along."""
    text = str(error)
    match error:
        case RedisConnectionError() | RedisTimeoutError() | OSError():
            return LogUnavailable(f"Redis did not answer: {text}")
        case OutOfMemoryError():
            return LogFull(f"Redis refuses writes, its memory is full: {text}")
        case ResponseError() if text.startswith(_FULL):
            return LogFull(f"Redis refuses writes: {text}")
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
    except (RedisError, OSError) as error:
        raise translated(error) from error


async def execute(client: Redis, *command: Argument) -> Any:
    """The server's answer to one command; redis-py's errors stay as they are."""
    return await client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py gives it no types


async def exchange(client: Redis, commands: Sequence[Command]) -> list[Any]:
    """Sends commands at once and reads their answers in order; a refused one's answer is its ResponseError.

    As a redis-py pipeline without a transaction, but packed by hiredis: a third less client time a command. A broken
    connection is retried as the client is told to, so each command must be one that may be repeated. Where the
    repetition finds the server full, the first call may have taken effect all the same: that is no refusal.
    """
    packed = b"".join(map(_pack, commands))
    connection: AbstractConnection = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # untyped

    async def send_and_read() -> list[Any]:
        await connection.send_packed_command(packed, check_health=False)
        return [await _answer(connection) for _ in commands]

    tries = 1

    async def give_up(_error: Exception) -> None:
        nonlocal tries
        tries += 1
        await connection.disconnect()

    try:
        answers: list[Any] = await connection.retry.call_with_retry(send_and_read, give_up)
    except BaseException:
        await connection.disconnect()  # answers that nobody read would be taken for those of the next commands
        raise
    else:
        return answers if tries == 1 else [_in_doubt(answer) for answer in answers]
    finally:
        await client.connection_pool.release(connection)


def answered(answers: Sequence[Any]) -> Sequence[Any]:
    """The same answers. Raises the first that is a refusal."""
    for answer in answers:
        if isinstance(answer, RedisError):
            raise answer
    return answers


def _in_doubt(answer: Any) -> Any:
    if isinstance(answer, ResponseError) and isinstance(translated(answer), LogFull):
        return RedisConnectionError(f"the answer was lost, and then: {answer}")
    return answer


def _pack(command: Command) -> bytes:
    packed: bytes = pack_command(tuple(command))  # type: ignore[arg-type]  # declared for one argument, takes any number
    return packed


async def _answer(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


class Script:
    """A Lua file of this package. The server keeps it by its SHA-1 until it restarts or another server takes over."""

    def __init__(self, file: str) -> None:
        self.text = Path(__file__).with_name(file).read_text(encoding="utf-8")
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def command(self, keys: Sequence[str], arguments: Sequence[Argument]) -> Command:
        return ("EVALSHA", self.digest, len(keys), *keys, *arguments)

    async def load(self, client: Redis) -> None:
        await execute(client, "SCRIPT", "LOAD", self.text)

    async def run(self, client: Redis, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Loads the script where the server does not know it: nothing of the first call took effect."""
        command = self.command(keys, arguments)
        with at_the_border():
            try:
                return await execute(client, *command)
            except NoScriptError:
                await self.load(client)
                return await execute(client, *command)
