"""The local model, held to the contract of every embedder."""

import asyncio
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from knowledge.embedders import Embedder
from knowledge.use_embedder import DIMENSIONS, UseEmbedder
from knowledge.vectors import Vectors
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


async def test_those_that_came_while_the_model_was_busy_are_answered_together(embedder: Embedder) -> None:
    busy = asyncio.create_task(embedder.embed_passages(["The millstone turns slowly. " * 20] * 20))
    await asyncio.sleep(0)
    texts = [f"The runner stone was dressed on day {day}. " * 20 for day in range(6)]
    waiting = [asyncio.create_task(embedder.embed_passages([text, "Bran."])) for text in texts]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.sleep(0)
    assert all(task.done() for task in waiting)
    for text, task in zip(texts, waiting, strict=True):
        np.testing.assert_allclose(await task, await embedder.embed_passages([text, "Bran."]), atol=1e-5)
    await busy


class Standing:
    """In place of the model: is at it until it is told to go on."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.told: list[bool] = []

    def encode(self, texts: list[str]) -> Vectors:
        self.told.append(self.may_go_on.wait(20))
        return np.ones((len(texts), DIMENSIONS), dtype=np.float32)


async def test_whoever_is_out_of_time_does_not_wait_for_the_model() -> None:
    embedder, model = UseEmbedder(), Standing()
    embedder._encoder = model
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await embedder.embed_query("Who grinds?")
    other = asyncio.create_task(embedder.embed_query("Who bakes?"))
    model.may_go_on.set()
    assert (await other).shape == (DIMENSIONS,)
    assert all(model.told), "nobody waited until the model gave up"
    await embedder.close()
