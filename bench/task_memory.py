"""What a finished one-file task takes in Redis: before archiving, after it, and once it has left the lists.

    PYTHONPATH=src:. python bench/task_memory.py [tasks]

Goals: at most 3 kB before archiving and 1 kB after. What has a limit of its own (the feed of changes, inboxes) is
left out; the rest is told by kind of key.
"""

import asyncio
import re
import sys
import tempfile
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Final

from bench.figures import note, reported
from blobs.local import LocalBlobStore
from events.keys import Keys
from events.pointer import INBOX_CODES
from events.redis_archive import RedisArchive
from events.redis_border import execute
from events.redis_clients import Clients, make_clients
from events.redis_log import RedisLog
from events.redis_setup import open_installation
from projections.archiver import Archiver, ArchiveSettings
from projections.projector import Projector
from projections.redis_views import RedisViews
from projections.retention import SWEEP_INTERVAL_US, Retention, expired
from tests.servers.redis_process import RedisProcess, redis_binary
from tests.workshop import Workshop

TASKS_DEFAULT: Final = 1_000
LATER_US: Final = 4_000_000_000_000_000
KINDS: Final = (
    ("log", r":log$"),
    ("streams", r":stream:"),
    ("histories", r":history:"),
    ("quiet streams", r":quiet:"),
    ("rows of tasks", r":rows:tasks$"),
    ("rows of documents", r":rows:documents$"),
    ("lists", r":index:|:indexes$|:leaved$|:leaves:|:leaf:"),
    ("other", r""),
)


async def memory_by_kind(clients: Clients) -> Counter[str]:
    """Bytes of all keys; limits of their own are left out."""
    found: Counter[str] = Counter()
    async for key in clients.commands.scan_iter(count=1_000):
        name = key.decode()
        if not re.search(r":inbox:|:changes$", name):
            kind = next(kind for kind, pattern in KINDS if re.search(pattern, name))
            found[kind] += int(await execute(clients.commands, "MEMORY", "USAGE", key, "SAMPLES", 0))
    return found


def tell(title: str, found: Counter[str], base: Counter[str], tasks: int) -> None:
    grown = {kind: (found[kind] - base[kind]) / tasks for kind, _ in KINDS}
    parts = ", ".join(f"{kind} {size:.0f}" for kind, size in grown.items() if round(size))
    note(title, "bytes a task", float(sum(grown.values())))
    print(f"{title}: {sum(grown.values()):,.0f} bytes a task ({parts})")


async def project(projector: Projector) -> None:
    while await projector.advance():
        pass


async def drain(clients: Clients, keys: Keys) -> None:
    for step, lane in INBOX_CODES:
        await execute(clients.commands, "XTRIM", keys.inbox(0, step, lane), "MAXLEN", 0)


async def measure(clients: Clients, directory: Path, tasks: int) -> None:
    keys = await open_installation(clients.commands, partitions=1)
    log, views = RedisLog(clients.commands, clients.blocking, keys), RedisViews(clients.commands, keys)
    projector = Projector(log, views, partition=0, holder="live")
    workshop = Workshop(log)
    knowledge_base = await workshop.create()
    await project(projector)
    base = await memory_by_kind(clients)
    for _ in range(tasks):
        await workshop.through(knowledge_base, 1)
    await project(projector)
    await drain(clients, keys)
    tell("before archiving", await memory_by_kind(clients), base, tasks)
    blobs = LocalBlobStore(directory / "blobs")
    settings = ArchiveSettings(retention_s=0)
    archiver = Archiver(RedisArchive(clients.commands, keys), blobs, partition=0, holder="archiver", settings=settings)
    done = await archiver.advance(everything=True)
    assert done is not None
    assert done.trimmed == (await log.head(0)).number
    tell("after archiving", await memory_by_kind(clients), base, tasks)
    clock = count(LATER_US, SWEEP_INTERVAL_US)
    retention = Retention(keep_us=1, clock_us=lambda: next(clock))
    sweeping = Projector(log, views, partition=0, holder="live", retention=retention)
    # A sweep takes some hundreds of tasks: measured between two, the figure would be that of half of them.
    while await expired(views, 0, LATER_US) is not None:
        await sweeping.advance()
    tell("after its retention", await memory_by_kind(clients), base, tasks)
    await blobs.close()


async def main(tasks: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ms-bench-") as name:
        server = RedisProcess(redis_binary(), Path(name))
        server.start()
        try:
            async with make_clients(server.url) as clients:
                await measure(clients, Path(name), tasks)
        finally:
            server.stop()


if __name__ == "__main__":
    with reported():
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else TASKS_DEFAULT))
