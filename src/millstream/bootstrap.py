"""Settings -> roles: plain constructor calls, no decisions."""

import asyncio
import random
from collections.abc import Collection
from functools import partial
from typing import Final

import msgspec

from events.ids import parse_knowledge_base_id
from events.knowledge_base import KnowledgeBaseSettings
from events.steps import Step
from knowledge.chunkers import (
    BREAKPOINT_PERCENTILE_DEFAULT,
    PARENT_TOKENS_DEFAULT,
    WINDOW_SENTENCES_DEFAULT,
    Chunker,
    ChunkerKind,
    ChunkerOptions,
    make_chunker,
)
from knowledge.embedders import vector_weight_of
from knowledge.ranking import Fusion
from knowledge.search import SearchScope
from millstream.archiving import archiving
from millstream.calling import open_origins
from millstream.errors import ExitCode, Stop
from millstream.ingesting import ingest_services
from millstream.installation import tell_of_risks
from millstream.notifying import webhooks_beside
from millstream.observing.scrape import serving_metrics
from millstream.observing.traces import opened_traces
from millstream.observing.wiring import own_scrape
from millstream.observing.work import MeasuredAttempts, MeasuredCommits
from millstream.parser_pool import sandbox_settings, warm_parsers
from millstream.process_name import process_name
from millstream.reworking.reindex import Reindexing
from millstream.reworking.unsettled import bring_all_on
from millstream.settings import Settings
from millstream.stores import Stores, clock_us, open_stores, tell_at_start, views_of
from millstream.upkeep import Upkeep
from millstream.warming import EMBEDDING_STEPS, import_for_worker, in_background, warm_worker
from processors.embedder_for import embedding_of
from processors.leased_worker import LEASED_STEPS
from processors.origins import Origins
from processors.provider import ProviderGate, Quota
from processors.redis_provider import RedisProviderGate
from processors.sandbox import Sandbox
from processors.settings import WorkerSettings
from processors.worker import Worker
from projections.cursors import Cursors
from projections.healing import Healer
from projections.lists import Lists
from projections.projector import run_projectors
from projections.queries import Queries
from projections.replay import rebuild
from projections.retention import Retention

HEARTBEATS_A_LEASE = 5
"""Four may be late or lost before a living worker counts as dead and its work is done again for nothing."""

CLAIMS_A_LEASE = 4
"""The dead are found a quarter of a lease after it ended, at the latest."""

PARSE_MARGIN_S: Final = 180.0
"""A document waits for its bytes and for the one that the parser has in hand."""


async def running_worker(settings: Settings, stop: asyncio.Event, *, name: str, steps: str) -> None:
    """A worker until `stop`, then its drain. Raises Stop."""
    served = served_here(settings, steps)
    async with open_stores(settings) as stores:
        await tell_at_start(stores)
        sandbox, origins = Sandbox(sandbox_settings(settings)), open_origins(settings)
        try:
            await asyncio.gather(
                warm_parsers(sandbox) if Step.PARSE in served else asyncio.sleep(0), import_for_worker(served)
            )
            if not EMBEDDING_STEPS.isdisjoint(served):
                await stores.embeddings.check()
            holder = process_name(name)
            services, lists = ingest_services(stores, queries_of(stores)), lists_of(stores)
            bring_on = partial(bring_all_on, lists, Reindexing(services, lists, queries_of(stores)))
            upkeep = Upkeep(stores, services, bring_on=bring_on, holder=holder)
            async with (
                opened_traces(settings, role="worker", process=holder) as traces,
                serving_metrics(settings, own_scrape(stores, role="worker", process=holder)),
                in_background(warm_worker(stores, served)),
                in_background(upkeep.run(stop)),
                webhooks_beside(stores, holder=holder),
            ):
                observer = MeasuredAttempts(stores.figures, traces)
                await _worker(stores, sandbox, origins, name=holder, steps=served, observer=observer).run(stop)
        finally:
            await origins.close()
            await sandbox.close()


