"""Operations: many documents worked on again."""

from collections.abc import Mapping
from typing import Final

from ingest.problems import ProblemCode
from millstream.openapi.of_knowledge_bases import GONE
from millstream.openapi.operation import Answer, JsonBody, Operation, Tag
from millstream.reworking.reprocess import Reprocessed, ReprocessManyBody

OPERATIONS: Final[Mapping[str, Operation]] = {
    "reprocess_documents": Operation(
        summary="Process documents again by a query",
        description=(
            "All that the query means and that have ended, under new tasks of at most 1,000 documents each. Old "
            "passages serve until the new ones are complete, document by document; vectors of text that comes out the "
            "same are reused. With `dry_run` it only counts, and takes no Idempotency-Key into account."
        ),
        tag=Tag.KNOWLEDGE_BASES,
        body=JsonBody(
            struct=ReprocessManyBody,
            examples={
                "what would be": {"where": {"status": "completed", "q": ".pdf"}, "dry_run": True},
                "cut again": {"where": {"metadata": {"year": 2026}}, "from_step": "chunk"},
            },
        ),
        answers=(
            Answer(status=200, description="What would be begun again (a dry run).", structs=(Reprocessed,)),
            Answer(status=202, description="What was begun again.", structs=(Reprocessed,)),
        ),
        problems=GONE | {ProblemCode.NOTHING_TO_RETRY},
        is_idempotent=True,
    ),
}
