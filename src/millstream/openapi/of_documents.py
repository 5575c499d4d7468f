"""Operations: uploads, documents, dead letters."""

from collections.abc import Mapping
from typing import Final

from domain.dead_letters import DeadLetter
from domain.status import DocumentPhase, DocumentStatus
from events.steps import Step
from ingest.accepted import AcceptedTask
from ingest.cancellation import RemovedDocument
from ingest.dead_letters import Retried, RetryBody
from ingest.imports import ImportBody
from ingest.multipart import FILE_PART, OPTIONS_PART
from ingest.options import OptionsBody
from ingest.problems import ProblemCode
from ingest.retry_routes import ReprocessBody
from millstream.openapi.of_knowledge_bases import GONE
from millstream.openapi.of_tasks import NOT_MODIFIED
from millstream.openapi.operation import JSON, MULTIPART, Answer, JsonBody, Operation, Parameter, RawBody, Tag
from millstream.openapi.parameters import (
    CONDITIONAL,
    ETAG,
    FAILURE_CODE,
    FRESHNESS,
    IF_NONE_MATCH,
    LOCATION,
    NAME,
    OF_KNOWLEDGE_BASE,
    PAGED,
    instant,
    one_of,
)
from millstream.openapi.problems import CHANGED, INTAKE, URL_PROBLEMS
from projections.document_filter import METADATA_FILTERS_MAX
from projections.lists import Listing

UNKNOWN: Final = frozenset({ProblemCode.UNKNOWN_DOCUMENT})

FORM: Final = RawBody(
    media_type=MULTIPART,
    schema={
        "type": "object",
        "required": [FILE_PART],
        "properties": {
            FILE_PART: {
                "type": "array",
                "minItems": 1,
                "items": {"type": "string", "contentMediaType": "application/octet-stream"},
                "description": "One part for each document, with its filename.",
            },
            OPTIONS_PART: {"$ref": "#/components/schemas/OptionsBody"},
        },
        "additionalProperties": False,
    },
    description="Parts named `file`, and at most one named `options`.",
    encoding={OPTIONS_PART: {"contentType": JSON}},
    structs=(OptionsBody,),
)
FORM_PROBLEMS: Final = frozenset(
    {
        ProblemCode.MULTIPART_MALFORMED,
        ProblemCode.MULTIPART_TRUNCATED,
        ProblemCode.MISSING_FILE,
        ProblemCode.TOO_MANY_PARTS,
        ProblemCode.INVALID_JSON,
        ProblemCode.VALIDATION_FAILED,
        ProblemCode.EMPTY_FILE,
        ProblemCode.PAYLOAD_TOO_LARGE,
        ProblemCode.UNSUPPORTED_MEDIA_TYPE,
        ProblemCode.UNSUPPORTED_TYPE,
        ProblemCode.CONTENT_ENCODING_NOT_SUPPORTED,
        ProblemCode.UPLOAD_TOO_SLOW,
    }
)
ACCEPTED: Final = Answer(status=202, description="The task.", structs=(AcceptedTask,), headers=(LOCATION,))

