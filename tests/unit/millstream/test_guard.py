"""Host and Origin: only programs and pages of this machine drive an open service (B-008, B-023)."""

from typing import Any

import msgspec
import pytest
from starlette.types import Message, Receive, Scope, Send

from ingest.problems import Problem, ProblemCode
from millstream.guard import Guard

OWN = "127.0.0.1:8321"


async def reached(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def answer(
    headers: list[tuple[str, str]], *, method: str = "GET", allowed: tuple[str, ...] = ()
) -> tuple[int, Problem | None, dict[bytes, bytes]]:
    """Status, problem document and headers of the answer to a request with exactly these headers."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    scope: dict[str, Any] = {"type": "http", "method": method, "path": "/", "headers": raw}
    await Guard(reached, allowed)(scope, receive, send)
    body = sent[1]["body"]
    document = msgspec.json.decode(body, type=Problem) if body else None
    return sent[0]["status"], document, dict(sent[0]["headers"])


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8321", "127.0.0.1", "localhost:8321", "LOCALHOST", "LocalHost:80", "[::1]:8321", "[::1]"],
)
async def test_a_host_of_this_machine_passes(host: str) -> None:
    assert (await answer([("host", host)]))[0] == 204


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8321",
        "127.0.0.1.evil.example",
        "x/../admin?",
        "localhost/../admin",
        "localhost#",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost, evil.example",
        "localhost evil.example",
        "localhost:80:80",
        "localhost:port",
        "localhost:²",
        "::1",
        "[::1]evil.example",
        ":8321",
        "\\localhost",
    ],
)
async def test_any_other_host_is_a_bad_host(host: str) -> None:
    status, document, headers = await answer([("host", host)])
    assert status == 400
    assert document is not None
    assert document.code is ProblemCode.BAD_HOST
    assert headers[b"content-type"].startswith(b"application/problem+json")


async def test_no_host_and_two_hosts_are_bad_hosts() -> None:
    for headers in ([], [("host", OWN), ("host", OWN)], [("host", OWN), ("host", "evil.example")]):
        status, document, _ = await answer(headers)
        assert (status, document and document.code) == (400, ProblemCode.BAD_HOST)


async def test_a_configured_host_passes_in_any_case_and_with_any_port() -> None:
    allowed = ("Mill.Example ", "")
    assert (await answer([("host", "mill.example")], allowed=allowed))[0] == 204
    assert (await answer([("host", "MILL.example:443")], allowed=allowed))[0] == 204
    assert (await answer([("host", "evil.example")], allowed=allowed))[0] == 400
    assert (await answer([("host", "")], allowed=allowed))[0] == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "", "http://127.0.0.1:1", "http://localhost:8321", "http://[::1", "http://["],
)
async def test_a_change_from_a_page_of_another_origin_is_forbidden(method: str, origin: str) -> None:
    status, document, _ = await answer([("host", OWN), ("origin", origin)], method=method)
    assert (status, document and document.code) == (403, ProblemCode.FORBIDDEN)


async def test_two_origins_are_forbidden_even_if_one_is_ours() -> None:
    origins = [("origin", f"http://{OWN}"), ("origin", "https://evil.example")]
    assert (await answer([("host", OWN), *origins], method="POST"))[0] == 403


@pytest.mark.parametrize("origin", [f"http://{OWN}", f"HTTP://{OWN}"])
async def test_a_change_from_our_own_page_passes(origin: str) -> None:
    assert (await answer([("host", OWN), ("origin", origin)], method="POST"))[0] == 204


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_reading_from_another_origin_passes_without_leave_to_see_the_answer(method: str) -> None:
    status, _, headers = await answer([("host", OWN), ("origin", "https://evil.example")], method=method)
    assert status == 204
    assert b"access-control-allow-origin" not in headers


async def test_a_program_without_an_origin_may_change_things() -> None:
    assert (await answer([("host", OWN)], method="DELETE"))[0] == 204


async def test_what_is_not_http_passes_untouched() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        seen.append(message["type"])

    await Guard(app)({"type": "lifespan"}, receive, send)
    assert seen == ["lifespan"]
