"""The local model, held to the contract of every embedder."""

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from knowledge.embedders import Embedder
from knowledge.use_embedder import UseEmbedder
from tests.contract.embedder_contract import EmbedderContract


@pytest.fixture(scope="module")
def embedder() -> Iterator[Embedder]:
    """One for all: a second of processor time goes into loading it, and it belongs to no event loop."""
    embedder = UseEmbedder()
    yield embedder
    asyncio.run(embedder.close())


class TestUseEmbedder(EmbedderContract):
    """The fixture is the module's."""


async def test_the_model_understands_both_languages(embedder: Embedder) -> None:
    passages = await embedder.embed_passages(["The mill is closed on Sundays.", "Rye flour costs four euros."])
    assert int(np.argmax(passages @ await embedder.embed_query("磨坊星期天关门吗？"))) == 0


async def test_the_event_loop_runs_on_while_texts_are_embedded(embedder: Embedder) -> None:
    work = asyncio.create_task(embedder.embed_passages(["The millstone turns slowly. " * 20] * 20))
    turns = 0
    while not work.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(await work) == 20
    assert turns > 10
