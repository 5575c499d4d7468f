"""Arrays of unit vectors: checked, normalised, and as bytes."""

import struct

import numpy as np
import numpy.typing as npt

from knowledge.errors import EmbeddingError, KnowledgeError

Vectors = npt.NDArray[np.float32]  # (n, d), rows of length 1; or (d,)

# Blob: magic, rows, dimensions, then rows x dimensions float32, all little-endian. float32 because 16 bits would
# change scores between a fresh vector and a stored one for a saving of 1 kB a chunk.
_HEADER = struct.Struct("<4sII")
_MAGIC = b"MSV1"

# A vector shorter than this carries no direction: what a broken model answers for everything.
_LENGTH_MIN = 1e-12


def unit_vectors(values: npt.ArrayLike, *, rows: int, dimensions: int) -> Vectors:
    """`values` as (rows, dimensions) float32 with rows of length 1.

    Raises EmbeddingError: `wrong_count`, `wrong_dimensions` (permanent: another model answers), `not_finite` or
    `zero_vector`, because each of them would make every later search silently wrong.
    """
    try:
        with np.errstate(over="ignore"):  # too large for float32 becomes infinity, and is refused below
            array = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise EmbeddingError("wrong_dimensions", f"vectors of unequal length or type: {error}") from error
    if rows == 0 and array.size == 0:
        return np.zeros((0, dimensions), dtype=np.float32)
    if array.ndim != 2 or array.shape[0] != rows:
        raise EmbeddingError("wrong_count", f"{rows} texts were sent, the shape of the answer is {array.shape}")
    if array.shape[1] != dimensions:
        raise EmbeddingError(
            "wrong_dimensions", f"expected {dimensions} dimensions, got {array.shape[1]}", is_permanent=True
        )
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        raise EmbeddingError("not_finite", "a vector holds NaN or infinity", place=int(np.argmin(finite)))
    # float64, because the square of a large finite float32 is infinity in float32.
    lengths = np.linalg.norm(array.astype(np.float64), axis=1, keepdims=True)
    if (lengths < _LENGTH_MIN).any():
        raise EmbeddingError("zero_vector", "a vector is all zeros", place=int(np.argmin(lengths)))
    units: Vectors = (array / lengths).astype(np.float32)
    return units


def encode_vectors(vectors: Vectors) -> bytes:
    """The blob of (n, d) vectors; n and d may be 0. Raises ValueError for any other shape."""
    if vectors.ndim != 2:
        raise ValueError(f"vectors must be (n, d), not {vectors.shape}")
    rows, dimensions = vectors.shape
    return _HEADER.pack(_MAGIC, rows, dimensions) + np.ascontiguousarray(vectors, dtype="<f4").tobytes()


def decode_vectors(blob: bytes) -> Vectors:
    """The (n, d) vectors that `encode_vectors` wrote; raises KnowledgeError where the blob is something else."""
    if len(blob) < _HEADER.size:
        raise KnowledgeError("the stored vectors are damaged: no header")
    magic, rows, dimensions = _HEADER.unpack_from(blob)
    if magic != _MAGIC or len(blob) != _HEADER.size + 4 * rows * dimensions:
        raise KnowledgeError("the stored vectors are damaged: header and size disagree")
    array = np.frombuffer(blob, dtype="<f4", offset=_HEADER.size).reshape(rows, dimensions)
    return array.astype(np.float32)
