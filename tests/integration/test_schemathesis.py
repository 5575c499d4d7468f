"""Schemathesis reads /openapi.json and sends what it finds there, right and wrong, to the whole application.

`make schemathesis CASES=50 SEED=7` looks harder than `make test` does.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

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
PHASES: Final = "coverage,fuzzing,stateful" if IS_THOROUGH else "coverage,fuzzing"

SEED: Final = os.environ.get("MILLSTREAM_TEST_SEED", "1")
REPEATED: Final = re.compile(r"(.)\1{80,}")
"""Of values that are too long; what they are of is told anyway."""


@pytest.fixture(scope="module")
def open_api(redis_server: RedisProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeApi]:
    with whole_api(redis_server.url, tmp_path_factory.mktemp("open")) as api:
        yield api


@pytest.fixture(scope="module")
def keyed_api(redis_server: RedisProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeApi]:
    """Asks for keys."""
    with whole_api(redis_server.url, tmp_path_factory.mktemp("keyed"), Settings(auth="auto")) as api:
        yield api


@pytest.fixture(scope="module")
def keys(keyed_api: WholeApi) -> dict[str, str]:
    """By scope. The first one closes the door."""
    made: dict[str, str] = {}
    for scope in ("admin", "read"):
        headers = {"Authorization": f"Bearer {made['admin']}"} if made else {}
        asked = {"name": scope, "scopes": [scope]}
        answer = httpx.post(f"{keyed_api.url}/api/v1/keys", json=asked, headers=headers, trust_env=False)
        assert answer.status_code == 201, answer.text
        made[scope] = answer.json()["api_key"]
    return made


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


def schemathesis_finds_nothing(api: WholeApi, directory: Path, key: str | None = None, *, mode: str = "all") -> int:
    """How many requests were judged."""
    (directory / "schemathesis.toml").write_text(configuration(api.world, key), encoding="utf-8")
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{api.url}/openapi.json"),
        *("--checks", "all", "--phases", PHASES, "--max-examples", str(CASES), "--mode", mode),
        *("--request-timeout", "20", "--workers", "2"),
        *("--report-json-path", "report.json", "--no-color", "--warnings", "off"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"}
    run = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=900)
    told = REPEATED.sub(r"\1…", run.stdout)
    assert run.returncode == 0, f"{told[-20_000:]}\n{run.stderr[-2_000:]}"
    report = json.loads((directory / "report.json").read_text(encoding="utf-8"))
    assert report["operations"]["tested"] == report["operations"]["total"]
    return int(report["test_cases"]["generated"])


def test_nothing_is_found_where_no_key_is_needed(open_api: WholeApi, tmp_path: Path) -> None:
    assert schemathesis_finds_nothing(open_api, tmp_path) > 2_000


@pytest.mark.parametrize("scope", ["admin", "read", "none"])
def test_nothing_is_found_where_keys_are_needed(
    keyed_api: WholeApi, keys: dict[str, str], tmp_path: Path, scope: str
) -> None:
    if scope != "read" and not IS_THOROUGH:
        pytest.skip("make schemathesis looks at the others")
    mode = "all" if IS_THOROUGH else "positive"
    assert schemathesis_finds_nothing(keyed_api, tmp_path, keys.get(scope), mode=mode) > 300
