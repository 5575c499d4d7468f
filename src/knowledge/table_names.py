"""Names of tables, the same in every store: knowledge base and generation."""

import re
from typing import Final

from knowledge.errors import KnowledgeError
from knowledge.index import IndexTable

_KNOWLEDGE_BASE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


def table_of(name: str) -> IndexTable | None:
    """The table of this name; None for one that this program never made."""
    knowledge_base, _, generation = name.rpartition(".")
    is_ours = _KNOWLEDGE_BASE_ID.fullmatch(knowledge_base) is not None and generation.isdecimal()
    return IndexTable(knowledge_base, int(generation)) if is_ours else None


def name_of(table: IndexTable) -> str:
    """Raises KnowledgeError for an id that cannot be part of a name."""
    if not _KNOWLEDGE_BASE_ID.fullmatch(table.knowledge_base_id):
        raise KnowledgeError(f"{table.knowledge_base_id!r} cannot name a table")
    return f"{table.knowledge_base_id}.{table.generation}"
