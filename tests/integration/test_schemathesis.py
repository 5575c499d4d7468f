"""Schemathesis reads /openapi.json and sends what it finds there, right and wrong, to the whole application.

`make schemathesis CASES=50 SEED=7` looks harder than `make test` does.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

import httpx
import pytest

from millstream.settings import Settings
from tests.servers.redis_process import RedisProcess
from tests.servers.whole_api import WholeApi, World, whole_api

pytest_plugins = ("tests.servers.redis",)
pytestmark = pytest.mark.timeout(1_000)

ROOT: Final = Path(__file__).resolve().parents[2]
CASES: Final = int(os.environ.get("MILLSTREAM_TEST_CASES", "2"))
"""Random ones for each operation, besides those that cover the schema systematically."""

IS_THOROUGH: Final = "MILLSTREAM_TEST_CASES" in os.environ

SEED: Final = os.environ.get("MILLSTREAM_TEST_SEED", "1")
REPEATED: Final = re.compile(r"(.)\1{80,}")
"""Of values that are too long; what they are of is told anyway."""


class Judged(NamedTuple):
    """Requests that were judged, and the calls of which at least one was taken: what nobody lets in proves nothing."""

    requests: int
    taken: frozenset[str]


def configuration(world: World, key: str | None) -> str:
    """Ids of what there is, so that more than 404 is seen; what would take the ground from under it names nobody."""
    auth = "" if key is None else f'[auth.openapi.key]\nbearer = "{key}"\n'
    return f"""
hooks = "tests.openapi_exceptions"
continue-on-failure = true
seed = {SEED}
[generation]
allow-x00 = false
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 409, 412, 413, 414, 415, 422, 431]
[checks.missing_required_header]
expected-statuses = [400, 401, 403, 404, 412, 415, 422]
[dictionaries]
bases = {{ values = ["{world.knowledge_base}"] }}
tasks = {{ values = ["{world.done}", "{world.open}", "{world.failed}"] }}
documents = {{ values = ["{world.document}", "{world.waiting}", "{world.dead_letter}"] }}
[parameters]
"path.kb_id" = {{ dictionary = "bases", probability = 0.8 }}
"path.task_id" = {{ dictionary = "tasks", probability = 0.8 }}
"path.document_id" = {{ dictionary = "documents", probability = 0.8 }}
[[operations]]
include-operation-id = ["delete_knowledge_base"]
parameters = {{ "path.kb_id" = "{world.spare}" }}
[[operations]]
include-operation-id = ["revoke_key", "rotate_key"]
parameters = {{ "path.key_id" = "0000000000000000" }}
{auth}"""


def schemathesis_finds_nothing(
    api: WholeApi, directory: Path, key: str | None = None, *, mode: str = "all", phases: str = "coverage,fuzzing"
) -> Judged:
    (directory / "schemathesis.toml").write_text(configuration(api.world, key), encoding="utf-8")
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{api.url}/openapi.json"),
        *("--checks", "all", "--phases", phases, "--max-examples", str(CASES), "--mode", mode),
        # One: two threads that parse Python at the same time (Hypothesis looks into lambdas) end Python 3.11 with a
        # SystemError, "AST constructor recursion depth mismatch".
        *("--request-timeout", "20", "--workers", "1"),
        *("--report-json-path", "report.json", "--no-color", "--warnings", "off"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"}
    run = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=900)
    told = REPEATED.sub(r"\1…", run.stdout)
    assert run.returncode == 0, f"{told[-20_000:]}\n{run.stderr[-2_000:]}"
    report = json.loads((directory / "report.json").read_text(encoding="utf-8"))
    assert report["operations"]["tested"] == report["operations"]["total"]
    rates = report["valid_rates"].items()
    taken = frozenset(call for call, phases in rates if any(phase["accepted"] for phase in phases.values()))
    return Judged(report["test_cases"]["generated"], taken)


def made_key(api: WholeApi, scope: str, by: str | None = None) -> str:
    headers = {} if by is None else {"Authorization": f"Bearer {by}"}
    asked = {"name": scope, "scopes": [scope]}
    answer = httpx.post(f"{api.url}/api/v1/keys", json=asked, headers=headers, trust_env=False)
    assert answer.status_code == 201, answer.text
    key: str = answer.json()["api_key"]
    return key


def test_nothing_is_found_where_no_key_is_needed(redis_server: RedisProcess, tmp_path: Path) -> None:
    with whole_api(redis_server.url, tmp_path / "data") as api:
        phases = "coverage,fuzzing,stateful" if IS_THOROUGH else "coverage,fuzzing"
        judged = schemathesis_finds_nothing(api, tmp_path, phases=phases)
    assert judged.requests > 2_000
    assert judged.taken >= {
        "GET /healthz",
        "GET /api/v1/tasks/{task_id}",
        "POST /api/v1/knowledge-bases",
        "GET /api/v1/keys",
    }


READ: Final = {"GET /healthz", "GET /api/v1/tasks", "GET /api/v1/stream"}
TAKEN: Final = {
    "admin": {*READ, "POST /api/v1/knowledge-bases", "GET /api/v1/keys"},
    "read": READ,
    "none": {"GET /healthz"},
}
NOT_TAKEN: Final = {
    "admin": set(),
    "read": {"POST /api/v1/knowledge-bases", "GET /api/v1/keys"},
    "none": {"GET /api/v1/tasks"},
}


@pytest.mark.parametrize("scope", ["admin", "read", "none"])
def test_nothing_is_found_where_keys_are_needed(redis_server: RedisProcess, tmp_path: Path, scope: str) -> None:
    if scope != "read" and not IS_THOROUGH:
        pytest.skip("make schemathesis looks at the others")
    with whole_api(redis_server.url, tmp_path / "data", Settings(auth="auto")) as api:
        # The first key closes the door.
        admin = made_key(api, "admin")
        key = {"admin": admin, "read": made_key(api, "read", admin)}.get(scope)
        judged = schemathesis_finds_nothing(api, tmp_path, key, mode="all" if IS_THOROUGH else "positive")
    assert judged.requests > 300
    assert judged.taken >= TAKEN[scope]
    assert judged.taken.isdisjoint(NOT_TAKEN[scope])
