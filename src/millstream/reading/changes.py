"""What persons change of a document and its chunks: a fact first, then its rows in the index.

The rows are written here at once, so that the next search tells the change; where that does not work out in time, the
fact has led to the step `revise`, and a worker writes them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Final

import msgspec
import structlog
from msgspec import UNSET, Meta, UnsetType

from domain.commands import ChangeDocument, EditChunk
from domain.deciders import DOCUMENT
from domain.document import DocumentState, Edit, Indexed, is_recorded, record_of
from domain.handle import Handled, handle, load
from domain.status import DocumentStatus, document_status
from events.ids import DocumentId, KnowledgeBaseId
from events.steps import Step
from events.trace_context import trace_parent
from ingest.body import refuse_nul
from ingest.options import GivenMetadata, checked_metadata
from ingest.preconditions import Preconditions
from ingest.problems import invalid
from ingest.services import IngestServices
from knowledge.chunk import Chunk
from knowledge.embedders import Embedding
from knowledge.errors import EmbeddingError
from knowledge.vectors import Vectors
from millstream.reading.shown import ShownChunk, existing_in, shown_chunk
from millstream.reading.stored import StoredDocuments
from millstream.stores import Stores, clock_us
from processors.embedder_for import embedding_of_vectors
from processors.failures import outcome_of
from processors.knowledge_bases import KnowledgeBases
from processors.observing import AttemptObserver, ErrandEnded
from processors.provider import Priority, ProviderGate
from processors.provider_calls import ProviderCalls
from processors.revise import Reviser
from processors.rows import EMBEDDED_TOGETHER_MAX, EmbedChunks, RowMaker, edited_chunk

REVISED_S_MAX: Final = 5.0
"""A change is answered no later than this behind its fact."""

CHUNK_CHARS_MAX: Final = 16_000
"""Up to 48 kB of the 64 KiB that an event may have."""

HERE: Final = "api"
"""In the place of a worker's name, where a span tells who wrote the rows."""

_log = structlog.get_logger()


class ChangeDocumentBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only what is given is changed; `metadata` takes the place of all that was said before."""

    metadata: GivenMetadata | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class ChangeChunkBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only what is given is changed; `text` null is the text as it was cut."""

    text: Annotated[str, Meta(min_length=1, max_length=CHUNK_CHARS_MAX)] | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET


