"""The border to redis-py: its errors become ours, its scripts are sent by their digest."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, OutOfMemoryError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from events.errors import FormatMismatch, LogError, LogFull, LogUnavailable

Argument = str | bytes | int
Command = Sequence[Argument]

_FULL: Final = ("OOM", "MISCONF")
_UNAVAILABLE: Final = ("LOADING", "BUSY", "MASTERDOWN", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "NOPERM")


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
        case ResponseError() if text.startswith(_UNAVAILABLE) or type(error) is not ResponseError:
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
