"""A PDF is looked over before a parser reads it."""

import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import ParseLimits
from knowledge.pdf_scan import is_cut_off, scan_pdf

LIMITS = ParseLimits(pdf_stream_bytes_max=1_000_000)


def stream(size: int, *filters: bytes, times: int = 1) -> bytes:
    data = bytes(size)
    for _ in range(times):
        data = zlib.compress(data)
    return b"4 0 obj\n<< /Filter [%b] >>\nstream\r\n%b\nendstream\nendobj\n" % (b" ".join(filters), data)


def tree(*nodes: tuple[int, str]) -> bytes:
    return b"".join(b"%d 0 obj\n<< /Type /Pages /Kids [%b] >>\nendobj\n" % (n, kids.encode()) for n, kids in nodes)


@pytest.mark.parametrize(
    "data",
    [
        stream(2_000_000, b"/FlateDecode"),
        stream(2_000_000, b"/Fl"),
        stream(9_000_000, b"/Fl", b"/FlateDecode", times=2),
    ],
    ids=["long name", "short name", "twice"],
)
def test_a_stream_that_unpacks_to_too_much_is_a_resource_limit(data: bytes) -> None:
    with pytest.raises(ParseError) as caught:
        scan_pdf(b"%PDF-1.7\n" + stream(10, b"/FlateDecode") + data, LIMITS)
    assert caught.value.code is ParseErrorCode.RESOURCE_LIMIT


def test_streams_within_the_limit_and_of_other_filters_pass() -> None:
    scan_pdf(stream(900_000, b"/FlateDecode") * 3 + stream(2_000_000, b"/DCTDecode"), LIMITS)
    assert is_cut_off(stream(10, b"/FlateDecode"))


@pytest.mark.parametrize("nodes", [[(2, "2 0 R")], [(2, "3 0 R"), (3, "4 0 R 5 0 R"), (5, "2 0 R")]])
def test_a_tree_of_pages_without_an_end_is_damage(nodes: list[tuple[int, str]]) -> None:
    with pytest.raises(ParseError, match="leads back") as caught:
        scan_pdf(tree(*nodes), LIMITS)
    assert caught.value.code is ParseErrorCode.PARSE_FAILED


def test_pages_that_are_used_twice_and_trees_that_were_mended_pass() -> None:
    scan_pdf(tree((2, "3 0 R 3 0 R 4 0 R"), (3, "5 0 R"), (4, "5 0 R 3 0 R")), LIMITS)
    scan_pdf(tree((2, "2 0 R"), (2, "3 0 R")), LIMITS)


@given(st.lists(st.sampled_from([b"/Kids [", b"1 0 obj", b"1 0 R", b"stream\n", b"/Fl", b"]", b"endstream", b"\0x"])))
def test_what_passes_has_no_tree_that_leads_back_to_its_only_node(pieces: list[bytes]) -> None:
    data = b" ".join(pieces)
    with suppress(ParseError):  # anything else that is raised fails this test
        scan_pdf(data, LIMITS)
        assert b"1 0 obj /Kids [ 1 0 R ]" not in data
