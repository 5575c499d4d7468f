"""Operations: many documents worked on again."""

from collections.abc import Mapping
from typing import Final

from ingest.problems import ProblemCode
from millstream.openapi.of_knowledge_bases import GONE
from millstream.openapi.operation import Answer, JsonBody, Operation, Tag
from millstream.reworking.reindex import ReindexBody, ReindexStatus
from millstream.reworking.reprocess import Reprocessed, ReprocessManyBody

STATUS: Final = Answer(description="How far it is.", structs=(ReindexStatus,))

OPERATIONS: Final[Mapping[str, Operation]] = {
    "reprocess_documents": Operation(
        summary="Process documents again by a query",
        description=(
            "All that the query means and that have ended, under new tasks of at most 1,000 documents each. Old "
            "passages serve until the new ones are complete, document by document; vectors of text that comes out the "
            "same are reused. `settings` (those of chunking) are the documents' own from then on; another embedding "
            "model needs another index. With `dry_run` it tells what would be done and what would change of the "
            "chunks, does nothing, and takes no Idempotency-Key into account."
        ),
        tag=Tag.KNOWLEDGE_BASES,
        body=JsonBody(
            struct=ReprocessManyBody,
            examples={
                "what would be": {"where": {"status": "completed", "q": ".pdf"}, "dry_run": True},
                "cut again": {"where": {"metadata": {"year": 2026}}, "from_step": "chunk"},
                "by settings of their own": {
                    "where": {"q": ".md"},
                    "from_step": "chunk",
                    "settings": {"chunker": "sentence", "chunk_tokens": 128, "chunk_overlap_tokens": 16},
                },
                "as the knowledge base says": {"from_step": "chunk", "settings": {}},
            },
        ),
        answers=(
            Answer(status=200, description="What would be begun again (a dry run).", structs=(Reprocessed,)),
            Answer(status=202, description="What was begun again.", structs=(Reprocessed,)),
        ),
        problems=GONE | {ProblemCode.NOTHING_TO_RETRY, ProblemCode.REINDEX_REQUIRED},
        is_idempotent=True,
    ),
    "reindex": Operation(
        summary="Build a new index",
        description=(
            "Beside the one that serves, by other settings for chunking and embedding or by those that hold. Documents "
            "are cut again from their stored text under tasks; searches read the old index until every document is in "
            "the new one, and the new one and its settings from one moment to the next."
        ),
        tag=Tag.KNOWLEDGE_BASES,
        body=JsonBody(
            struct=ReindexBody,
            required=False,
            examples={"smaller chunks": {"settings": {"chunk_tokens": 128, "chunk_overlap_tokens": 16}}},
        ),
        answers=(Answer(status=202, description="It is being built.", structs=(ReindexStatus,)),),
        problems=GONE | {ProblemCode.REINDEX_IN_PROGRESS},
        is_idempotent=True,
    ),
    "get_reindex": Operation(
        summary="See how far a new index is",
        description="Looks at every document: ask now and then, and follow the tasks for the rest.",
        tag=Tag.KNOWLEDGE_BASES,
        answers=(STATUS,),
        problems=GONE,
    ),
    "abandon_reindex": Operation(
        summary="Give up a new index",
        description="The old one goes on serving; documents that were in the new one already are brought back to it.",
        tag=Tag.KNOWLEDGE_BASES,
        answers=(Answer(status=202, description="It is given up.", structs=(ReindexStatus,)),),
        problems=GONE,
    ),
}
