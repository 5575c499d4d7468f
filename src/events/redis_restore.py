"""An installation's identity in Redis, and a log that is put back into an empty one. Keys are described in `keys.py`.

What is put back is a log whose events have all been trimmed: marks, manifest, and where each stream stands. The
installation's own key comes last, so that a restore that was broken off is no installation, and begins again.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Final

import msgspec

from events.epochs import EPOCH_FIRST
from events.ids import pack_stream_id
from events.keys import Keys
from events.redis_border import RedisClient, at_the_border, execute
from events.redis_setup import FORMAT_BY_PLACE
from events.restored import RestoredLog, StreamEnd

STREAMS_A_CALL: Final = 1_000


class StoredInstallation(msgspec.Struct, frozen=True):
    """Who a Redis says that it belongs to; `is_marked`: the blob store had its marker once."""

    installation_id: str
    is_marked: bool


async def stored_installation(client: RedisClient, namespace: str = "ms") -> StoredInstallation | None:
    """None for a Redis that no installation has begun in. Raises LogUnavailable."""
    with at_the_border():
        found = await execute(client, "HMGET", Keys(1, namespace).installation, "id", "marked")
    return None if found[0] is None else StoredInstallation(found[0].decode(), found[1] is not None)


async def note_marked(client: RedisClient, keys: Keys) -> None:
    """From now on a blob store without a marker is another one."""
    with at_the_border():
        await execute(client, "HSET", keys.installation, "marked", "1")


class RedisRestore:
    """Writes into a Redis that nothing else writes to meanwhile."""

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def begin(self) -> bool:
        """Clears what a restore that was broken off has left; False and nothing where an installation's log lives."""
        with at_the_border():
            is_begun = await execute(self._client, "HEXISTS", self._keys.installation, "restoring")
            for partition in range(self._keys.partitions):
                if not is_begun and await execute(self._client, "EXISTS", self._keys.log(partition)):
                    return False
            await execute(self._client, "DEL", self._keys.installation)
            await execute(self._client, "HSET", self._keys.installation, "restoring", "1")
            for partition in range(self._keys.partitions):
                pattern = self._keys.log(partition).removesuffix("log") + "*"
                async for key in self._client.scan_iter(match=pattern, count=STREAMS_A_CALL):
                    await execute(self._client, "UNLINK", key)
        return True

    async def put_streams(self, streams: Mapping[str, StreamEnd]) -> None:
        """Where each stream stands, as the archiver notes it of streams without an event in the log."""
        ends = iter(streams.items())
        with at_the_border():
            while part := list(islice(ends, STREAMS_A_CALL)):
                async with self._client.pipeline(transaction=False) as pipeline:
                    for stream, end in part:
                        value = f"{end.version} {end.entry_id}"
                        pipeline.execute_command("HSET", self._keys.quiet(stream), pack_stream_id(stream), value)
                    await pipeline.execute()

    async def put_log(self, restored: RestoredLog) -> None:
        """Marks and manifest; what is appended next goes on behind the last archived event, whatever the clock says.

        Its epoch is one more than any before: whoever holds a place of what was lost can tell.
        """
        partition, last = restored.partition, restored.segments[-1] if restored.segments else None
        meta: dict[str, str | int] = {"epoch": max(restored.epoch, EPOCH_FIRST) + 1}
        with at_the_border():
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.delete(self._keys.log(partition), self._keys.segments(partition), self._keys.meta(partition))
                for one in restored.segments:
                    line = msgspec.msgpack.encode(one)
                    pipeline.execute_command("ZADD", self._keys.segments(partition), one.first_number, line)
                if last is not None:
                    entry_id, number = last.last.entry_id, last.last_number
                    pipeline.execute_command("XADD", self._keys.log(partition), entry_id, "e", "")
                    pipeline.execute_command("XTRIM", self._keys.log(partition), "MAXLEN", 0)
                    meta |= {"number": number, "last": entry_id, "trimmed": number, "trimmed_at": entry_id}
                    meta |= {"archived": number, "archived_at": str(last.last), "digest": last.digest}
                values = [value for field in meta.items() for value in field]
                pipeline.execute_command("HSET", self._keys.meta(partition), *values)
                await pipeline.execute()

    async def put_installation(self, installation_id: str) -> None:
        """From now on services may start."""
        fields: tuple[str | int, ...] = (
            "format",
            FORMAT_BY_PLACE,
            "partitions",
            self._keys.partitions,
            "id",
            installation_id,
            "marked",
            1,
        )
        with at_the_border():
            await execute(self._client, "HSET", self._keys.installation, *fields)
            await execute(self._client, "HDEL", self._keys.installation, "restoring")