OPERATIONS: Final[Mapping[str, Operation]] = {
    "upload_documents": Operation(
        summary="Upload documents",
        description=(
            "One or many files, accepted whole or refused whole. The answer comes as soon as they are stored and their "
            "task is in the log; follow the task to see them processed."
        ),
        tag=Tag.UPLOADS,
        body=FORM,
        answers=(ACCEPTED,),
        problems=GONE | FORM_PROBLEMS | URL_PROBLEMS | INTAKE,
        is_idempotent=True,
    ),
    "import_documents": Operation(
        summary="Import documents",
        description=(
            "By URL, by key of the import bucket, or a text in the body: exactly one of `urls`, `objects` and `text`. "
            "A text is stored at once. Of all else the task is noted, and workers fetch the bytes: each try a fact of "
            "its document. URLs are checked at once and at each try: what is none of the public internet is refused."
        ),
        tag=Tag.UPLOADS,
        body=JsonBody(
            struct=ImportBody,
            examples={
                "by URL": {"urls": ["https://example.com/handbook.pdf"], "options": {"metadata": {"year": 2026}}},
                "a text": {"text": "# Safety\n\nStop the stones first.", "filename": "safety.md"},
                "from the bucket": {"objects": ["reports/2026/flour.pdf"]},
            },
        ),
        answers=(ACCEPTED,),
        problems=GONE
        | INTAKE
        | {
            ProblemCode.EMPTY_FILE,
            ProblemCode.NO_IMPORT_BUCKET,
            ProblemCode.URL_ADDRESS_DENIED,
            ProblemCode.URL_INVALID,
            ProblemCode.URL_SCHEME_NOT_ALLOWED,
            ProblemCode.URL_UNRESOLVABLE,
        },
        is_idempotent=True,
    ),
    "list_documents": Operation(
        summary="List the documents of a knowledge base",
        description="Newest first. Everything that is given must hold.",
        tag=Tag.DOCUMENTS,
        parameters=(
            Parameter(name="status", schema=one_of(DocumentPhase), description="Only in this status."),
            Parameter(name="q", schema=NAME, description="Only with this in the filename, whatever its case."),
            instant("since", "Only accepted at this time or later."),
            instant("until", "Only accepted before this time."),
            Parameter(
                name="metadata",
                schema={
                    "type": "object",
                    "propertyNames": {"pattern": "^metadata\\..+$"},
                    "additionalProperties": {"type": "string"},
                    "maxProperties": METADATA_FILTERS_MAX,
                },
                description="`metadata.KEY=value`: only with this value of the metadata, as text.",
                is_open=True,
            ),
            *PAGED,
        ),
        answers=(Answer(description="One page.", structs=(Listing[DocumentStatus],), headers=FRESHNESS),),
        problems=GONE,
    ),
    "get_document": Operation(
        summary="Read a document",
        tag=Tag.DOCUMENTS,
        parameters=(IF_NONE_MATCH,),
        answers=(
            Answer(description="The document.", structs=(DocumentStatus,), headers=(ETAG, *FRESHNESS)),
            NOT_MODIFIED,
        ),
        problems=UNKNOWN | GONE,
    ),
    "delete_document": Operation(
        summary="Delete a document",
        description="It is gone for everybody at once; its bytes and passages are erased behind the answer.",
        tag=Tag.DOCUMENTS,
        parameters=CONDITIONAL,
        answers=(Answer(status=202, description="It is gone.", structs=(RemovedDocument,)),),
        problems=CHANGED | UNKNOWN | GONE | {ProblemCode.DOCUMENT_REMOVED},
    ),
    "reprocess_document": Operation(
        summary="Process a document again",
        description=(
            "Under a new task. A document that failed goes on where it stopped, an indexed one begins from its source; "
            "its old passages serve until the new ones are complete. `settings` (those of chunking) are its own from "
            "then on."
        ),
        tag=Tag.DOCUMENTS,
        body=JsonBody(
            struct=ReprocessBody,
            required=False,
            examples={
                "chunk again": {"from_step": "chunk"},
                "its own way": {"from_step": "chunk", "settings": {"chunker": "rows"}},
            },
        ),
        answers=(ACCEPTED,),
        problems=UNKNOWN
        | GONE
        | {
            ProblemCode.DOCUMENT_IN_PROGRESS,
            ProblemCode.DOCUMENT_ENDED,
            ProblemCode.DOCUMENT_REMOVED,
            ProblemCode.REINDEX_REQUIRED,
            ProblemCode.STEP_NOT_REACHED,
            ProblemCode.NOTHING_TO_RETRY,
        },
        is_idempotent=True,
    ),
    "list_dead_letters": Operation(
        summary="List dead letters",
        description="Documents that failed, about which nothing is done by itself. Newest first.",
        tag=Tag.DEAD_LETTERS,
        parameters=(
            FAILURE_CODE,
            Parameter(name="step", schema=one_of(Step), description="Only those that failed at this step."),
            OF_KNOWLEDGE_BASE,
            instant("since", "Only failed at this time or later."),
            *PAGED,
        ),
        answers=(Answer(description="One page.", structs=(Listing[DeadLetter],), headers=FRESHNESS),),
    ),
    "retry_dead_letters": Operation(
        summary="Try dead letters again",
        description=(
            "All that the query means, one task for each knowledge base. Repeating it is safe: what is being worked on "
            "is no dead letter. With `dry_run` it only counts."
        ),
        tag=Tag.DEAD_LETTERS,
        body=JsonBody(
            struct=RetryBody,
            examples={"what would be": {"code": "embedding_unavailable", "dry_run": True}, "everything": {}},
        ),
        is_idempotent=True,
        answers=(
            Answer(status=200, description="What would be begun again (a dry run).", structs=(Retried,)),
            Answer(status=202, description="What was begun again.", structs=(Retried,)),
        ),
        problems=frozenset({ProblemCode.NOT_FOUND, ProblemCode.UNKNOWN_KNOWLEDGE_BASE}),
    ),
    "delete_dead_letter": Operation(
        summary="Delete a dead letter",
        description="The failed document is gone for everybody, as if it had been deleted in its knowledge base.",
        tag=Tag.DEAD_LETTERS,
        answers=(Answer(status=202, description="It is gone.", structs=(RemovedDocument,)),),
        problems=UNKNOWN | GONE | {ProblemCode.NOT_A_DEAD_LETTER, ProblemCode.DOCUMENT_REMOVED},
    ),
}
