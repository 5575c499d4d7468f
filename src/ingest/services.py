"""What the routes of this package work with; the composition makes it once."""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
from starlette.requests import Request

from blobs.store import BlobStore
from domain.access import Bound
from domain.dead_letters import DeadLetter, DeadLetterQuery
from domain.handle import Context
from domain.knowledge_base_status import KnowledgeBaseStatus
from events.ids import IdFactory, KnowledgeBaseId
from events.log import EventLog
from events.trace_context import trace_parent
from ingest.callbacks import Callbacks
from ingest.called_urls import CheckUrl, calls_nobody
from ingest.quota import RoomOf, without_limit
from ingest.settings import IngestSettings
from ingest.upload_registry import UploadRegistry

ActorOf = Callable[[Request], str]
"""Who asks; goes into every event. Without keys it is one name for everybody."""


class EmbeddingModel(msgspec.Struct, frozen=True):
    """A model that can be made here, by its full name, the length of its vectors, and the prefixes of a knowledge base
    that names none."""

    name: str
    dimensions: int
    query_prefix: str = ""
    passage_prefix: str = ""


KnownEmbedding = Callable[[str], EmbeddingModel | None]
"""The model of a name or alias (empty: the configured one), None for one that cannot be made here."""

StatusOf = Callable[[KnowledgeBaseId], Awaitable[KnowledgeBaseStatus]]
"""A knowledge base with its counters as GET shows it, which is the reading side's to know."""


DeadLettersOf = Callable[[DeadLetterQuery, Bound], AsyncIterator[DeadLetter]]
"""What failed and may be seen, as the reading side has it; each is looked at again before anything is done about it."""


RefuseEnded = Callable[[MutableMapping[str, Any]], None]
"""Asked with a request's scope right before something is written that took long to come: raises Rejected where the key
that brought it has ended since."""


class IngestServices(msgspec.Struct, frozen=True, kw_only=True):
    """`clock_us` is unix µs; `ids` makes event and task ids, and the nonces of blob keys."""

    log: EventLog
    blobs: BlobStore
    uploads: UploadRegistry
    ids: IdFactory
    clock_us: Callable[[], int]
    actor_of: ActorOf
    known_embedding: KnownEmbedding
    status_of: StatusOf
    settings: IngestSettings = IngestSettings()
    room_of: RoomOf = without_limit
    refuse_ended: RefuseEnded = lambda _scope: None
    callbacks: Callbacks | None = None
    check_url: CheckUrl = calls_nobody
    has_import_bucket: bool = False

    def context(self, correlation_id: str, actor: str) -> Context:
        """What goes into the envelopes of one request."""
        return Context(
            clock_us=self.clock_us,
            new_event_id=self.ids.event,
            correlation_id=correlation_id,
            actor=actor,
            trace_parent=trace_parent(),
        )
