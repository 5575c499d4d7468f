"""Bytes on a socket that are no request, or one that two programs would read differently: table A of bad input."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from events.ids import KnowledgeBaseId
from millstream.connection.limits import ConnectionLimits
from tests.integration.ingest_app import Mill, make_services, running_mill
from tests.integration.wire import connected, exchange, pieces_of
from tests.multipart_forms import CONTENT_TYPE, file_part, form

pytestmark = pytest.mark.asyncio(loop_scope="module")

KBS = b"/api/v1/knowledge-bases"
JSON = b"Content-Type: application/json"
LIMITS = ConnectionLimits(linger_s_max=2.0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mill(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mill]:
    async with running_mill(make_services(tmp_path_factory.mktemp("blobs")), LIMITS) as mill:
        yield mill


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kb(mill: Mill) -> KnowledgeBaseId:
    return await mill.knowledge_base()


def request(*fields: bytes, line: bytes = b"POST " + KBS + b" HTTP/1.1", body: bytes = b"", host: bool = True) -> bytes:
    return b"\r\n".join([line, *([b"Host: mill"] if host else []), *fields, b"", body])


def get(target: bytes) -> bytes:
    return request(line=b"GET " + target + b" HTTP/1.1")


def chunked(body: bytes) -> bytes:
    return request(JSON, b"Transfer-Encoding: chunked", body=body)


NAMED = b'{"name":"x"}'

TABLE = {
    "B-001 both lengths": (
        request(JSON, b"Content-Length: 12", b"Transfer-Encoding: chunked", body=b"c\r\n" + NAMED + b"\r\n0\r\n\r\n"),
        (400, "bad_request"),
    ),
    "B-002 two lengths": (
        request(JSON, b"Content-Length: 12", b"Content-Length: 11", body=NAMED),
        (400, "bad_request"),
    ),
    **{
        f"B-004 {length!r}": (request(JSON, b"Content-Length: " + length, body=b"123"), (400, "bad_request"))
        for length in (b"+3", b"-1", b"0x3", b"1e3", b"1" + b"0" * 30, b"3,3", b"")
    },
    **{
        f"B-005 {coding!r}": (
            request(JSON, b"Transfer-Encoding: " + coding, body=b"0\r\n\r\n"),
            (501, "unsupported_transfer_encoding"),
        )
        for coding in (b"xchunked", b"gzip, chunked", b"chunked, chunked", b"gzip")
    },
    "B-005 twice": (
        request(JSON, b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        (400, "bad_request"),
    ),
    "B-005 space before the colon": (
        request(JSON, b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
        (400, "bad_request"),
    ),
    "B-006 no CRLF": (chunked(b"3\r\nabcX\r\n0\r\n\r\n"), (400, "bad_request")),
    "B-006 LF only": (chunked(b"3\nabc\n0\n\n"), (400, "bad_request")),
    "B-006 size -1": (chunked(b"-1\r\n"), (400, "bad_request")),
    "B-006 size 2^64": (chunked(b"1" + b"0" * 16 + b"\r\n"), (400, "bad_request")),
    "B-006 long size": (chunked(b"f" * 400), (400, "bad_request")),
    "B-006 extension": (chunked(b"3;" + b"e" * 1_000_000 + b"\r\nabc\r\n0\r\n\r\n"), (400, "bad_request")),
    "B-006 trailer": (chunked(b"0\r\nTrailer: " + b"t" * 1_000_000 + b"\r\n\r\n"), (400, "bad_request")),
    "B-006 tiny chunks": (chunked(b"1\r\n \r\n" * 100_000 + b"0\r\n\r\n"), (400, "bad_request")),
    "B-007 line feeds": (request(JSON).replace(b"\r\n", b"\n"), (400, "bad_request")),
    "B-007 folded": (request(b"X: a", b" b"), (400, "bad_request")),
    "B-007 NUL": (request(b"X: a\0b"), (400, "bad_request")),
    "B-007 CR": (request(b"X: a\rb"), (400, "bad_request")),
    "B-008 no host": (request(host=False), (400, "bad_host")),
    "B-008 two hosts": (request(b"Host: mill"), (400, "bad_host")),
    "B-008 bad host": (request(b"Host: x/../admin?", host=False), (400, "bad_host")),
    "B-008 another host": (request(b"Host: evil.example", b"Connection: close", host=False), (400, "bad_host")),
    "B-009 absolute": (get(b"http://mill" + KBS), (404, "not_found")),
    "B-009 two slashes": (get(b"//evil/..%2f"), (404, "not_found")),
    "B-009 CONNECT": (request(line=b"CONNECT evil:443 HTTP/1.1"), (404, "not_found")),
    "B-009 CONNECT path": (request(line=b"CONNECT " + KBS + b" HTTP/1.1"), (405, "method_not_allowed")),
    "B-009 unknown method": (request(line=b"BREW " + KBS + b" HTTP/1.1"), (405, "method_not_allowed")),
    **{
        f"B-010 {path[-20:]!r}": (get(KBS + b"/" + path), (404, "not_found"))
        for path in (b"kb_%00", b"kb_%ff", b"%c0%af", b"..%2f", b"%e0%80%af", b"a%5c")
    },
    "B-010 long": (get(KBS + b"/" + b"a" * 9_000), (414, "uri_too_long")),
    "B-010 endless": (b"GET /" + b"a" * 500_000, (414, "uri_too_long")),
    "B-011 1 MB": (request(b"X: " + b"x" * 1_000_000), (431, "headers_too_large")),
    "B-011 33 kB": (request(b"X: " + b"x" * 33_000), (431, "headers_too_large")),
    "B-011 101 fields": (request(*[b"X: x"] * 100), (431, "headers_too_large")),
    "B-011 20,000 fields": (request(*[b"X: x"] * 20_000), (431, "headers_too_large")),
    "B-014 expectation": (request(b"Expect: a-miracle"), (417, "expectation_failed")),
    "B-016 1.0": (request(line=b"GET / HTTP/1.0"), (505, "http_version_not_supported")),
    "B-016 9.9": (request(line=b"GET / HTTP/9.9"), (505, "http_version_not_supported")),
    "B-016 2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (505, "http_version_not_supported")),
    "B-016 0.9": (b"GET /\r\n", (400, "bad_request")),
    "B-016 TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", (400, "bad_request")),
}


@pytest.mark.parametrize("name", TABLE)
async def test_what_is_no_plain_request_is_refused_and_the_connection_closed(
    mill: Mill, kb: KnowledgeBaseId, name: str
) -> None:
    raw, verdict = TABLE[name]
    (answer,) = await exchange(mill.port, *pieces_of(raw, 50_000))
    answer.check_problem()
    assert answer.verdict == verdict
    assert answer.headers["connection"] == "close"
    assert ("allow" in answer.headers) == (answer.status == 405)
    assert b"BREW" not in answer.body
    assert b"evil" not in answer.body
    await check_nothing_stays(mill)


async def check_nothing_stays(mill: Mill) -> None:
    await mill.requests.wait_until_idle()
    assert [one.type for one in await mill.facts()] == ["KnowledgeBaseCreated"]
    assert await mill.blobs() == {}


@pytest.mark.parametrize("path", [b"", b"/kb_a;b", b"/%2e%2e", b"/..", b"/kb_%5b*"])
async def test_what_the_router_refuses_leaves_the_connection_open(mill: Mill, kb: KnowledgeBaseId, path: bytes) -> None:
    """B-009 and B-010, where the bytes are a request like others."""
    async with connected(mill.port) as wire:
        for _ in range(2):
            await wire.send(request(line=b"TRACE " + KBS + path + b" HTTP/1.1"))
            answer = await wire.next()
            answer.check_problem()
            assert answer.verdict == (405, "method_not_allowed")
            assert "POST" in answer.headers["allow"] or "DELETE" in answer.headers["allow"]
            assert b"Host" not in answer.body


async def test_every_piece_may_come_by_itself(mill: Mill, kb: KnowledgeBaseId) -> None:
    raw = b"\r\n" + chunked(b'6\r\n{"name\r\n1;x=y\r\n"\r\n0\r\nA: b\r\n\r\n')
    async with connected(mill.port) as wire:
        for piece in pieces_of(raw, 3):
            await wire.send(piece)
            await asyncio.sleep(0)
        answer = await wire.next()
        assert answer.verdict == (400, "invalid_json")


async def test_requests_sent_ahead_are_answered_in_order_and_the_first_bad_one_ends_them(
    mill: Mill, kb: KnowledgeBaseId
) -> None:
    """B-013: bytes behind a body are the next request, strictly parsed."""
    good = request(JSON, b"Content-Length: 2", body=b"{}")
    answers = await exchange(mill.port, good + chunked(b"2\r\n{}\r\n0\r\n\r\n") + good + b"GARBAGE\r\n\r\n" + good)
    assert [answer.status for answer in answers] == [422, 422, 422, 400]
    await check_nothing_stays(mill)


async def test_fields_behind_a_body_are_not_fields_of_the_request(mill: Mill, kb: KnowledgeBaseId) -> None:
    raw = chunked(b"2\r\n{}\r\n0\r\nX-Request-Id: forged\r\nHost: evil\r\n\r\n")
    async with connected(mill.port) as wire:
        await wire.send(raw)
        answer = await wire.next()
        assert (answer.status, answer.headers["x-request-id"] == "forged") == (422, False)


async def test_the_wish_for_another_protocol_does_not_hide_a_body(mill: Mill, kb: KnowledgeBaseId) -> None:
    upgrade = (b"Connection: Upgrade", b"Upgrade: h2c")
    async with connected(mill.port) as wire:
        for _ in range(2):
            await wire.send(request(JSON, *upgrade, b"Content-Length: 2", body=b"{}"))
            assert (await wire.next()).status == 422


async def test_a_refused_head_request_is_answered_without_a_body(mill: Mill, kb: KnowledgeBaseId) -> None:
    async with connected(mill.port) as wire:
        await wire.send(request(b"Expect: a-miracle", line=b"HEAD " + KBS + b" HTTP/1.1"))
        (answer,) = await wire.answers()
        assert (answer.status, answer.body) == (417, b"")
        assert int(answer.headers["content-length"]) > 0


@pytest.mark.parametrize("name", ["B-006 extension", "B-006 trailer", "B-011 1 MB", "B-010 endless"])
async def test_what_is_refused_for_its_length_is_not_held(mill: Mill, kb: KnowledgeBaseId, name: str) -> None:
    raw, verdict = TABLE[name]
    pieces = list(pieces_of(raw, 16_384))
    tracemalloc.start()
    try:
        before_bytes, _ = tracemalloc.get_traced_memory()
        async with connected(mill.port) as wire:
            await wire.send(*pieces)
            (answer,) = await wire.answers()
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.verdict == verdict
    assert peak_bytes - before_bytes < 2_000_000


@pytest.mark.parametrize(
    "fields",
    [
        (b"Content-Encoding: gzip",),
        (b"Content-Length: 2000000",),
        (b"Origin: https://evil.example",),
        (b"Idempotency-Key: ",),
    ],
    ids=repr,
)
@pytest.mark.parametrize("sends_at_once", [False, True])
async def test_a_client_that_asks_first_is_refused_before_it_sends(
    mill: Mill, kb: KnowledgeBaseId, fields: tuple[bytes, ...], sends_at_once: bool
) -> None:
    """B-014 and B-015: the answer comes whole, without a 100, though the body be on its way already."""
    line = b"POST " + KBS + b"/" + kb.encode() + b"/documents HTTP/1.1"
    length = () if fields[0].startswith(b"Content-Length") else (b"Content-Length: 1000000",)
    raw = request(b"Content-Type: " + CONTENT_TYPE.encode(), b"Expect: 100-continue", *fields, *length, line=line)
    async with connected(mill.port) as wire:
        await wire.send(raw, *(pieces_of(b"x" * 1_000_000, 50_000) if sends_at_once else ()))
        answer = await wire.next()
    answer.check_problem()
    assert answer.status in {400, 403, 413, 415}
    assert answer.headers["connection"] == "close"
    await check_nothing_stays(mill)


async def test_a_client_that_asks_first_is_told_to_go_on_when_its_body_is_wanted(
    mill: Mill, kb: KnowledgeBaseId
) -> None:
    async with connected(mill.port) as wire:
        await wire.send(request(JSON, b"Content-Length: 2", b"Expect: 100-continue"))
        assert (await wire.next(has_body=False)).status == 100
        await wire.send(b"{}")
        assert (await wire.next()).status == 422
        await wire.send(request(JSON, b"Content-Length: 2", body=b"{}"))
        assert (await wire.next()).status == 422


async def test_what_a_proxy_might_have_said_changes_nothing(mill: Mill, kb: KnowledgeBaseId) -> None:
    """B-023 and B-024."""
    forged = (b"X-Forwarded-Host: mill", b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-Proto: https")
    (answer,) = await exchange(mill.port, request(b"Host: evil.example", b"Connection: close", *forged, host=False))
    assert answer.verdict == (400, "bad_host")
    preflight = (b"Origin: https://evil.example", b"Access-Control-Request-Method: PATCH", b"Connection: close")
    (answer,) = await exchange(mill.port, request(*preflight, line=b"OPTIONS " + KBS + b" HTTP/1.1"))
    assert answer.verdict == (405, "method_not_allowed")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("hangs_up", ["FIN", "RST"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
async def test_a_client_that_hangs_up_leaves_nothing(
    mill: Mill, kb: KnowledgeBaseId, hangs_up: str, share: float
) -> None:
    body = form(file_part(b"x" * 100_000), file_part(b"y" * 100_000))
    line = b"POST " + KBS + b"/" + kb.encode() + b"/documents HTTP/1.1"
    raw = request(b"Content-Type: " + CONTENT_TYPE.encode(), b"Content-Length: %d" % len(body), line=line)
    ended = mill.requests.ended
    async with connected(mill.port) as wire:
        await wire.send(raw, body[: int(len(body) * share)])
        await mill.requests.wait_for_begun(ended + 1)
        if hangs_up == "RST":
            wire.abort()
        else:
            wire.half_close()
            assert await wire.is_closed()
    await mill.requests.wait_for_ended(ended + 1)
    await check_nothing_stays(mill)


@pytest.mark.parametrize("hangs_up", ["FIN", "RST"])
async def test_a_client_that_hangs_up_behind_its_last_byte_left_all_or_nothing(
    mill: Mill, kb: KnowledgeBaseId, hangs_up: str
) -> None:
    kb = await mill.knowledge_base(hangs_up)
    body = form(file_part(b"x" * 100_000))
    line = b"POST " + KBS + b"/" + kb.encode() + b"/documents HTTP/1.1"
    begun, before, blobs = mill.requests.begun, await accepted_in(mill), set(await mill.blobs())
    async with connected(mill.port) as wire:
        raw = request(b"Content-Type: " + CONTENT_TYPE.encode(), b"Content-Length: %d" % len(body), line=line)
        await wire.send(raw, body)
        await mill.requests.wait_for_begun(begun + 1)
        if hangs_up == "RST":
            wire.abort()
        else:
            wire.half_close()
            assert await wire.is_closed()
    await mill.requests.wait_until_idle()
    left = {key for key in set(await mill.blobs()) - blobs if not key.endswith(".json")}
    assert len(await accepted_in(mill) - before) == len(left) <= 1


async def accepted_in(mill: Mill) -> set[str]:
    return {one.stream_id for one in await mill.facts() if one.type == "DocumentAccepted"}


async def test_after_all_this_an_honest_client_is_served(mill: Mill, kb: KnowledgeBaseId, tmp_path: Path) -> None:
    answer = await mill.client.post(f"/api/v1/knowledge-bases/{kb}/documents", files={"file": ("a.txt", b"text")})
    assert answer.status_code == 202
