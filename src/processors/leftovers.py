"""What a refused attempt may have left behind its document's back."""

from domain.document import DocumentState, Erased, Removed, Skipped
from events.ids import KnowledgeBaseId
from knowledge.index import Index
from processors.artifacts import prefix_of
from processors.bundle import StepBlobs
from processors.knowledge_bases import KnowledgeBases
from processors.step import Work


async def erase_leftovers(blobs: StepBlobs, work: Work, now: DocumentState) -> None:
    """Deletes the blobs of a document that was removed while the attempt ran, or turned out to be here already.

    The erasure may have counted before the attempt wrote. Blobs of a document that lives on go with it one day.
    """
    if isinstance(now, Removed | Erased | Skipped):
        await blobs.delete_prefix(prefix_of(work.document_id))


async def erase_rows(
    index: Index, known: KnowledgeBases, knowledge_base: KnowledgeBaseId, document: str, *, fence: int
) -> None:
    """Deletes the rows of a document up to a fence, wherever its knowledge base may have put them.

    Of a deleted knowledge base the tables go: whoever writes late makes one anew behind the back of its erasure, and is
    the last to know of it. A write that another one's drop comes upon is followed by a drop of its own.
    """
    tables = await known.tables(knowledge_base)
    is_deleted = await known.is_deleted(knowledge_base)
    for table in tables:
        if is_deleted:
            await index.drop(table)
        else:
            await index.erase(table, document, fence=fence)
