"""Knowledge bases that the present settings make no vectors for."""

from typing import Any

import pytest

from events.knowledge_base import KnowledgeBaseSettings
from millstream.embedding_misfits import misfits
from millstream.embeddings import Embeddings
from millstream.settings import Settings
from projections.cursors import Cursors
from projections.lists import Lists
from projections.memory_views import MemoryViews
from projections.queries import Queries
from tests.projecting import project
from tests.unit.processors.mill import Mill

ENDPOINT: dict[str, Any] = {"openai_base_url": "http://127.0.0.1:1/v1", "openai_embedding_model": "m"}


@pytest.mark.parametrize(
    ("recorded", "settings", "words"),
    [
        (("hash", 256), {}, ""),
        (("openai:m", 8), {**ENDPOINT, "openai_embedding_dimensions": 8}, ""),
        (("openai:other", 8), ENDPOINT, ""),
        (
            ("openai:m", 8),
            {**ENDPOINT, "openai_embedding_dimensions": 9},
            "9 dimensions by the settings, the index has 8",
        ),
        (("openai:m", 8), {}, "needs a base URL"),
        (("llamaindex:package.Class#m", 8), {}, "MILLSTREAM_LLAMAINDEX_CLASS"),
    ],
)
async def test_a_knowledge_base_that_does_not_fit_is_named_with_the_reason(
    recorded: tuple[str, int], settings: dict[str, Any], words: str
) -> None:
    mill = Mill()
    model, dimensions = recorded
    await mill.create(KnowledgeBaseSettings(embedding_model=model, embedding_dimensions=dimensions))
    views = MemoryViews(partitions=mill.log.partitions, clock_ms=lambda: 1_000)
    await project(mill.log, views)
    lists = Lists(mill.log, views, Queries(mill.log, views), Cursors(b"s" * 16))
    found = await misfits(lists, Embeddings(Settings(**settings)))
    assert [(one.knowledge_base_id, words in one.reason) for one in found] == (
        [(mill.knowledge_base, True)] if words else []
    )
