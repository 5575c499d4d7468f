"""Commands as bytes, and their answers off a connection: a third less client time a command than redis-py's own way."""

import asyncio
import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

_CLOSED: Final = "the handler is closed"
"""What uvloop says, as a RuntimeError that redis-py lets through, of a write to a connection that the other side ended
since it was made."""

_WRITTEN_WITH: Final = frozenset({"writelines", "drain"})
"""What redis-py does with the writer of a connection, which is None once another task has broken the connection off: a
client of a cluster does so with all of a node's."""

LATE: Final = (RuntimeError, AttributeError)
"""The kinds of errors that may be of a closed connection (`is_of_closed`)."""

WRITTEN_AT_ONCE_BYTES_MAX: Final = 65_536
"""What the event loop takes of a write without letting wait for the other side; nothing else is under way then."""

Argument = str | bytes | int
Command = Sequence[Argument]


def packed(commands: Iterable[Command]) -> bytes:
    """Commands as they are sent in one write."""
    return b"".join(map(_pack, commands))


def is_of_closed(error: RuntimeError | AttributeError) -> bool:
    """Whether a write came too late for its connection."""
    if isinstance(error, AttributeError):
        return error.obj is None and error.name in _WRITTEN_WITH
    return _CLOSED in str(error)


async def ask(connection: AbstractConnection, sent: bytes, count: int) -> list[Any]:
    """Sends commands as `packed` makes them, and answers as they are answered; a refusal is its ResponseError. Connects
    where that is needed. Raises what redis-py raises where no answer comes, and its ConnectionError for a connection
    that the other side has ended. Whoever is left with an error breaks the connection off.

    One timer watches over the answers, and is set anew where something took long: redis-py sets and cancels one for
    each answer, which is more work than reading it, and writes by a task of its own. A bare one takes a quarter of the
    time of `asyncio.timeout`.
    """
    if not connection.is_connected:
        await connection.connect_check_health(check_health=False)
    limit_s: float | None = connection.socket_timeout
    if limit_s is None or len(sent) <= WRITTEN_AT_ONCE_BYTES_MAX:
        await _write(connection, sent)
    else:
        try:
            async with asyncio.timeout(limit_s):
                await _write(connection, sent)
        except TimeoutError as error:
            raise _late(limit_s) from error
    if limit_s is None:
        return [await _answer(connection) for _ in range(count)]
    loop, answers = asyncio.get_running_loop(), list[Any]()
    set_s = loop.time()
    timer = loop.call_later(limit_s, _break_off, connection, limit_s)
    try:
        for _ in range(count):
            answers.append(await _answer(connection))
            if (now_s := loop.time()) - set_s > limit_s / 10:
                set_s = now_s
                timer.cancel()
                timer = loop.call_later(limit_s, _break_off, connection, limit_s)
    finally:
        timer.cancel()
    if connection._reader is not None and connection._reader.exception() is not None:
        # The limit came with the last answer: whoever reads next would be told of it.
        await connection.disconnect(nowait=True)
    return answers


async def _answer(connection: AbstractConnection) -> Any:
    try:
        answer = await connection.read_response(timeout=math.inf)
    except ResponseError as error:
        return error
    if answer is None:
        _raise_where_it_ended(connection)
    return answer


def _break_off(connection: AbstractConnection, limit_s: float) -> None:
    """Whoever reads is told so by its stream."""
    if connection._reader is not None:
        connection._reader.set_exception(_late(limit_s))


def _late(limit_s: float) -> RedisTimeoutError:
    return RedisTimeoutError(f"no answer within {limit_s:g} s")


def _raise_where_it_ended(connection: AbstractConnection) -> None:
    """The kernel gives up a connection whose other side confirms nothing for too long. redis-py takes that error for a
    timeout of its own and answers nil, without an end: an append would be told that its stream is full."""
    ended = "broken off" if connection._reader is None else connection._reader.exception()
    if ended is not None:
        raise RedisConnectionError(f"the connection ended before it was answered: {ended}")


async def _write(connection: AbstractConnection, sent: bytes) -> None:
    try:
        await connection._send_packed_command((sent,))
    except LATE as error:
        if not is_of_closed(error):
            raise
        raise RedisConnectionError("the connection ended before it was written to") from error
    except OSError as error:
        raise RedisConnectionError(f"the connection ended before it was written to: {error}") from error


def paired(answers: Sequence[Any], told: Any) -> list[Any]:
    """Each answer but a refusal beside what was told behind them all."""
    return [answer if isinstance(answer, ResponseError) else (answer, told) for answer in answers]


def _pack(command: Command) -> bytes:
    found: bytes = pack_command(tuple(command))  # type: ignore[arg-type]  # declared for one argument, takes any number
    return found
