import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import EmbeddingError, KnowledgeError
from knowledge.vectors import decode_vectors, encode_vectors, unit_vectors


@given(st.integers(0, 5), st.integers(0, 9), st.integers(0, 2**32 - 1))
def test_vectors_survive_their_blob(rows: int, dimensions: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32)
    decoded = decode_vectors(encode_vectors(vectors))
    assert decoded.shape == vectors.shape
    assert np.array_equal(decoded, vectors)
    assert decoded.flags.writeable


@pytest.mark.parametrize("cut", [0, 3, 11, 13])
def test_a_damaged_blob_is_refused(cut: int) -> None:
    with pytest.raises(KnowledgeError, match="damaged"):
        decode_vectors(encode_vectors(np.ones((1, 2), dtype=np.float32))[:cut])


def test_one_vector_alone_is_no_batch() -> None:
    with pytest.raises(ValueError, match="must be"):
        encode_vectors(np.ones(3, dtype=np.float32))


def test_rows_come_out_with_length_one() -> None:
    vectors = unit_vectors([[3.0, 4.0], [0.0, 1e30]], rows=2, dimensions=2)
    assert vectors.ravel() == pytest.approx([0.6, 0.8, 0.0, 1.0])
    assert vectors.dtype == np.float32


@pytest.mark.parametrize(
    ("values", "code", "is_permanent"),
    [
        ([[1.0, 0.0]], "wrong_count", False),
        ([[1.0], [1.0]], "wrong_dimensions", True),
        ([[1.0, 0.0], [1.0]], "wrong_dimensions", False),
        ([[1.0, 0.0], [float("nan"), 0.0]], "not_finite", False),
        ([[1.0, 0.0], [float("inf"), 0.0]], "not_finite", False),
        ([[1.0, 0.0], [0.0, 0.0]], "zero_vector", False),
    ],
)
def test_vectors_that_spoil_searches_are_refused(values: list[list[float]], code: str, is_permanent: bool) -> None:
    with pytest.raises(EmbeddingError) as refusal:
        unit_vectors(values, rows=2, dimensions=2)
    assert (refusal.value.code, refusal.value.is_permanent) == (code, is_permanent)
