"""Heads, right and wrong, byte by byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.problems import ProblemCode, Rejected
from millstream.connection.framing import Framing, check_begun, scan_head
from millstream.connection.limits import ConnectionLimits

LIMITS = ConnectionLimits()
TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
COUNT = {b"content-length", b"transfer-encoding", b"host", b"expect", b"content-type", b"upgrade"}


def head(*fields: bytes, line: bytes = b"POST /api/v1/knowledge-bases HTTP/1.1", host: bytes = b"Host: mill") -> bytes:
    return b"\r\n".join([line, *([host] if host else []), *fields, b"", b""])


def get(target: bytes) -> bytes:
    return head(line=b"GET " + target + b" HTTP/1.1")


def refused(raw: bytes) -> ProblemCode:
    with pytest.raises(Rejected) as caught:
        scan_head(raw, LIMITS)
    assert caught.value.detail
    return caught.value.code


WRONG = [
    (head(b"Content-Length: 3", b"Transfer-Encoding: chunked"), "bad_request"),
    (head(b"Transfer-Encoding: chunked", b"Content-Length: 3"), "bad_request"),
    (head(b"Content-Length: 4", b"Content-Length: 5"), "bad_request"),
    (head(b"Content-Length: 4", b"content-length: 4"), "bad_request"),
    (head(b"Content-Length: 4, 4"), "bad_request"),
    *[(head(b"Content-Length: " + n), "bad_request") for n in (b"+3", b"-1", b"0x3", b"1e3", b"3.0", b"", b"1 2")],
    (head(b"Content-Length: 1" + b"0" * 30), "bad_request"),
    (head(b"Content-Length: \xb2"), "bad_request"),
    (head(b"Transfer-Encoding: xchunked"), "unsupported_transfer_encoding"),
    (head(b"Transfer-Encoding: gzip, chunked"), "unsupported_transfer_encoding"),
    (head(b"Transfer-Encoding: chunked, gzip"), "unsupported_transfer_encoding"),
    (head(b"Transfer-Encoding: chunked, chunked"), "unsupported_transfer_encoding"),
    (head(b"Transfer-Encoding: identity"), "unsupported_transfer_encoding"),
    (head(b"Transfer-Encoding: \x0bchunked"), "bad_request"),
    (head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), "bad_request"),
    (head(b"Transfer-Encoding : chunked"), "bad_request"),
    (head(b"Content-Length\t: 3"), "bad_request"),
    (head(b" Content-Length: 3"), "bad_request"),
    (head(b"X: a", b" folded"), "bad_request"),
    (head(b"X: a\0b"), "bad_request"),
    (head(b"X: a\rb"), "bad_request"),
    (head(b"X: a\nY: b"), "bad_request"),
    (head(b"X: a\x7f"), "bad_request"),
    (head(b": nameless"), "bad_request"),
    (head(b"no colon"), "bad_request"),
    (head(b"Caf\xe9: x"), "bad_request"),
    (head(host=b""), "bad_host"),
    (head(b"Host: mill"), "bad_host"),
    *[
        (head(host=b"Host: " + name), "bad_host")
        for name in (b"", b"x/../admin?", b"a b", b"a@b", b"a:b", b"a:123456", b"[::1", b"a,b", b"\xe9")
    ],
    (head(b"Expect: 200-ok"), "expectation_failed"),
    (head(b"Expect: 100-continue", b"Expect: 100-continue"), "expectation_failed"),
    (head(b"Content-Type: a/b", b"Content-Type: application/json"), "bad_request"),
    (head(line=b"GET / HTTP/1.0"), "http_version_not_supported"),
    (head(line=b"GET / HTTP/9.9"), "http_version_not_supported"),
    (head(line=b"PRI * HTTP/2.0"), "http_version_not_supported"),
    *[
        (head(line=line), "bad_request")
        for line in (
            b"GET /",
            b"GET  / HTTP/1.1",
            b"GET / HTTP/1.1 ",
            b"GET / HTTP/11",
            b"GET / http/1.1",
            b"GET /\x80 HTTP/1.1",
        )
    ],
    (head(line=b"GET /\t HTTP/1.1"), "bad_request"),
    (head(line=b"G\xc3\x89T / HTTP/1.1"), "bad_request"),
    (head(line=b"BREW / HTTP/1.1"), "method_not_allowed"),
    (head(line=b"get / HTTP/1.1"), "method_not_allowed"),
    (head(line=b"CONNECT /x HTTP/1.1"), "method_not_allowed"),
    (head(line=b"CONNECT evil:443 HTTP/1.1"), "not_found"),
    *[
        (get(target), "not_found")
        for target in (
            b"http://evil/healthz",
            b"evil",
            b"*",
            b"//evil/..%2f",
            b"//healthz",
            b"/a%00",
            b"/a%0a",
            b"/a%1F",
            b"/a%7f",
            b"/%ff",
            b"/%c0%af",
            b"/%e0%80%af",
            b"/%ed%a0%80",
            b"/..%2f",
            b"/..%5C",
            b"/%",
            b"/%2",
            b"/%zz",
        )
    ],
    (get(b"/a#b"), "bad_request"),
    (get(b"/" + b"a" * 8_192), "uri_too_long"),
    (get(b"/?" + b"a" * 100_000), "uri_too_long"),
    (head(*[b"A: b"] * 100), "headers_too_large"),
    (head(*[b"A: b"] * 20_000), "headers_too_large"),
    (head(b"A: " + b"b" * 32_768), "headers_too_large"),
    (head(b"A: " + b"b" * 1_000_000), "headers_too_large"),
]


@pytest.mark.parametrize(("raw", "code"), WRONG, ids=lambda value: repr(value)[:70])
def test_a_head_with_two_meanings_or_none_is_refused(raw: bytes, code: str) -> None:
    assert refused(raw) == code


RIGHT = [
    (get(b"/"), 0),
    (get(b"/a;b=c?d=e&f=%00%ff"), 0),
    (get(b"/%E7%A3%A8%E5%9D%8A.txt"), 0),
    (get(b"/" + b"a" * 8_191), 0),
    (head(b"Content-Length: 0"), 0),
    (head(b"content-length:42"), 42),
    (head(b"Content-Length: \t 999999999999999999\t "), 999_999_999_999_999_999),
    (head(b"Transfer-Encoding: Chunked"), None),
    (head(b"X-Content-Length: 7", b"Y: Content-Length: 8"), 0),
    (head(host=b"HOST:[::1]:8321"), 0),
    (head(b"Empty:", b"X-Latin: caf\xe9"), 0),
    (head(*[b"A: b"] * 99), 0),
    (head(line=b"TRACE / HTTP/1.1"), 0),
]


@pytest.mark.parametrize(("raw", "length"), RIGHT, ids=lambda value: repr(value)[:70])
def test_an_ordinary_head_is_passed_on_as_it_is(raw: bytes, length: int | None) -> None:
    assert scan_head(raw, LIMITS) == Framing(raw, length, expects_continue=False, is_json=False)


def test_a_head_says_what_its_clock_has_to_know() -> None:
    framing = scan_head(head(b"Expect: 100-Continue", b"Content-Type: application/json; charset=utf-8"), LIMITS)
    assert framing.expects_continue
    assert framing.is_json


def test_the_wish_for_another_protocol_is_ignored() -> None:
    raw = head(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AA", b"upgrade: websocket")
    assert scan_head(raw, LIMITS).head == head(b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AA")


fields = st.tuples(
    st.text(TOKEN, min_size=1, max_size=20).map(str.encode),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=40).map(
        lambda text: text.encode("latin-1")
    ),
).filter(lambda field: field[0].lower() not in COUNT)


@given(
    st.sampled_from(["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"]),
    st.text("abcXYZ019-._~!$&'()*+,;=:@?", max_size=60).filter(lambda text: not text.startswith("/")),
    st.lists(fields, max_size=20),
    st.one_of(st.none(), st.integers(min_value=0, max_value=10**18 - 1)),
)
def test_no_ordinary_request_is_refused(
    method: str, path: str, some: list[tuple[bytes, bytes]], length: int | None
) -> None:
    lines = [b"%b: %b" % field for field in some]
    if length is not None:
        lines.append(b"Content-Length: %d" % length)
    raw = head(*lines, line=f"{method} /{path} HTTP/1.1".encode())
    assert scan_head(raw, LIMITS) == Framing(raw, length or 0, expects_continue=False, is_json=False)


NOISE = st.lists(
    st.one_of(
        st.sampled_from([b"\r\n", b"\n", b"\r", b":", b" ", b"\t", b"%", b"GET ", b" HTTP/1.1\r\n", b"Host: a", b"\0"]),
        st.binary(max_size=8),
    ),
    max_size=40,
).map(b"".join)


@given(NOISE)
def test_noise_is_refused_or_passed_on_and_nothing_else(noise: bytes) -> None:
    for judge in (lambda: scan_head(noise, LIMITS), lambda: check_begun(bytearray(noise), 0, LIMITS)):
        try:
            judge()
        except Rejected as rejected:
            assert rejected.code in ProblemCode  # noqa: PT017  either is right


@given(st.sampled_from([raw for raw, _ in RIGHT]), st.data())
def test_no_beginning_of_an_ordinary_head_is_refused(raw: bytes, data: st.DataObject) -> None:
    known = data.draw(st.integers(0, len(raw) - 4))
    check_begun(bytearray(raw[: data.draw(st.integers(known, len(raw) - 1))]), known, LIMITS)


@pytest.mark.parametrize(
    ("begun", "code"),
    [
        (b"\x16\x03\x01\x02\x00\x01", "bad_request"),
        (b"GET /\r\n", "bad_request"),
        (b"GET / HTTP/1.1\nHost: a\n\n", "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: a\nX", "bad_request"),
        (b"\n", "bad_request"),
        (b"GET / HTTP/1.0\r\n", "http_version_not_supported"),
        (b"PRI * HTTP/2.0\r\n", "http_version_not_supported"),
        (b"GET /" + b"a" * 9_000, "uri_too_long"),
        (b"\0" * 9_000, "bad_request"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 6_000, "headers_too_large"),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 40_000, "headers_too_large"),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_what_will_never_be_a_head_is_refused_before_it_is_whole(begun: bytes, code: str) -> None:
    with pytest.raises(Rejected) as caught:
        check_begun(bytearray(begun), 0, LIMITS)
    assert caught.value.code == code


def test_a_bare_line_feed_is_seen_wherever_the_wire_cuts() -> None:
    begun = b"GET / HTTP/1.1\r\nHost: a\nX: y"
    at = begun.rindex(b"\n")
    for known in range(1, at + 1):
        check_begun(bytearray(begun[:known]), 0, LIMITS)
        with pytest.raises(Rejected):
            check_begun(bytearray(begun), known, LIMITS)
