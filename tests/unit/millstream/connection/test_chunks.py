"""Chunked bodies, cut anywhere, right and wrong."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.problems import ProblemCode, Rejected
from millstream.connection.chunks import Chunks

chunks = st.lists(st.binary(min_size=1, max_size=50), max_size=12)
extensions = st.sampled_from([b"", b";a", b";a=b", b';a="b c";d', b";" + b"x" * 100])


def body_of(parts: list[bytes], extension: bytes = b"", trailers: bytes = b"") -> bytes:
    return b"".join(b"%x%b\r\n%b\r\n" % (len(p), extension, p) for p in parts) + b"0\r\n" + trailers + b"\r\n"


def taken(raw: bytes, places: list[int]) -> tuple[bytes, bytes]:
    """What is passed on and what is left over, the bytes cut at these places."""
    one, passed, rest = Chunks(), b"", b""
    marks = sorted({0, len(raw), *(place % (len(raw) + 1) for place in places)})
    for start, end in pairwise(marks):
        if one.is_whole:
            rest += raw[start:end]
            continue
        more, rest = one.take(raw[start:end])
        passed += more
    assert one.is_whole
    return passed, rest


@given(chunks, extensions, st.lists(st.integers(0, 2_000), max_size=20), st.sampled_from([b"", b"GET / HTTP/1.1\r\n"]))
def test_a_body_is_passed_on_as_it_is_however_it_is_cut(
    parts: list[bytes], extension: bytes, places: list[int], behind: bytes
) -> None:
    raw = body_of(parts, extension)
    assert taken(raw + behind, places) == (raw, behind)


@given(chunks, st.lists(st.integers(0, 2_000), max_size=20))
def test_trailers_are_not_passed_on(parts: list[bytes], places: list[int]) -> None:
    raw = body_of(parts, trailers=b"Authorization: Bearer x\r\nContent-Length: 5\r\n")
    assert taken(raw + b"rest", places) == (body_of(parts), b"rest")


def test_every_byte_may_come_by_itself() -> None:
    raw = body_of([b"one", b"two\r\n0\r\n\r\n"], b";x=y", b"A: b\r\n")
    assert taken(raw, list(range(len(raw)))) == (body_of([b"one", b"two\r\n0\r\n\r\n"], b";x=y"), b"")


WRONG = [
    b"-1\r\n",
    b"+1\r\n",
    b"0x1\r\nx\r\n0\r\n\r\n",
    b" 1\r\nx\r\n",
    b"1 \r\nx\r\n",
    b"\r\n",
    b"g\r\n",
    b"10000000000000000\r\n",
    b"ffffffffffffffffffff\r\n",
    b"1\nx\n0\n\n",
    b"1\r\nxy\r\n",
    b"1\r\nx0\r\n\r\n",
    b"1\r\nx\n0\r\n\r\n",
    b"1\r\nx\r\r\n0\r\n\r\n",
    b"1;a\0b\r\nx\r\n0\r\n\r\n",
    b"1;a\nx\r\n0\r\n\r\n",
    b"1;" + b"x" * 1_000_000,
    b"1" * 300,
    b"0\r\nno colon\r\n\r\n",
    b"0\r\nA: b\n\r\n",
    b"0\r\n folded\r\n\r\n",
    b"0\r\nA: " + b"b" * 1_000_000,
    b"0\r\n" + b"A: b\r\n" * 10_000 + b"\r\n",
    (b"1;" + b"x" * 200 + b"\r\nx\r\n") * 1_000 + b"0\r\n\r\n",
    b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n",
]


def bytes_until_refused(raw: bytes, step: int) -> int | None:
    """How much was taken before the refusal."""
    one = Chunks()
    for start in range(0, len(raw), step):
        try:
            one.take(raw[start : start + step])
        except Rejected as rejected:
            return start if rejected.code is ProblemCode.BAD_REQUEST else None
    return None


@pytest.mark.parametrize("raw", WRONG, ids=lambda value: repr(value)[:40])
@pytest.mark.parametrize("step", [7, 100_000_000])
def test_a_body_that_two_programs_may_read_differently_is_refused(raw: bytes, step: int) -> None:
    assert bytes_until_refused(raw, step) is not None


def test_a_long_line_is_refused_before_it_is_held() -> None:
    """Counted, not measured: less than 9 KB of a megabyte are read."""
    for begin in (b"1;", b"0\r\nA: "):
        taken_bytes = bytes_until_refused(begin + b"x" * 1_000_000, 100)
        assert taken_bytes is not None
        assert taken_bytes < 9_000


@given(
    st.lists(st.one_of(st.sampled_from([b"\r\n", b"\n", b"5", b"0", b";", b"f"]), st.binary(max_size=6)), max_size=30)
)
def test_noise_is_refused_or_passed_on_and_nothing_else(pieces: list[bytes]) -> None:
    one = Chunks()
    for piece in pieces:
        try:
            one.take(piece)
        except Rejected:
            return
