"""Creating, changing and deleting knowledge bases."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import replace

from domain.commands import (
    ChangeKnowledgeBase,
    CreateKnowledgeBase,
    DeleteKnowledgeBase,
    KnowledgeBaseCommand,
    StartIndexGeneration,
)
from domain.decider import Folded
from domain.deciders import knowledge_base_decider
from domain.errors import RefusalCode, Refused
from domain.handle import Guard, Handled, handle, load
from domain.knowledge_base import KnowledgeBaseState, active, needs_another_index
from domain.knowledge_base_status import KnowledgeBaseCounts, KnowledgeBaseStatus, knowledge_base_status
from events.ids import KnowledgeBaseId, derived_knowledge_base_id
from events.knowledge_base import ChunkerKind, KnowledgeBaseCreated, KnowledgeBaseSettings, Normalization
from events.log import EventLog
from ingest.body import refuse_controls
from ingest.preconditions import NO_PRECONDITIONS, Preconditions
from ingest.problems import invalid
from ingest.services import IngestServices
from ingest.validation import rejected

NAME_CHARS_MAX: Final = 200
DESCRIPTION_CHARS_MAX: Final = 2_000

_PREFIXES: Final = ("embedding_query_prefix", "embedding_passage_prefix")

Name = Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]
Description = Annotated[str, Meta(max_length=DESCRIPTION_CHARS_MAX)]


PARENT_TOKENS = 1_024
"""Of a knowledge base that names none."""


class RequestedSettings(KnowledgeBaseSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings, by the same rules, from somebody who may have mistyped one; no model is the configured one."""

    embedding_model: Annotated[str, Meta(max_length=200)] = ""


class CreateBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Asks for a knowledge base."""

    name: Name
    description: Description = ""
    settings: RequestedSettings = RequestedSettings()


class ChangeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only what is given is changed; within `settings` too. With `reindex` those that need another index may change:
    it is built beside the one that serves."""

    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    reindex: bool = False


class RemovedKnowledgeBase(msgspec.Struct, frozen=True, kw_only=True):
    """The knowledge base is gone for everybody; erasing its documents goes on behind the answer."""

    knowledge_base_id: KnowledgeBaseId
    status: Literal["deleted"] = "deleted"


async def create(
    services: IngestServices, body: CreateBody, idempotency_key: str | None, actor: str
) -> KnowledgeBaseStatus:
    """Raises Rejected, Refused (idempotency_key_reused, knowledge_base_deleted), Contention, what the log raises."""
    command = CreateKnowledgeBase(
        name=_checked_name(body.name),
        description=_checked_description(body.description),
        settings=_checked_settings(services, body.settings),
    )
    if idempotency_key is None:
        stream_id = services.ids.knowledge_base(services.log.partitions)
    else:
        stream_id = derived_knowledge_base_id(idempotency_key, actor, services.log.partitions)
    handled = await handle(
        services.log,
        knowledge_base_decider(stream_id),
        stream_id,
        [command],
        services.context(stream_id, actor),
        known=Folded(knowledge_base_decider(stream_id).initial),
    )
    if handled.envelopes:
        return _status_of_new(stream_id, handled)
    await _refuse_other_request(services, stream_id, command)
    return await services.status_of(stream_id)


async def change(
    services: IngestServices,
    stream_id: KnowledgeBaseId,
    body: ChangeBody,
    actor: str,
    preconditions: Preconditions = NO_PRECONDITIONS,
) -> KnowledgeBaseStatus:
    """Raises Rejected, Refused (unknown_knowledge_base, knowledge_base_deleted, reindex_required), Contention."""
    decider = knowledge_base_decider(stream_id)
    known = await load(services.log, decider, stream_id)
    present = active(known.state)
    settings = None if body.settings is UNSET else merged_settings(services, present.settings, body.settings)
    in_place = ChangeKnowledgeBase(
        name=None if body.name is UNSET else _checked_name(body.name),
        description=None if body.description is UNSET else _checked_description(body.description),
        settings=settings,
    )
    commands: list[KnowledgeBaseCommand] = [in_place]
    if body.reindex and settings is not None and needs_another_index(present.settings, settings):
        commands = [replace(in_place, settings=None), StartIndexGeneration(settings=settings)]
    await _check(services, stream_id, preconditions)
    await handle(
        services.log,
        decider,
        stream_id,
        commands,
        services.context(stream_id, actor),
        known=known,
        allows=preconditions.of_known(known),
    )
    return await services.status_of(stream_id)


async def while_active(log: EventLog, stream_id: KnowledgeBaseId) -> Guard[KnowledgeBaseState]:
    """For what may enter the log only as long as the knowledge base is there. Raises Refused."""
    decider = knowledge_base_decider(stream_id)
    return await Guard(decider, stream_id, Folded(decider.initial), active).again(log)


async def delete(
    services: IngestServices,
    stream_id: KnowledgeBaseId,
    actor: str,
    preconditions: Preconditions = NO_PRECONDITIONS,
) -> None:
    """Its documents are erased behind the answer. Raises Rejected, Refused (unknown_knowledge_base), Contention."""
    decider = knowledge_base_decider(stream_id)
    known = await load(services.log, decider, stream_id)
    await _check(services, stream_id, preconditions)
    command = DeleteKnowledgeBase(reason="deleted by request")
    await handle(
        services.log,
        decider,
        stream_id,
        [command],
        services.context(stream_id, actor),
        known=known,
        allows=preconditions.of_known(known),
    )


