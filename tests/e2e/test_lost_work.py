"""A Redis that lost what follows from the log, under a running service: it is made anew, and everything ends once."""

import subprocess
import sys
from urllib.parse import urlsplit

import msgspec
import pytest
from redis.asyncio import Redis

from domain.status import TaskPhase
from events.keys import Keys
from tests.derived_keys import delete_derived_keys
from tests.e2e.api import Api
from tests.e2e.papers import text_of
from tests.e2e.test_restarts import assert_each_document_is_there_once
from tests.servers.service_process import ServiceProcess, environment_with
from tests.waiting import poll

pytest_plugins = ("tests.servers.service",)

DOCUMENTS = 24
PARTITIONS = 8
COMMAND_S_MAX = 120.0


def replay(service: ServiceProcess, *arguments: str) -> tuple[int, dict[str, object]]:
    ended = subprocess.run(
        [sys.executable, "-m", "millstream", "replay", "--json", *arguments],
        env=environment_with(
            {"MILLSTREAM_PORT": str(urlsplit(service.url).port), "MILLSTREAM_DATA_DIR": str(service.data_dir)}
        ),
        cwd=service.data_dir.parent,
        capture_output=True,
        check=False,
        timeout=COMMAND_S_MAX,
    )
    assert b"Traceback" not in ended.stderr, ended.stderr.decode()
    return ended.returncode, msgspec.json.decode(ended.stdout)


@pytest.mark.timeout(300)
async def test_queued_work_whose_pointers_are_gone_is_found_again_and_done_once(own_service: ServiceProcess) -> None:
    own_service.start()
    with Api(own_service.url) as api:
        kb = api.create("lost work")
        task = api.upload(kb, [(f"{number}.txt", text_of(number)) for number in range(DOCUMENTS)])
        poll(lambda: api.task(task).progress > 0.1, "the work has begun", 90)
        async with Redis(unix_socket_path=str(own_service.data_dir / "redis" / "redis.sock")) as client:
            assert await delete_derived_keys(client, PARTITIONS, with_views=True) > 3
            assert await client.exists(Keys(PARTITIONS).installation)
        exit_code, report = replay(own_service)
        assert exit_code == 0
        assert report["differences"], "pointers and tallies were put"
        ended = api.ended(task, 150)
        assert (ended.status, ended.documents.completed) == (TaskPhase.COMPLETED, DOCUMENTS)
        assert_each_document_is_there_once(api, kb, range(DOCUMENTS))
        facts = [row["type"] for row in api.pages(f"/tasks/{task}/events", dict[str, object])]
        assert facts.count("TaskFinished") == 1
        assert facts.count("DocumentIndexed") == DOCUMENTS
        exit_code, report = replay(own_service, "--verify")
        assert (exit_code, report["differences"]) == (0, [])
    own_service.stop()
