"""DocumentRequested -> bytes: they stream into the blob store, counted, hashed, and told by their content."""

from typing import Final

from blobs.store import BlobStore, BlobWriter
from domain.commands import RecordFetched
from domain.document import DocumentState, Requested
from domain.sidecar import source_key
from events.ids import DocumentId
from events.steps import Step
from knowledge.filenames import UNNAMED, clean_filename
from knowledge.media_type import is_supported
from knowledge.type_probe import TypeProbe
from processors.leftovers import erase_leftovers
from processors.origins import Incoming, OriginFails, Origins
from processors.retry import WAIT_CODES
from processors.step import Done, Outcome, Reject, Retry, Superseded, Work

EMPTY_DOCUMENT: Final = "empty_document"
FETCH_LIMIT: Final = "fetch_limit"
UNSUPPORTED_TYPE: Final = "unsupported_type"

PATIENCE_GROWS: Final = 3
"""A host that is restarted is away for a minute, which the first delays of the retry policy do not outlast."""


class FetchStep:
    """The first step of a document whose bytes lie elsewhere.

    `bytes_max` is for one document; `retry_s` goes before the second attempt, three times as much before each further
    one, where the place does not say how long.
    """

    step = Step.FETCH

    def __init__(
        self, blobs: BlobStore, origins: Origins, *, bytes_max: int, retry_s: float, time_limit_s: float
    ) -> None:
        self._blobs = blobs
        self._origins = origins
        self._bytes_max = bytes_max
        self._retry_s = retry_s
        self.time_limit_s = time_limit_s

    async def run(self, work: Work) -> Outcome:
        """Raises OriginRefuses and what the blob store raises."""
        document = work.document
        if not isinstance(document, Requested):
            return Superseded()
        origin = document.record.about.origin
        if origin is None:
            return Reject("internal_error", "nothing says where the document is")
        try:
            async with self._origins.open(origin) as incoming:
                return await self._stored(work, document, incoming)
        except OriginFails as failure:
            return Retry(failure.code, failure.message, self._patience_s(work, failure))

    async def abandon(self, work: Work, now: DocumentState) -> None:
        """A removed document keeps nothing; what a cancelled one had fetched is collected with other orphans."""
        await erase_leftovers(self._blobs, work, now)

    async def _stored(self, work: Work, document: Requested, incoming: Incoming) -> Outcome:
        filename = _better_name(incoming.filename, document.record.about.filename)
        probe = TypeProbe(filename)
        # The version of StepStarted is this attempt's alone: a worker that was taken for dead writes elsewhere.
        async with self._blobs.writer(source_key(DocumentId(work.document_id), f"{work.version:x}")) as writer:
            refused = await self._received(incoming, writer, probe)
            if refused is not None:
                return refused
            media_type = await probe.finish()
            if not is_supported(media_type):
                return _unsupported(filename)
            blob = await writer.commit()
        return Done(
            (
                RecordFetched(
                    attempt=work.attempt,
                    filename=filename,
                    media_type=media_type.value,
                    size_bytes=blob.size_bytes,
                    sha256=blob.sha256,
                    source_blob=blob.key,
                    declared_media_type=incoming.declared_media_type,
                    url=incoming.url,
                    on_duplicate=document.on_duplicate,
                ),
            )
        )

    async def _received(self, incoming: Incoming, writer: BlobWriter, probe: TypeProbe) -> Reject | None:
        async for piece in incoming.pieces:
            if writer.size_bytes + len(piece) > self._bytes_max:
                return Reject(FETCH_LIMIT, f"the document has more than {self._bytes_max:,} bytes")
            await probe.feed(piece)
            if probe.is_refused:
                return _unsupported(incoming.filename)
            await writer.write(piece)
        return Reject(EMPTY_DOCUMENT, "there are no bytes in it") if writer.size_bytes == 0 else None

    def _patience_s(self, work: Work, failure: OriginFails) -> float | None:
        if failure.retry_after_s is not None or failure.code in WAIT_CODES:
            return failure.retry_after_s
        failures = sum(code not in WAIT_CODES for code in work.failures)
        return self._retry_s * float(PATIENCE_GROWS**failures)


def _better_name(told: str | None, known: str) -> str:
    cleaned = clean_filename(told) if told else UNNAMED
    return known if cleaned == UNNAMED else cleaned


def _unsupported(filename: str | None) -> Reject:
    return Reject(UNSUPPORTED_TYPE, f"{filename!r} is, by its content, of a type that cannot be read")
