"""What a refused attempt may have left behind its document's back."""

from domain.document import DocumentState, Erased, Removed, Skipped
from processors.artifacts import prefix_of
from processors.bundle import StepBlobs
from processors.step import Work


async def erase_leftovers(blobs: StepBlobs, work: Work, now: DocumentState) -> None:
    """Deletes the blobs of a document that was removed while the attempt ran, or turned out to be here already.

    The erasure may have counted before the attempt wrote. Blobs of a document that lives on go with it one day.
    """
    if isinstance(now, Removed | Erased | Skipped):
        await blobs.delete_prefix(prefix_of(work.document_id))