async def _check(services: IngestServices, stream_id: KnowledgeBaseId, preconditions: Preconditions) -> None:
    """Against the version that GET shows, which rises with documents too. Raises Rejected, Refused."""
    if preconditions.are_given:
        preconditions.check((await services.status_of(stream_id)).version)


async def _refuse_other_request(
    services: IngestServices, stream_id: KnowledgeBaseId, command: CreateKnowledgeBase
) -> None:
    """Compared with the first fact, not with the state: a name changed since does not make a repeat another request."""
    first = (await services.log.history(stream_id))[0].event
    asked = KnowledgeBaseCreated(name=command.name, description=command.description, settings=command.settings)
    # Requests of earlier releases did not record how vectors are normalized.
    if isinstance(first, KnowledgeBaseCreated) and not first.settings.embedding_normalization:
        first = replace(first, settings=replace(first.settings, embedding_normalization=Normalization.UNIT))
    if first != asked:
        raise Refused(
            RefusalCode.IDEMPOTENCY_KEY_REUSED,
            "this Idempotency-Key came with another request before; use a new key for a new request",
        )


def _checked_name(name: str) -> str:
    refuse_controls(name, "/name")
    stripped = name.strip()
    if not stripped:
        raise invalid("/name", "must not be blank")
    return stripped


def _checked_description(description: str) -> str:
    refuse_controls(description, "/description", allowed="\n\r\t")
    return description


def merged_settings(
    services: IngestServices, present: KnowledgeBaseSettings, given: dict[str, Any]
) -> KnowledgeBaseSettings:
    """The present settings with what is given of others. Another model brings its own length of vectors and its own
    prefixes, where none are asked for. Raises Rejected."""
    kept = msgspec.to_builtins(present)
    if "embedding_model" in given:
        given = {"embedding_dimensions": None, **given}
    if _keeps_its_model(services, present, given):
        # None is recorded as nothing; what the settings of the service say for new knowledge bases is not meant.
        kept = {**dict.fromkeys(_PREFIXES, ""), **kept}
    else:
        kept = {name: value for name, value in kept.items() if name not in _PREFIXES}
    try:
        merged = msgspec.convert({**kept, **given}, RequestedSettings)
    except msgspec.ValidationError as error:
        raise rejected(error, "/settings", RequestedSettings) from error
    return _checked_settings(services, merged)


def _checked_settings(services: IngestServices, asked: RequestedSettings) -> KnowledgeBaseSettings:
    if asked.chunk_overlap_tokens > asked.chunk_tokens // 2:
        raise invalid("/settings/chunk_overlap_tokens", "must be at most half of chunk_tokens")
    if asked.chunker is ChunkerKind.PARENTS and (asked.chunk_parent_tokens or PARENT_TOKENS) < asked.chunk_tokens:
        raise invalid("/settings/chunk_parent_tokens", "must be at least chunk_tokens")
    model = services.known_embedding(asked.embedding_model)
    if model is None:
        raise invalid("/settings/embedding_model", "this embedding model cannot be used here")
    if asked.embedding_dimensions not in {None, model.dimensions}:
        raise invalid("/settings/embedding_dimensions", f"the model makes vectors of {model.dimensions:,} dimensions")
    settings = KnowledgeBaseSettings(**msgspec.structs.asdict(asked))
    # The full name is recorded: an alias that means another model tomorrow would make the vectors incomparable.
    return replace(
        settings,
        embedding_model=model.name,
        embedding_dimensions=model.dimensions,
        embedding_normalization=Normalization.UNIT,
        embedding_query_prefix=_prefix(asked.embedding_query_prefix, model.query_prefix, "query"),
        embedding_passage_prefix=_prefix(asked.embedding_passage_prefix, model.passage_prefix, "passage"),
    )


def _prefix(asked: str | UnsetType, usual: str, of: str) -> str | UnsetType:
    """What is recorded: the usual one where none is asked for, and none as nothing. Raises Rejected."""
    if isinstance(asked, str):
        refuse_controls(asked, f"/settings/embedding_{of}_prefix", allowed="\n\t")
        return asked or UNSET
    return usual or UNSET


def _keeps_its_model(services: IngestServices, present: KnowledgeBaseSettings, given: dict[str, Any]) -> bool:
    model = given.get("embedding_model", present.embedding_model)
    known = services.known_embedding(model) if isinstance(model, str) else None
    return model == present.embedding_model or (known is not None and known.name == present.embedding_model)


def _status_of_new(stream_id: KnowledgeBaseId, handled: Handled[KnowledgeBaseState]) -> KnowledgeBaseStatus:
    return knowledge_base_status(
        stream_id,
        active(handled.folded.state),
        KnowledgeBaseCounts(),
        version=handled.folded.version,
        updated_at_us=handled.envelopes[-1].recorded_at_us,
    )
