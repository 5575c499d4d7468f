"""The service and a Qdrant server that answers, is away, is too old, or refuses the key."""

import json
import socket
from pathlib import Path
from typing import Any, Final

import pytest
import structlog

from events.redis_clients import Clients
from millstream.admission.door import Standing
from millstream.doctor import Finding, examine
from millstream.errors import ExitCode, Stop
from millstream.health import health_routes
from millstream.settings import load_settings
from millstream.stores import Stores, open_stores
from tests.servers.certificates import serving
from tests.servers.qdrant_answers import opened, refusal, version_of
from tests.servers.redis_process import RedisProcess
from tests.servers.refusing_server import RefusingServer, refusing_server

pytest_plugins = ("tests.servers.redis",)

KEY: Final = "qk-secret"
Variables = dict[str, str]


@pytest.fixture
def variables(redis_server: RedisProcess, redis_clients: Clients, tmp_path: Path) -> Variables:
    return {
        "MILLSTREAM_REDIS_URL": redis_server.url,
        "MILLSTREAM_DATA_DIR": str(tmp_path),
        "MILLSTREAM_EMBEDDING": "hash",
        "MILLSTREAM_QDRANT_API_KEY": KEY,
    }


def at(server: RefusingServer) -> Variables:
    return {"MILLSTREAM_INDEX_URL": f"qdrant+{server.url}/mill"}


def nowhere() -> Variables:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return {"MILLSTREAM_INDEX_URL": f"qdrant+http://127.0.0.1:{taken.getsockname()[1]}"}


async def told_by_the_doctor(variables: Variables) -> Finding:
    found = await examine(load_settings(variables).settings)
    assert KEY not in repr(found)
    (one,) = [finding for finding in found if finding.subject == "index"]
    return one


async def readiness(stores: Stores) -> tuple[int, dict[str, Any]]:
    (readyz,) = (
        route for route in health_routes(stores, lambda: (Standing.OPEN_BY_SETTING, "open")) if route.path == "/readyz"
    )
    answer = await readyz.endpoint(None)
    return answer.status_code, json.loads(answer.body)


async def test_the_doctor_says_what_the_server_is_and_what_it_needs(variables: Variables) -> None:
    with refusing_server(opened()) as server:
        good = await told_by_the_doctor(variables | at(server))
        server.answers["/collections"] = [refusal(401, "Must provide an API key")]
        refused = await told_by_the_doctor(variables | at(server))
        server.answers["/"] = [version_of("1.17.1")]
        old = await told_by_the_doctor(variables | at(server))
    away = await told_by_the_doctor(variables | nowhere())
    assert good.is_good
    assert "/mill, Qdrant 1.19.0" in good.detail
    assert "over plain HTTP" in good.detail
    assert [refused.is_good, old.is_good, away.is_good] == [False] * 3
    assert "set MILLSTREAM_QDRANT_API_KEY" in refused.detail
    assert "1.17.1 is too old" in old.detail
    assert "ConnectError" in away.detail
    assert "is Qdrant running at" in away.advice


async def test_over_tls_the_server_is_whom_an_authority_of_ones_own_vouches_for(
    variables: Variables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refusing_server(opened(), serving(tmp_path, "127.0.0.1")) as server:
        unknown = await told_by_the_doctor(variables | at(server))
        assert server.asked == [], "the key went to a stranger"
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        known = await told_by_the_doctor(variables | at(server))
    assert not unknown.is_good
    assert "certificate verify failed" in unknown.detail
    assert known.is_good
    assert "qdrant+https://" in known.detail
    assert "plain HTTP" not in known.detail


async def test_readiness_warns_of_a_server_that_is_away_and_stays_ready(variables: Variables) -> None:
    with refusing_server(opened()) as server:
        async with open_stores(load_settings(variables | at(server)).settings) as stores:
            status, good = await readiness(stores)
            assert (status, good["warnings"]) == (200, [])
            assert "the Qdrant server compares" in good["index"]
            server.answers["/collections"] = [refusal(500, "Broken")]
            status, broken = await readiness(stores)
    assert (status, broken["is_ready"]) == (200, True)
    assert "searches fail and documents wait: the index failed: Qdrant: 500" in broken["warnings"][0]


async def test_a_start_waits_for_no_server_and_says_so(variables: Variables) -> None:
    with structlog.testing.capture_logs() as lines:
        async with open_stores(load_settings(variables | nowhere()).settings) as stores:
            assert "qdrant+http://127.0.0.1" in stores.index_told
    assert "index_server_not_reached" in [line["event"] for line in lines]


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"/": [version_of("1.18.0")]}, "1.18.0 is too old"),
        ({"/collections": [refusal(403, "Forbidden")]}, "the key may only read"),
    ],
)
async def test_a_start_at_a_server_that_will_never_serve_ends(
    variables: Variables, answers: dict[str, Any], words: str
) -> None:
    with refusing_server(opened() | answers) as server:
        settings = load_settings(variables | at(server)).settings
        with pytest.raises(Stop, match=words) as stopped:
            async with open_stores(settings):
                pass
    assert stopped.value.exit_code is ExitCode.CONFIGURATION
