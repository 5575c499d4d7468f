"""Settings that are given for documents, in place of those of their knowledge base."""

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from domain.deciders import knowledge_base_decider
from domain.document import STEPS_IN_ORDER
from domain.errors import RefusalCode, Refused
from domain.handle import load
from domain.knowledge_base import active, needs_another_index
from events.chunking import ChunkingSettings
from events.ids import KnowledgeBaseId
from events.knowledge_base import KnowledgeBaseSettings
from events.steps import Step
from ingest.knowledge_bases import merged_settings
from ingest.problems import invalid
from ingest.services import IngestServices

OwnChunking = ChunkingSettings | UnsetType | None
"""Unset: as the document was cut before; None: as its knowledge base says."""

_OF_SEARCHES: Final = ("vector_weight", "fusion", "embedding_query_prefix")


async def own_chunking(
    services: IngestServices,
    knowledge_base: KnowledgeBaseId,
    given: dict[str, Any] | UnsetType,
    from_step: Step | None,
) -> OwnChunking:
    """What is given, completed by what the knowledge base says; nothing given is the knowledge base's.

    Raises Rejected, Refused (reindex_required for another embedding), what the log raises.
    """
    if given is UNSET:
        return UNSET
    if from_step is not None and STEPS_IN_ORDER.index(from_step) > STEPS_IN_ORDER.index(Step.CHUNK):
        raise invalid("/from_step", "must be chunk, or an earlier step, where settings are given")
    for name in _OF_SEARCHES:
        if name in given:
            raise invalid(f"/settings/{name}", "is about searches; change the knowledge base, no document is touched")
    known = active((await load(services.log, knowledge_base_decider(knowledge_base), knowledge_base)).state)
    if not given:
        return None
    # What searches find already is cut for the index that is being built, where one is.
    present = known.generation_for(is_searchable=True).settings
    asked = merged_settings(services, present, given)
    _refuse_another_index(present, asked)
    return ChunkingSettings.of(asked)


def settings_said(given: dict[str, Any] | UnsetType) -> tuple[str, ...]:
    """The same settings in the same words, whatever their order; nothing where none are given."""
    return () if given is UNSET else (msgspec.json.encode(given, order="sorted").decode(),)


def _refuse_another_index(present: KnowledgeBaseSettings, asked: KnowledgeBaseSettings) -> None:
    """Where more than the way of cutting is another one."""
    rest = ChunkingSettings.of(present).within(asked)
    if present.embedding_dimensions is None:  # an older fact: those of the model are meant
        rest = replace(rest, embedding_dimensions=None)
    if needs_another_index(present, rest):
        raise Refused(
            RefusalCode.REINDEX_REQUIRED,
            "documents of one index are embedded alike; build another index with these settings: "
            "POST …/knowledge-bases/{kb}/reindex",
        )
