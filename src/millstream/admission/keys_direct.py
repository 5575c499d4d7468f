"""Keys changed on the installation's own Redis: how the first one is made, and the way back in when all are lost.

Whoever reaches Redis may do anything anyway; here nobody is asked for a key.
"""

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from secrets import token_bytes

import msgspec

from domain.errors import Contention, Refused
from events.errors import InvalidId, LogError
from events.ids import KnowledgeBaseId, parse_knowledge_base_id, partition_of
from events.keys import Keys
from millstream.admission.key_book import KeyBook
from millstream.admission.redis_key_store import RedisKeyStore
from millstream.blob_location import open_blobs
from millstream.embedded import EmbeddedRedis, reachable_redis
from millstream.errors import ExitCode, Stop
from millstream.installation import connect, open_marked, unreachable
from millstream.settings import Settings
from millstream.telemetry import configure_logging

ACTOR = "command line"


class DirectBook(msgspec.Struct, frozen=True):
    """The book, and the partitions that there are."""

    book: KeyBook
    keys: Keys

    def bound_to(self, ids: Iterable[str]) -> tuple[KnowledgeBaseId, ...]:
        """Ids of knowledge bases, as far as can be told without reading them. Raises Stop."""
        try:
            found = tuple(map(parse_knowledge_base_id, ids))
        except InvalidId as error:
            raise Stop(str(error), hint="without a server name knowledge bases by their ids") from None
        for one in found:
            if partition_of(one) >= self.keys.partitions:
                raise Stop(f"there is no knowledge base {one} here", exit_code=ExitCode.FAILED_WORK)
        return found


@asynccontextmanager
async def open_book(settings: Settings) -> AsyncIterator[DirectBook]:
    """Raises Stop, also for what the book refuses inside."""
    configure_logging(settings, role="keys")
    async with _redis_url(settings) as url:
        settings = msgspec.structs.replace(settings, redis_url=url)
        blobs = open_blobs(settings)
        try:
            async with connect(settings) as clients:
                keys = await open_marked(settings, clients, blobs)
                store = RedisKeyStore(clients.commands, keys)
                yield DirectBook(KeyBook(store, blobs, clock_us=_clock_us, random_bytes=token_bytes), keys)
        except LogError as error:
            raise unreachable(settings, error) from None
        except Refused as refused:
            raise Stop(refused.detail) from None
        except Contention as error:
            raise Stop(str(error), hint="run it again") from None
        finally:
            await blobs.close()


@asynccontextmanager
async def _redis_url(settings: Settings) -> AsyncIterator[str]:
    """An installation that does not exist yet is made: the first key may come before the first start."""
    if settings.redis_url or (settings.data_path / "redis").exists():
        async with reachable_redis(settings.redis_url, settings.data_path) as url:
            yield url
        return
    async with EmbeddedRedis(settings.data_path) as embedded:
        yield embedded.url


def _clock_us() -> int:
    return time.time_ns() // 1_000