async def running_projector(settings: Settings, stop: asyncio.Event) -> None:
    """A projector and an archiver for every partition, and who looks after the views, until `stop`. Raises Stop."""
    name = process_name("projector")
    async with (
        open_stores(settings) as stores,
        opened_traces(settings, role="projector", process=name) as traces,
        serving_metrics(settings, own_scrape(stores, role="projector", process=name)),
    ):
        await tell_of_risks(stores.clients)
        projecting = run_projectors(
            stores.log,
            views_of(stores),
            holder=name,
            stop=stop,
            retention=_retention(settings),
            rebuild=rebuild,
            epochs=stores.epochs,
            observer=MeasuredCommits(stores.figures, clock_us, traces),
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(projecting)
            group.create_task(Healer(stores.log, views_of(stores), holder=process_name("healer")).run(stop))
            if settings.archive:
                group.create_task(archiving(settings, holder=process_name("archiver"), stop=stop))


def _retention(settings: Settings) -> Retention | None:
    keep_s = settings.task_retention_s
    return Retention(keep_us=keep_s * 1_000_000, clock_us=clock_us) if keep_s else None


def queries_of(stores: Stores) -> Queries:
    """Questions to the read models, and to the log where they lag behind."""
    return Queries(stores.log, views_of(stores))


def lists_of(stores: Stores) -> Lists:
    """Lists of the read models."""
    return Lists(stores.log, views_of(stores), queries_of(stores), Cursors(stores.secret))


async def search_scope(queries: Queries, knowledge_base_id: str) -> SearchScope:
    """Where a search in a knowledge base looks. Raises InvalidId and Refused."""
    known, generation = await queries.search_scope(parse_knowledge_base_id(knowledge_base_id))
    embedding = embedding_of(known.settings)
    model = embedding.model
    weight, fusion = known.settings.vector_weight, known.settings.fusion
    return SearchScope(
        knowledge_base_id=knowledge_base_id,
        generation=generation,
        embedding_model=model,
        vector_weight=vector_weight_of(model) if weight is None else weight,
        fusion=Fusion.CONVEX if fusion is msgspec.UNSET else Fusion(fusion.value),
        dimensions=embedding.dimensions,
        prefixes=embedding.prefixes,
    )


def chunker_for(settings: KnowledgeBaseSettings) -> Chunker:
    """The chunker that a knowledge base asks for."""
    return make_chunker(
        ChunkerKind(settings.chunker.value),
        ChunkerOptions(
            size_tokens=settings.chunk_tokens,
            overlap_tokens=settings.chunk_overlap_tokens,
            parent_tokens=settings.chunk_parent_tokens or PARENT_TOKENS_DEFAULT,
            window_sentences=settings.chunk_window_sentences or WINDOW_SENTENCES_DEFAULT,
            breakpoint_percentile=settings.chunk_breakpoint_percentile or BREAKPOINT_PERCENTILE_DEFAULT,
        ),
    )


def _worker(
    stores: Stores,
    sandbox: Sandbox,
    origins: Origins,
    *,
    name: str,
    steps: Collection[Step] | None,
    observer: MeasuredAttempts,
) -> Worker:
    return Worker(
        name=name,
        log=stores.log,
        inbox=stores.inbox,
        blobs=stores.blobs,
        index=stores.index,
        embedder_for=stores.embeddings.by,
        chunker_for=chunker_for,
        parser=sandbox,
        documents_of=queries_of(stores).documents_of,
        clock_us=clock_us,
        ids=stores.ids,
        rng=random.Random(),  # noqa: S311  spreads retries and turns, guards nothing
        settings=worker_settings(stores.settings),
        steps=steps,
        origins=origins,
        gate=provider_gate(stores),
        observer=observer,
    )


def provider_gate(stores: Stores) -> ProviderGate:
    """The one gate to embedding providers, for workers and for what the API embeds itself."""
    settings = stores.settings
    quota = Quota(requests_per_minute=settings.embedding_rpm, tokens_per_minute=settings.embedding_tpm)
    return RedisProviderGate(stores.clients.commands, stores.keys, quota)


def worker_settings(settings: Settings) -> WorkerSettings:
    """How workers work, those elsewhere too."""
    lease_ms = settings.lease_s * 1_000
    default = WorkerSettings()
    return WorkerSettings(
        fetch_bytes_max=settings.upload_bytes_max,
        fetch_retry_s=default.fetch_retry_s * settings.retry_base_ms / 1_000,
        # Twice the parsing children: while one document is parsed, the next is read and the last is recorded.
        parse_slots=2 * settings.parse_processes,
        through_bytes_max=settings.through_bytes_max,
        parse_time_limit_s=PARSE_MARGIN_S + 2 * (settings.parse_wall_s_max + settings.ocr_s_max),
        lease_ms=lease_ms,
        heartbeat_ms=lease_ms // HEARTBEATS_A_LEASE,
        claim_interval_ms=min(default.claim_interval_ms, lease_ms // CLAIMS_A_LEASE),
        retry=msgspec.structs.replace(default.retry, base_s=settings.retry_base_ms / 1_000),
        drain_s=settings.drain_s_max,
    )


def served_here(settings: Settings, named: str) -> frozenset[Step]:
    """The steps that a worker was told to serve, else all but those that are left to others. Raises Stop."""
    if named.strip():
        return _steps_of(named, exit_code=ExitCode.USAGE)
    elsewhere = _steps_of(settings.steps_elsewhere, exit_code=ExitCode.CONFIGURATION)
    if stay := elsewhere - LEASED_STEPS:
        raise Stop(
            f"{', '.join(sorted(stay))} cannot be done elsewhere",
            hint="MILLSTREAM_STEPS_ELSEWHERE may name parse and embed; `millstream worker --steps` what a worker takes",
            exit_code=ExitCode.CONFIGURATION,
        )
    return frozenset(Step) - elsewhere


def _steps_of(named: str, *, exit_code: ExitCode) -> frozenset[Step]:
    """Steps by their names, comma-separated. Raises Stop, also for commas alone."""
    try:
        return frozenset(Step(name.strip()) for name in named.split(",")) if named.strip() else frozenset()
    except ValueError as error:
        names = ", ".join(step.value for step in Step if step is not Step.CALLBACK)
        where = "correct MILLSTREAM_STEPS_ELSEWHERE; " if exit_code is ExitCode.CONFIGURATION else ""
        raise Stop(str(error), hint=f"{where}steps are: {names}", exit_code=exit_code) from None
