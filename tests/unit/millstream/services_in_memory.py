"""What routes that write work with, over a log and blobs in memory."""

from collections.abc import Callable

from blobs.memory import MemoryBlobStore
from blobs.store import BlobStore
from domain.knowledge_base_status import KnowledgeBaseStatus
from events.ids import IdFactory, KnowledgeBaseId
from events.log import EventLog
from ingest.memory_uploads import MemoryUploads
from ingest.services import EmbeddingModel, IngestServices, StatusOf

MODELS = {
    "": EmbeddingModel("local", 8),
    "local": EmbeddingModel("local", 8),
    "hash": EmbeddingModel("hash", 8),
}


async def _no_status(_: KnowledgeBaseId) -> KnowledgeBaseStatus:
    raise NotImplementedError


def services_in_memory(
    log: EventLog,
    ids: IdFactory,
    clock_us: Callable[[], int],
    *,
    blobs: BlobStore | None = None,
    status_of: StatusOf = _no_status,
) -> IngestServices:
    """Services of an open service."""
    return IngestServices(
        log=log,
        blobs=blobs or MemoryBlobStore(),
        uploads=MemoryUploads(),
        ids=ids,
        clock_us=clock_us,
        actor_of=lambda _: "tests",
        known_embedding=MODELS.get,
        status_of=status_of,
    )
