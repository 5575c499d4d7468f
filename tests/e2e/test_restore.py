"""A Redis that is gone: the service says so and stands still; restored, it has everything that was ever accepted."""

import shutil
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from domain.status import TaskPhase
from tests.e2e.api import Api
from tests.e2e.papers import text_of, word_of
from tests.e2e.test_restarts import assert_each_document_is_there_once
from tests.servers.service_process import ServiceProcess, environment_with

pytest_plugins = ("tests.servers.service",)

COMMAND_S_MAX = 120.0


def command(service: ServiceProcess, *arguments: str) -> tuple[int, Any, str]:
    """Exit code, answer and what was said beside."""
    ended = subprocess.run(
        [sys.executable, "-m", "millstream", *arguments],
        env=environment_with({**service.variables, "MILLSTREAM_DATA_DIR": str(service.data_dir)}),
        cwd=service.data_dir.parent,
        capture_output=True,
        check=False,
        timeout=COMMAND_S_MAX,
    )
    said = ended.stderr.decode()
    assert "Traceback" not in said, said
    is_json = "--json" in arguments and ended.stdout
    return ended.returncode, msgspec.json.decode(ended.stdout) if is_json else ended.stdout.decode(), said


@pytest.mark.timeout(400)
def test_a_service_whose_redis_is_gone_is_restored_from_its_archive_and_its_blobs(own_service: ServiceProcess) -> None:
    own_service.start()
    with Api(own_service.url) as api:
        kb = api.create("kept for ever")
        first = api.upload(kb, [(f"{number}.txt", text_of(number)) for number in range(4)])
        api.ended(first)
        before = (api.task(first), api.documents(first))
        code, _, said = command(own_service, "archive", "now", "--json")
        assert code == 0, said
        late = api.upload(kb, [(f"{number}.txt", text_of(number)) for number in range(4, 6)])
        api.ended(late)
    own_service.stop()
    shutil.rmtree(own_service.data_dir / "redis")

    code, _, said = command(own_service, "up", "--port", "0")
    assert code == 78, said
    assert "events are gone" in said
    assert "millstream restore" in said

    code, report, said = command(own_service, "restore", "--json")
    assert code == 0, said
    assert report["events"] > 20
    assert (report["uploads"]["tasks"], report["uploads"]["documents_accepted"]) == ({"accepted": 1}, 2)

    own_service.start()
    with Api(own_service.url) as api:
        assert (api.task(first), api.documents(first)) == before
        again = api.ended(late, 120)
        assert (again.status, again.documents.completed) == (TaskPhase.COMPLETED, 2)
        assert_each_document_is_there_once(api, kb, range(6))
        api.completed(kb, [("new.txt", text_of(6))])
        assert api.search(kb, word_of(6), mode="keyword")
        code, report, said = command(own_service, "replay", "--verify", "--json")
        assert (code, report["differences"]) == (0, []), said
        assert command(own_service, "restore")[0] == 78, "an installation that lives is not replaced"
    own_service.stop()
