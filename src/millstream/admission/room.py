"""How much more a knowledge base may hold, from the settings, the key and the counters of the view."""

from collections.abc import Callable

from domain.api_keys import KeyLimits
from events.ids import KnowledgeBaseId
from ingest.quota import Room, RoomOf
from millstream.admission.settings import AdmissionSettings
from projections.queries import Queries

LimitsOf = Callable[[str], KeyLimits]
"""What holds for an actor instead of the settings."""


def no_limits(_actor: str) -> KeyLimits:
    """Where there are no keys to ask."""
    return KeyLimits()


def room_by(queries: Queries, settings: AdmissionSettings, limits_of: LimitsOf) -> RoomOf:
    """Nothing is read where nothing is limited."""

    async def room_of(knowledge_base: KnowledgeBaseId, actor: str) -> Room:
        own = limits_of(actor)
        bytes_max = _first(own.knowledge_base_bytes_max, settings.knowledge_base_bytes_max)
        documents_max = _first(own.knowledge_base_documents_max, settings.knowledge_base_documents_max)
        if not bytes_max and not documents_max:
            return Room()
        counts = await queries.knowledge_base_counts(knowledge_base)
        return Room(
            bytes_left=bytes_max - counts.size_bytes if bytes_max else None,
            documents_left=documents_max - counts.total if documents_max else None,
        )

    return room_of


def _first(own: int | None, as_set: int) -> int:
    return as_set if own is None else own
