"""The names of a document's blobs.

Each carries the attempt that made it: a zombie cannot overwrite what a newer attempt has stored and recorded.
"""


def prefix_of(document_id: str) -> str:
    """Everything that belongs to the document lies below it."""
    return f"documents/{document_id}/"


def text_blob(document_id: str, attempt: int) -> str:
    return f"{prefix_of(document_id)}text@{attempt}"


def chunks_blob(document_id: str, attempt: int) -> str:
    return f"{prefix_of(document_id)}chunks@{attempt}"


def vectors_blob(document_id: str, batch: int, attempt: int) -> str:
    return f"{prefix_of(document_id)}vectors/{batch}@{attempt}"