class Changes:
    """Raises Refused, Rejected, Contention, and what log and blob store raise."""

    def __init__(
        self,
        services: IngestServices,
        documents: StoredDocuments,
        embed: EmbedChunks,
        revise: Callable[[KnowledgeBaseId, str], Awaitable[bool]],
        observer: AttemptObserver,
    ) -> None:
        self._observer = observer
        self._services = services
        self._documents = documents
        self._embed = embed
        self._revise = revise

    async def change_document(
        self,
        knowledge_base: KnowledgeBaseId,
        document: DocumentId,
        body: ChangeDocumentBody,
        actor: str,
        preconditions: Preconditions,
    ) -> DocumentStatus:
        """The document as it is then."""
        metadata = None
        if body.metadata is not UNSET:
            metadata = checked_metadata(body.metadata, self._services.settings, "/metadata")
        command = ChangeDocument(metadata=metadata, enabled=None if body.enabled is UNSET else body.enabled)
        handled = await self._handle(knowledge_base, document, command, actor, preconditions)
        updated_at_us = (await self._services.log.history(document, after_version=handled.folded.version - 1))[
            -1
        ].recorded_at_us
        status = document_status(
            document, handled.folded.state, version=handled.folded.version, updated_at_us=updated_at_us
        )
        assert status is not None  # noqa: S101  it was changed
        return status

    async def change_chunk(
        self,
        knowledge_base: KnowledgeBaseId,
        document: DocumentId,
        chunk_id: str,
        body: ChangeChunkBody,
        actor: str,
        preconditions: Preconditions,
    ) -> ShownChunk:
        """The chunk as it is then. Raises EmbeddingError for a text that the model will never take."""
        if isinstance(body.text, str):
            refuse_nul(body.text, "/text")
            if not body.text.strip():
                raise invalid("/text", "must not be blank; switch the chunk off instead")
        cut = await self._documents.cut_chunk(knowledge_base, document, chunk_id)
        if isinstance(body.text, str):
            await self._try_embedding(document, cut, body.text)
        enabled = None if body.enabled is UNSET else body.enabled
        command = EditChunk(chunk_id=chunk_id, text=body.text, enabled=enabled)
        handled = await self._handle(knowledge_base, document, command, actor, preconditions)
        return shown_chunk(document, cut, _edit_of(handled.folded.state, chunk_id))

    async def _handle(
        self,
        knowledge_base: KnowledgeBaseId,
        document: DocumentId,
        command: ChangeDocument | EditChunk,
        actor: str,
        preconditions: Preconditions,
    ) -> Handled[DocumentState]:
        services = self._services
        known = await load(services.log, DOCUMENT, document)
        existing_in(knowledge_base, known.state)
        preconditions.check(known.version)
        handled = await handle(
            services.log,
            DOCUMENT,
            document,
            [command],
            services.context(document, actor),
            known=known,
            allows=preconditions.of_known(known),
        )
        if handled.envelopes:
            await self._at_once(knowledge_base, document, handled.folded.state)
        return handled

    async def _try_embedding(self, document: DocumentId, cut: Chunk, text: str) -> None:
        """A fact that no worker could ever carry out must not become one. Whoever does not answer is asked later."""
        state = (await load(self._services.log, DOCUMENT, document)).state
        if not isinstance(state, Indexed):
            return
        try:
            edit = Edit(cut.chunk_id, text, enabled=True)
            async with asyncio.timeout(REVISED_S_MAX):
                await self._embed(embedding_of_vectors(state.vectors), [edited_chunk(cut, edit)])
        except TimeoutError:
            return
        except EmbeddingError as error:
            if error.is_permanent:
                raise

    async def _at_once(self, knowledge_base: KnowledgeBaseId, document: DocumentId, changed: DocumentState) -> None:
        began_us = clock_us()
        try:
            async with asyncio.timeout(REVISED_S_MAX):
                is_written = await self._revise(knowledge_base, document)
        except Exception as error:
            if not isinstance(error, TimeoutError) and outcome_of(error) is None:
                raise
            _log.warning("revised_later", document=document, error=repr(error))
            return
        if not is_written:
            _log.warning("revised_later", document=document, error="it kept changing")
            return
        written_us = clock_us()
        self._observer.errand_ended(
            ErrandEnded(
                step=Step.REVISE,
                task=record_of(changed).about.task_id if is_recorded(changed) else "",
                stream_id=document,
                worker=HERE,
                outcome="done",
                began_us=began_us,
                ran_us=written_us,
                recorded_us=written_us,
                trace_parent=trace_parent(),
            )
        )


def changes_over(
    stores: Stores,
    services: IngestServices,
    documents: StoredDocuments,
    gate: ProviderGate,
    observer: AttemptObserver,
) -> Changes:
    """Changes over open stores."""

    async def embed(embedding: Embedding, chunks: Sequence[Chunk]) -> Vectors:
        """A person waits for the answer: ahead of documents, and no longer than the change may take."""
        calls = ProviderCalls(
            stores.embeddings.by(embedding),
            gate,
            sleep=asyncio.sleep,
            texts_max=EMBEDDED_TOGETHER_MAX,
            priority=Priority.INTERACTIVE,
            wait_s_max=REVISED_S_MAX / 2,
            call_s_max=REVISED_S_MAX / 2,
        )
        return await calls.embed(chunks)

    known = KnowledgeBases(stores.log, clock_us=clock_us)
    reviser = Reviser(stores.log, stores.index, known, RowMaker(stores.blobs, stores.index, embed))
    return Changes(services, documents, embed, reviser.revise, observer)


def _edit_of(state: DocumentState, chunk_id: str) -> Edit | None:
    edits = record_of(state).edits if isinstance(state, Indexed) else ()
    return next((one for one in edits if one.chunk_id == chunk_id), None)
