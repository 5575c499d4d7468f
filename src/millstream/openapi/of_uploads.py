"""Operations: resumable uploads (tus 1.0.0)."""

from collections.abc import Mapping
from typing import Final

from ingest.multipart import OPTIONS_PART
from ingest.problems import ProblemCode
from ingest.resumable import BODY_TYPE, CHECKSUMS, EXTENSIONS, METADATA_BYTES_MAX, VERSION
from millstream.openapi.of_knowledge_bases import GONE
from millstream.openapi.operation import Answer, Header, In, Operation, Parameter, RawBody, Tag
from millstream.openapi.parameters import COUNT, LOCATION, TEXT, id_schema
from millstream.openapi.problems import INTAKE

ABOUT: Final = "Resumable upload by the tus protocol, https://tus.io/protocols/resumable-upload."
_OFFSET: Final = {"type": "string", "pattern": "^[0-9]{1,18}$"}

SPOKEN: Final = Parameter(
    name="Tus-Resumable",
    where=In.HEADER,
    schema={"type": "string", "const": VERSION},
    description="The version of the protocol.",
    required=True,
    example=VERSION,
)
LENGTH: Final = Parameter(
    name="Upload-Length", where=In.HEADER, schema=_OFFSET, description="Bytes of the whole upload.", example="1048576"
)
CHECKSUM: Final = Parameter(
    name="Upload-Checksum",
    where=In.HEADER,
    schema={"type": "string", "pattern": f"^({'|'.join(CHECKSUMS)}) [A-Za-z0-9+/]+=*$"},
    description="Algorithm and digest, in base64, of the bytes of this request: they count if it fits, or not at all.",
)
METADATA: Final = Parameter(
    name="Upload-Metadata",
    where=In.HEADER,
    schema={"type": "string", "maxLength": METADATA_BYTES_MAX},
    description=(
        "Pairs of key and base64: `knowledge_base` (its id, needed unless the upload is partial), `filename`, "
        f"`filetype` (a hint), `{OPTIONS_PART}` (JSON, as in the form). Other keys are the client's own."
    ),
    example="filename bWlsbC50eHQ=",
)
BYTES: Final = {"type": "string", "contentMediaType": "application/octet-stream"}

SPEAKS: Final = Header(name="Tus-Resumable", schema=TEXT, description="The version of the protocol.")
OFFSET: Final = Header(
    name="Upload-Offset", schema=COUNT, description="How many bytes are there, durably.", always=False
)
EXPIRES: Final = Header(
    name="Upload-Expires", schema=TEXT, description="Until when the next byte is waited for.", always=False
)
TASK: Final = Header(
    name="Millstream-Task-Id",
    schema=id_schema("task"),
    description="The task that the upload has become, once all its bytes are there; `Link` says where it is read.",
    always=False,
)
STATE: Final = (SPEAKS, OFFSET, EXPIRES, TASK)

GONE_UPLOAD: Final = frozenset(
    {ProblemCode.UNKNOWN_UPLOAD, ProblemCode.UPLOAD_EXPIRED, ProblemCode.UPLOAD_LOST, ProblemCode.TUS_VERSION}
)
FINISHING: Final = GONE | frozenset({ProblemCode.UNSUPPORTED_TYPE, ProblemCode.VALIDATION_FAILED})
"""The last byte makes a document: what stands in its way is told then."""

TAKING: Final = frozenset(
    {
        *(ProblemCode.CHECKSUM_MISMATCH, ProblemCode.OFFSET_MISMATCH, ProblemCode.UPLOAD_TAKEN_OVER),
        *(ProblemCode.PAYLOAD_TOO_LARGE, ProblemCode.UNSUPPORTED_MEDIA_TYPE, ProblemCode.UPLOAD_TOO_SLOW),
        *(ProblemCode.CONTENT_ENCODING_NOT_SUPPORTED, ProblemCode.TOO_MANY_PARTS, ProblemCode.UPLOAD_FINISHED),
    }
)

_TOLD: Final = Answer(
    status=204,
    description="What is spoken here.",
    headers=(
        SPEAKS,
        Header(name="Tus-Version", schema=TEXT, description="Versions, the best first."),
        Header(name="Tus-Extension", schema=TEXT, description=f"Extensions: {EXTENSIONS}."),
        Header(name="Tus-Max-Size", schema=COUNT, description="Bytes of an upload, at most."),
        Header(name="Tus-Checksum-Algorithm", schema=TEXT, description="Algorithms of `Upload-Checksum`."),
    ),
)

