"""Knowledge bases and documents as the protocol's resources, for clients that let people choose what to attach."""

import re
from typing import Final

import msgspec

from domain.amounts import counted
from domain.knowledge_base_status import KnowledgeBaseStatus
from domain.status import DocumentStatus
from millstream.errors import Stop
from millstream.mcp.arguments import READ_CHARACTERS_MAX
from millstream.mcp.calls import Calls

JSON: Final = "application/json"
PLAIN: Final = "text/plain"
ROWS: Final = 50

_KNOWLEDGE_BASE: Final = re.compile(r"millstream://knowledge-bases/(kb_[0-9a-f]{34})")
_DOCUMENT: Final = re.compile(rf"{_KNOWLEDGE_BASE.pattern}/documents/(doc_[0-9a-f]{{34}})")


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A resource, or with names in braces a template of such."""

    name: str
    uri: str
    description: str
    type: str


class Resources(msgspec.Struct, frozen=True):
    """One page."""

    resources: tuple[Listed, ...]
    next_cursor: str | None


class Read(msgspec.Struct, frozen=True):
    """What is in a resource."""

    text: str
    type: str


TEMPLATES: Final = (
    Listed(
        name="knowledge base",
        uri="millstream://knowledge-bases/{knowledge_base_id}",
        description=f"The first {ROWS} documents of a knowledge base, newest first.",
        type=JSON,
    ),
    Listed(
        name="document",
        uri="millstream://knowledge-bases/{knowledge_base_id}/documents/{document_id}",
        description=f"The first {READ_CHARACTERS_MAX:,} characters of a document's text; read_document reads on.",
        type=PLAIN,
    ),
)


async def list_resources(calls: Calls, cursor: str | None) -> Resources:
    """Knowledge bases. Raises Stop."""
    page = await calls.page("/knowledge-bases", limit=ROWS, cursor=cursor)
    return Resources(tuple(map(_listed, page.of(KnowledgeBaseStatus))), page.next_cursor)


async def read_resource(calls: Calls, uri: str) -> Read:
    """Raises Stop."""
    if (document := _DOCUMENT.fullmatch(uri)) is not None:
        text = await calls.text(document[1], document[2], start=0, characters=READ_CHARACTERS_MAX)
        return Read(text.text, PLAIN)
    if (knowledge_base := _KNOWLEDGE_BASE.fullmatch(uri)) is not None:
        page = await calls.documents(knowledge_base[1], limit=ROWS)
        rows = [_row(knowledge_base[1], one) for one in page.of(DocumentStatus)]
        return Read(msgspec.json.encode({"documents": rows, "has_more": page.next_cursor is not None}).decode(), JSON)
    raise Stop(f"there is no resource {uri!r}")


def _listed(status: KnowledgeBaseStatus) -> Listed:
    return Listed(
        name=status.name,
        uri=f"millstream://knowledge-bases/{status.knowledge_base_id}",
        description=status.description or counted(status.documents.searchable, "document"),
        type=JSON,
    )


def _row(knowledge_base_id: str, status: DocumentStatus) -> dict[str, str]:
    uri = f"millstream://knowledge-bases/{knowledge_base_id}/documents/{status.document_id}"
    return {"uri": uri, "filename": status.filename, "status": status.status.value}
