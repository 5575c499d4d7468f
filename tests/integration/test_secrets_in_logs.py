"""What a client sends to prove who it is gets into no line of the log and into no answer, however its request ends."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from starlette.requests import Request

from events.errors import LogUnavailable
from events.ids import IdFactory, KnowledgeBaseId
from tests.integration.ingest_app import make_services, running_mill
from tests.log_lines import FORMATS, logged

CANARY = "sk-canary-7f31"
HEADERS = {"Authorization": f"Bearer {CANARY}", "Cookie": f"session={CANARY}", "X-Api-Key": CANARY}


@pytest.fixture(params=FORMATS)
def lines(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    with logged(request.param) as stream:
        yield stream


def breaks(request: Request) -> str:
    """An error that nobody is prepared for, with what the client sent in a variable beside it."""
    offered = dict(request.headers)
    raise KeyError(len(offered))


def waits_in_vain(request: Request) -> str:
    offered = dict(request.headers)
    raise LogUnavailable(f"no answer to a request with {len(offered)} headers")


async def post(root: Path, actor_of: object, path: str) -> tuple[int, str]:
    services = replace(make_services(root), actor_of=actor_of)
    async with running_mill(services) as mill:
        answer = await mill.client.post(path, json={"name": "Handbook"}, headers=HEADERS)
        return answer.status_code, answer.text + str(answer.headers)


@pytest.mark.parametrize(
    ("actor_of", "status", "told"),
    [
        (lambda _request: "anonymous", 201, ""),
        (waits_in_vain, 503, "answered_unavailable"),
        (breaks, 500, "unexpected_error"),
    ],
    ids=["done", "unavailable", "broken"],
)
async def test_a_key_is_nowhere(lines: io.StringIO, tmp_path: Path, actor_of: object, status: int, told: str) -> None:
    answered, shown = await post(tmp_path, actor_of, "/api/v1/knowledge-bases")
    assert answered == status
    assert told in lines.getvalue()
    assert CANARY not in lines.getvalue()
    assert CANARY not in shown


async def test_a_refused_request_tells_no_key(lines: io.StringIO, tmp_path: Path) -> None:
    knowledge_base: KnowledgeBaseId = IdFactory(lambda: 1, lambda count: bytes(count)).knowledge_base(1)
    answered, shown = await post(
        tmp_path, lambda _request: "anonymous", f"/api/v1/knowledge-bases/{knowledge_base}/documents"
    )
    assert answered == 415
    assert CANARY not in lines.getvalue() + shown
