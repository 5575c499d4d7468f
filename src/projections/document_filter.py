"""Which documents of a knowledge base a list is of, and whether a row is one of them."""

import unicodedata
from typing import Final

import msgspec

from domain.document import DocumentState, Erased, Removed, Skipped, Unknown, record_of
from domain.status import DocumentPhase, document_phase
from events.ids import KnowledgeBaseId
from projections.documents import documents_index, metadata_index, metadata_text
from projections.projection import member

METADATA_FILTERS_MAX: Final = 16


class DocumentFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is given must hold. Times are those of acceptance (unix µs); `until_us` is left out itself.

    `name_part` occurs anywhere in the filename, whatever its case and width; `metadata` are keys and values as text.
    """

    phase: DocumentPhase | None = None
    name_part: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    since_us: int | None = None
    until_us: int | None = None

    def index(self, knowledge_base: KnowledgeBaseId) -> str:
        """The one list that is read; whatever it does not say of its members is asked of their rows."""
        if self.metadata:
            return metadata_index(knowledge_base, *self.metadata[0])
        return documents_index(knowledge_base, self.phase)

    @property
    def floor(self) -> str | None:
        return None if self.since_us is None else member(max(self.since_us, 0), "")

    @property
    def ceiling(self) -> str | None:
        return None if self.until_us is None else member(max(self.until_us, 0), "")

    @property
    def is_answered_by_its_list(self) -> bool:
        """Whether every member of the list belongs to it."""
        lists = len(self.metadata) + (self.phase is not None)
        return lists <= 1 and self.name_part is None

    def scope(self, knowledge_base: KnowledgeBaseId) -> str:
        """Names the list with its filters, for cursors; a plain one by the name that it has among the lists."""
        if self == DocumentFilter(phase=self.phase):
            return documents_index(knowledge_base, self.phase)
        return f"{knowledge_base}/documents?{msgspec.json.encode(self).decode()}"

    def accepts(self, state: DocumentState) -> bool:
        """Whether a document that is in the list belongs to what is asked for."""
        if self.phase is not None and document_phase(state) is not self.phase:
            return False
        if self.metadata and not set(self.metadata) <= _metadata(state):
            return False
        return self.name_part is None or folded(self.name_part) in folded(_filename(state))


def folded(text: str) -> str:
    """The form in which names are compared (Unicode, UAX 15 and chapter 3.13)."""
    return unicodedata.normalize("NFKC", text).casefold()


def _filename(state: DocumentState) -> str:
    match state:
        case Unknown() | Removed() | Erased():
            return ""
        case Skipped():
            return state.filename
        case _:
            return record_of(state).about.filename


def _metadata(state: DocumentState) -> set[tuple[str, str]]:
    if isinstance(state, Unknown | Removed | Erased | Skipped):
        return set()
    return {(key, metadata_text(value)) for key, value in record_of(state).about.metadata.items()}