OPERATIONS: Final[Mapping[str, Operation]] = {
    "uploads_options": Operation(
        summary="Ask what resumable uploads can do", description=ABOUT, tag=Tag.UPLOADS, answers=(_TOLD,)
    ),
    "upload_options": Operation(
        summary="Ask what this upload can do", description=ABOUT, tag=Tag.UPLOADS, answers=(_TOLD,)
    ),
    "create_upload": Operation(
        summary="Begin a resumable upload",
        description=f"{ABOUT} It may bring the first bytes. A final upload, made of partial ones, is complete at once.",
        tag=Tag.UPLOADS,
        parameters=(
            SPOKEN,
            LENGTH,
            Parameter(
                name="Upload-Defer-Length",
                where=In.HEADER,
                schema={"type": "string", "const": "1"},
                description="Instead of Upload-Length: it is told later.",
            ),
            METADATA,
            Parameter(
                name="Upload-Concat",
                where=In.HEADER,
                schema=TEXT,
                description="`partial`, or `final;` and the URLs of complete partial uploads, with blanks between.",
            ),
            CHECKSUM,
        ),
        body=RawBody(media_type=BODY_TYPE, schema=BYTES, description="The first bytes.", required=False),
        answers=(Answer(status=201, description="It has begun.", headers=(LOCATION, *STATE)),),
        problems=GONE_UPLOAD
        | FINISHING
        | TAKING
        | INTAKE
        | {
            *(ProblemCode.EMPTY_FILE, ProblemCode.TOO_MANY_UPLOADS, ProblemCode.UPLOAD_UNFINISHED),
            *(ProblemCode.INVALID_JSON, ProblemCode.NOT_FOUND),
        },
        is_idempotent=True,
    ),
    "upload_status": Operation(
        summary="Ask how far an upload has come",
        description=f"{ABOUT} One that has all its bytes becomes a task now, unless it has before.",
        tag=Tag.UPLOADS,
        parameters=(SPOKEN,),
        answers=(Answer(status=200, description="How far.", headers=STATE),),
        problems=GONE_UPLOAD | FINISHING,
    ),
    "append_to_upload": Operation(
        summary="Send bytes of an upload",
        description=(
            f"{ABOUT} Whatever the offset says is there. A newer request takes the upload over from an older one. With "
            "the last byte the upload becomes a task."
        ),
        tag=Tag.UPLOADS,
        parameters=(
            SPOKEN,
            Parameter(
                name="Upload-Offset",
                where=In.HEADER,
                schema=_OFFSET,
                description="Where these bytes go: the present offset.",
                required=True,
                example="0",
            ),
            LENGTH,
            CHECKSUM,
        ),
        body=RawBody(media_type=BODY_TYPE, schema=BYTES, description="The bytes from there on.", required=False),
        answers=(Answer(status=204, description="They are there.", headers=STATE),),
        problems=GONE_UPLOAD | FINISHING | TAKING | INTAKE | {ProblemCode.UPLOAD_IS_FINAL},
    ),
    "terminate_upload": Operation(
        summary="Give an upload up",
        description=f"{ABOUT} Its bytes are deleted. A task that it became stays.",
        tag=Tag.UPLOADS,
        parameters=(SPOKEN,),
        answers=(Answer(status=204, description="It is gone.", headers=(SPEAKS,)),),
        problems=GONE_UPLOAD | FINISHING | TAKING | {ProblemCode.UPLOAD_BUSY, ProblemCode.UPLOAD_IS_FINAL},
    ),
    "override_upload_method": Operation(
        summary="Send bytes, or give up, without PATCH and DELETE",
        description=f"{ABOUT} The method stands in `X-HTTP-Method-Override`; all else is as with that method.",
        tag=Tag.UPLOADS,
        parameters=(
            SPOKEN,
            Parameter(
                name="X-HTTP-Method-Override",
                where=In.HEADER,
                schema={"type": "string", "enum": ["PATCH", "DELETE", "HEAD"]},
                description="The method that is meant.",
                required=True,
            ),
            Parameter(
                name="Upload-Offset", where=In.HEADER, schema=_OFFSET, description="For PATCH: the present offset."
            ),
            LENGTH,
            CHECKSUM,
        ),
        body=RawBody(media_type=BODY_TYPE, schema=BYTES, description="The bytes from there on.", required=False),
        is_idempotent=True,
        answers=(
            Answer(status=204, description="It is done.", headers=STATE),
            Answer(status=200, description="How far it has come (HEAD).", headers=STATE),
        ),
        problems=GONE_UPLOAD | FINISHING | TAKING | INTAKE | {ProblemCode.UPLOAD_BUSY, ProblemCode.UPLOAD_IS_FINAL},
    ),
}
