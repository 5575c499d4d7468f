"""Messages of workers -> answers to leases, and leases -> deliveries."""

import re
from typing import Final, assert_never

from google.protobuf.duration_pb2 import Duration

from events.steps import Step
from ingest.problems import ProblemCode, Rejected, invalid
from knowledge.cleaning import one_line
from knowledge.page_texts import PageText
from knowledge.text import TextFormat
from millstream.grpc.v1 import tasks_pb2 as pb
from processors.failures import shortened
from processors.leased_work import Answer, EmbedAsked, Failed, PagesRead, ParseAsked, VectorsMade
from processors.leases import Lease
from processors.step import Reject, Retry

RETRY_AFTER_S_MAX: Final = 86_400

_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_STEPS: Final = {pb.STEP_PARSE: Step.PARSE, pb.STEP_EMBED: Step.EMBED}
_FORMATS: Final = {
    pb.TEXT_FORMAT_UNSPECIFIED: TextFormat.PLAIN,
    pb.TEXT_FORMAT_PLAIN: TextFormat.PLAIN,
    pb.TEXT_FORMAT_MARKDOWN: TextFormat.MARKDOWN,
}


def steps_of(request: pb.PollStepsRequest) -> frozenset[Step]:
    """Raises Rejected where none is named, or one that is not done elsewhere."""
    if not request.steps or not set(request.steps) <= set(_STEPS):
        raise invalid("/steps", "names parse, embed or both")
    return frozenset(_STEPS[step] for step in request.steps)


def delivery_of(lease: Lease, lease_s: float) -> pb.Delivery:
    """What the worker is told of its lease."""
    delivery = pb.Delivery(
        lease=lease.token,
        lease_duration=duration_of(lease_s),
        document_id=lease.work.document_id,
        task_id=lease.work.delivery.correlation_id,
        knowledge_base_id=lease.work.delivery.knowledge_base_id,
        attempt=lease.work.attempt,
    )
    match lease.asked:
        case ParseAsked(about=about):
            delivery.parse.filename = about.filename
            delivery.parse.media_type = about.media_type
            delivery.parse.size_bytes = about.size_bytes
            delivery.parse.sha256 = about.sha256
        case EmbedAsked() as embed:
            delivery.embed.model = embed.model
            delivery.embed.dimensions = embed.dimensions
            delivery.embed.texts.extend(embed.texts)
        case _:
            assert_never(lease.asked)
    return delivery


def duration_of(seconds: float) -> Duration:
    """The same span as a message."""
    duration = Duration()
    duration.FromMilliseconds(round(seconds * 1_000))
    return duration


def result_of(request: pb.CompleteStepRequest) -> Answer:
    """Raises Rejected where there is none."""
    match request.WhichOneof("result"):
        case "parsed":
            return _pages_of(request.parsed)
        case "vectors":
            return VectorsMade([vector.values for vector in request.vectors.vectors])
        case _:
            raise Rejected(ProblemCode.BAD_REQUEST, "CompleteStep carries a result: parsed or vectors.")


def failure_of(request: pb.FailStepRequest) -> Failed:
    """Raises Rejected for a code that could not be told from prose, and for a wait that nobody would sit out."""
    if not _CODE.fullmatch(request.code):
        raise invalid("/code", "is 1 to 64 of a-z, 0-9 and _, beginning with a letter")
    message = shortened(one_line(request.message))
    if request.is_final:
        return Failed(Reject(request.code, message))
    after_s = request.retry_after.ToMilliseconds() / 1_000 if request.HasField("retry_after") else None
    if after_s is not None and not 0 <= after_s <= RETRY_AFTER_S_MAX:
        raise invalid("/retry_after", f"is 0 to {RETRY_AFTER_S_MAX:,} seconds")
    return Failed(Retry(request.code, message, after_s))


def _pages_of(parsed: pb.ParsedText) -> PagesRead:
    if parsed.format not in _FORMATS:
        raise invalid("/parsed/format", f"has no value {parsed.format}")
    return PagesRead(
        pages=tuple(PageText(page.number, page.text) for page in parsed.pages),
        format=_FORMATS[parsed.format],
        title=parsed.title,
        language=parsed.language,
        parser=parsed.parser,
        warnings=tuple(parsed.warnings),
    )
