"""Operations: what is stored of a document, its chunks."""

from collections.abc import Mapping
from typing import Final

from domain.status import DocumentStatus
from ingest.problems import ProblemCode
from millstream.openapi.of_documents import UNKNOWN
from millstream.openapi.of_knowledge_bases import EMBEDDED, GONE
from millstream.openapi.operation import Answer, Header, In, JsonBody, Operation, Parameter, Tag
from millstream.openapi.parameters import CONDITIONAL, ETAG, IF_NONE_MATCH, PAGED, TEXT, whole
from millstream.openapi.problems import CHANGED
from millstream.reading.changes import ChangeChunkBody, ChangeDocumentBody
from millstream.reading.preview import ChunkPreview, PreviewBody
from millstream.reading.routes import (
    NEIGHBOURS_MAX,
    OCTETS,
    PAGE_NUMBER_MAX,
    PLAIN,
    TEXT_CHARACTERS_MAX,
    DocumentText,
)
from millstream.reading.shown import ChunkRead, ShownChunk
from projections.lists import Listing

UNREAD: Final = UNKNOWN | {
    ProblemCode.DOCUMENT_DAMAGED,
    ProblemCode.DOCUMENT_ENDED,
    ProblemCode.DOCUMENT_IN_PROGRESS,
    ProblemCode.DOCUMENT_REMOVED,
    ProblemCode.STEP_NOT_REACHED,
}
"""Why there may be nothing to read."""

RANGE: Final = (
    Parameter(name="Range", where=In.HEADER, schema=TEXT, description="One range of bytes.", example="bytes=0-1023"),
    Parameter(
        name="If-Range",
        where=In.HEADER,
        schema=TEXT,
        description="The `ETag` of the part that you have; else the whole.",
    ),
)
SENT: Final = (
    ETAG,
    Header(name="Content-Disposition", schema=TEXT, description="An attachment, under its name."),
    Header(name="Accept-Ranges", schema=TEXT, description="`bytes`."),
    Header(name="Repr-Digest", schema=TEXT, description="SHA-256 of the whole (RFC 9530)."),
)
CONTENT_RANGE: Final = Header(name="Content-Range", schema=TEXT, description="Which bytes these are, and of how many.")

UNCHANGED: Final = (
    CHANGED
    | UNREAD
    | {ProblemCode.EMBEDDING_MISMATCH, ProblemCode.EMBEDDING_REJECTED}
    | {ProblemCode.TOO_MANY_EDITS, ProblemCode.UNKNOWN_CHUNK}
)
"""Why a chunk may stay as it is."""

OPERATIONS: Final[Mapping[str, Operation]] = {
    "get_document_content": Operation(
        summary="Download the original",
        description=(
            "The bytes as they were uploaded, as an attachment. They are compared with their digest on the way: an "
            "answer that ends ahead of its `Content-Length` is of a damaged file."
        ),
        tag=Tag.DOCUMENTS,
        parameters=(IF_NONE_MATCH, *RANGE),
        answers=(
            Answer(description="The whole.", media_type=OCTETS, schema={}, headers=SENT),
            Answer(status=206, description="A part.", media_type=OCTETS, schema={}, headers=(*SENT, CONTENT_RANGE)),
            Answer(status=304, description="It is what you have.", media_type="", headers=(ETAG,)),
        ),
        problems=UNREAD | {ProblemCode.RANGE_NOT_SATISFIABLE},
    ),
    "get_document_text": Operation(
        summary="Read the text of a document",
        description="With its pages, headings and tables; or, where `Accept` names `text/plain` first, the text alone.",
        tag=Tag.DOCUMENTS,
        parameters=(
            Parameter(name="page", schema=whole(1, PAGE_NUMBER_MAX), description="Only this page (from 1)."),
            Parameter(
                name="start",
                schema=whole(0, TEXT_CHARACTERS_MAX, 0),
                description="Only from this character of the whole text on; `span` says where the part ends.",
            ),
            Parameter(
                name="characters", schema=whole(1, TEXT_CHARACTERS_MAX), description="At most so many characters."
            ),
        ),
        answers=(Answer(description="The text.", structs=(DocumentText,), others={PLAIN: TEXT}),),
        problems=UNREAD,
    ),
    "preview_chunks": Operation(
        summary="Try how a text would be cut",
        description=(
            "A text or a document of the knowledge base (exactly one of `text` and `document_id`), by its settings and "
            "those given; nothing is stored."
        ),
        tag=Tag.KNOWLEDGE_BASES,
        body=JsonBody(
            struct=PreviewBody,
            examples={
                "a text": {"text": "# Safety\n\nStop the stones first.", "settings": {"chunk_tokens": 64}},
            },
        ),
        is_idempotent=True,
        answers=(Answer(description="The first chunks, and figures about all.", structs=(ChunkPreview,)),),
        problems=UNREAD | GONE | EMBEDDED,
    ),
    "list_chunks": Operation(
        summary="List the chunks of a document",
        description="In their order, as searches find them: with what persons have changed.",
        tag=Tag.DOCUMENTS,
        parameters=PAGED,
        answers=(Answer(description="One page.", structs=(Listing[ShownChunk],)),),
        problems=UNREAD,
    ),
    "change_document": Operation(
        summary="Change a document",
        description=(
            "Only what is given is changed; `metadata` takes the place of all that was said before. Searches filter by "
            "it at once, and leave out at once what is not `enabled`. It stays when the document is processed again."
        ),
        tag=Tag.DOCUMENTS,
        parameters=CONDITIONAL,
        body=JsonBody(
            struct=ChangeDocumentBody,
            examples={"said anew": {"metadata": {"year": 2026}}, "left out of searches": {"enabled": False}},
        ),
        answers=(Answer(description="The document as it is now.", structs=(DocumentStatus,), headers=(ETAG,)),),
        problems=CHANGED | UNKNOWN | {ProblemCode.DOCUMENT_ENDED, ProblemCode.DOCUMENT_REMOVED},
    ),
    "change_chunk": Operation(
        summary="Change a chunk",
        description=(
            "Its text, or whether searches find it; `text` null is the text as it was cut. The change stays when the "
            "document is processed again, as long as that makes the same chunk; the document's status lists the chunks "
            "for which it did not. `If-Match` is about the document."
        ),
        tag=Tag.DOCUMENTS,
        parameters=CONDITIONAL,
        body=JsonBody(
            struct=ChangeChunkBody,
            examples={"mended": {"text": "Stop the stones first."}, "left out of searches": {"enabled": False}},
        ),
        answers=(Answer(description="The chunk as it is now.", structs=(ShownChunk,)),),
        problems=UNCHANGED,
    ),
    "get_chunk": Operation(
        summary="Read a chunk",
        tag=Tag.DOCUMENTS,
        parameters=(
            Parameter(
                name="neighbours",
                schema=whole(0, NEIGHBOURS_MAX, 0),
                description="So many chunks on each side, as `before` and `after`.",
            ),
        ),
        answers=(Answer(description="The chunk.", structs=(ChunkRead,)),),
        problems=UNREAD | {ProblemCode.UNKNOWN_CHUNK},
    ),
}
