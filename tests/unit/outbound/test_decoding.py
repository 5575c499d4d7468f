"""Compressed bodies come out whole, in small pieces, or not at all."""

import gzip
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound.decoding import PIECE_BYTES, decoding_of
from outbound.errors import FetchFailed


def raw_deflate(data: bytes) -> bytes:
    compress = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compress.compress(data) + compress.flush()


def decoded(encoding: str, parts: Sequence[bytes]) -> bytes:
    decoding = decoding_of(encoding)
    pieces = [piece for part in parts for piece in decoding.feed(part)]
    decoding.finish()
    assert all(len(piece) <= PIECE_BYTES for piece in pieces)
    return b"".join(pieces)


@given(st.binary(max_size=300), st.integers(1, 400), st.integers(1, 50))
def test_whatever_was_compressed_comes_out_again(data: bytes, times: int, part_bytes: int) -> None:
    body = data * times
    forms = {"": body, "identity": body, "gzip": gzip.compress(body), "deflate": zlib.compress(body)}
    for encoding, sent in forms.items():
        parts = [sent[start : start + part_bytes] for start in range(0, len(sent), part_bytes)]
        assert decoded(encoding, parts) == body


def test_deflate_without_its_header_and_gzip_of_several_members_are_understood() -> None:
    assert decoded("deflate", [raw_deflate(b"flour" * 1_000)]) == b"flour" * 1_000
    assert decoded("X-GZIP", [gzip.compress(b"flour ") + gzip.compress(b"bran")]) == b"flour bran"
    assert decoded("gzip", [gzip.compress(b"flour "), gzip.compress(b"bran")]) == b"flour bran"


def test_a_bomb_comes_out_a_piece_at_a_time() -> None:
    bomb = gzip.compress(bytes(50 * 1024 * 1024), compresslevel=1)
    pieces = decoding_of("gzip").feed(bomb)

    assert [len(next(pieces)) for _ in range(3)] == [PIECE_BYTES] * 3
    assert decoded("gzip", [bomb]) == bytes(50 * 1024 * 1024)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress"])
def test_other_forms_are_refused(encoding: str) -> None:
    with pytest.raises(FetchFailed) as refused:
        decoding_of(encoding)
    assert refused.value.is_permanent


BROKEN = {
    "no gzip": ("gzip", b"not compressed"),
    "no deflate": ("deflate", b"\xff\xff\xff not compressed"),
    "gzip cut": ("gzip", gzip.compress(b"flour" * 100)[:-9]),
    "wrong checksum": ("gzip", gzip.compress(b"flour" * 100)[:-8] + bytes(8)),
    "deflate cut": ("deflate", zlib.compress(b"flour" * 100)[:-1]),
}


@pytest.mark.parametrize(("encoding", "sent"), BROKEN.values(), ids=BROKEN)
def test_a_body_that_breaks_off_or_is_damaged_is_refused(encoding: str, sent: bytes) -> None:
    with pytest.raises(FetchFailed):
        decoded(encoding, [sent])
