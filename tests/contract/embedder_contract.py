"""What every embedder does, whatever model stands behind it."""

import numpy as np
import pytest

from knowledge.embedders import Embedder

TEXTS = ["The millstone is dressed in spring.", "石磨每年春天重新开槽。", "Prices of rye flour, 25 kg"]


class EmbedderContract:
    """Subclasses provide the fixture `embedder`."""

    async def test_every_text_gets_a_unit_vector_in_its_place(self, embedder: Embedder) -> None:
        vectors = await embedder.embed_passages(TEXTS)
        assert vectors.shape == (len(TEXTS), embedder.dimensions)
        assert vectors.dtype == np.float32
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
        for text, vector in zip(TEXTS, vectors, strict=True):
            assert np.allclose((await embedder.embed_passages([text]))[0], vector, atol=1e-4)

    async def test_order_follows_the_texts_in_batches_of_any_size(self, embedder: Embedder) -> None:
        texts = [f"{text} {number}" for number in range(14) for text in TEXTS]
        forward = await embedder.embed_passages(texts)
        backward = await embedder.embed_passages(texts[::-1])
        assert np.allclose(forward, backward[::-1], atol=1e-4)

    async def test_no_texts_make_no_vectors(self, embedder: Embedder) -> None:
        assert (await embedder.embed_passages([])).shape == (0, embedder.dimensions)

    async def test_a_query_is_one_unit_vector(self, embedder: Embedder) -> None:
        vector = await embedder.embed_query("when is the millstone dressed?")
        assert vector.shape == (embedder.dimensions,)
        assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)

    async def test_a_query_is_nearest_to_the_text_with_its_words(self, embedder: Embedder) -> None:
        vectors = await embedder.embed_passages(TEXTS)
        for query, expected in (("millstone dressed spring", 0), ("石磨开槽", 1), ("price of rye flour", 2)):
            assert int(np.argmax(vectors @ await embedder.embed_query(query))) == expected

    @pytest.mark.parametrize("text", ["", " \n", "a\0b", "half \ud83d of a pair", "🜁", "磨" * 9_000, "?"])
    async def test_awkward_text_has_a_vector_too(self, embedder: Embedder, text: str) -> None:
        assert np.isfinite(await embedder.embed_passages([text])).all()
        assert np.linalg.norm(await embedder.embed_query(text)) == pytest.approx(1.0, abs=1e-5)

    async def test_the_model_has_a_name(self, embedder: Embedder) -> None:
        assert embedder.model
        assert embedder.dimensions > 0
