"""The local model, held to the contract of every embedder."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from knowledge.embedders import Embedder
from knowledge.use_embedder import UseEmbedder
from tests.contract.embedder_contract import EmbedderContract


class TestUseEmbedder(EmbedderContract):
    @pytest.fixture
    async def embedder(self) -> AsyncIterator[Embedder]:
        embedder = UseEmbedder()
        yield embedder
        await embedder.close()


async def test_the_model_understands_both_languages() -> None:
    embedder = UseEmbedder()
    passages = await embedder.embed_passages(["The mill is closed on Sundays.", "Rye flour costs four euros."])
    assert int(np.argmax(passages @ await embedder.embed_query("磨坊星期天关门吗？"))) == 0
    await embedder.close()


async def test_the_event_loop_runs_on_while_texts_are_embedded() -> None:
    embedder = UseEmbedder()
    work = asyncio.create_task(embedder.embed_passages(["The millstone turns slowly. " * 20] * 40))
    turns = 0
    while not work.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(await work) == 40
    assert turns > 10
    await embedder.close()
