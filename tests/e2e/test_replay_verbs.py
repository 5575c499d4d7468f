"""`millstream replay` and `millstream events` against a running service: every verb, every exit code."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from domain.status import TaskPhase
from events.ids import partition_of
from events.keys import Keys
from millstream.commands.recovery import _PROJECTIONS
from millstream.replay_wanted import PROJECTIONS
from tests.e2e.api import Api
from tests.e2e.papers import text_of
from tests.e2e.test_command_line import configured, run
from tests.servers.service_process import ServiceProcess

pytest_plugins = ("tests.servers.service",)

PARTITIONS = 8


def test_the_command_names_the_projections_that_there_are() -> None:
    assert sorted(_PROJECTIONS) == sorted(PROJECTIONS)


@pytest.mark.timeout(400)
async def test_verbs_of_replay_while_the_service_runs(own_service: ServiceProcess) -> None:
    own_service.start()
    folder, env = own_service.data_dir.parent, configured(own_service)

    def replay(*arguments: str) -> tuple[int, Any]:
        ended = run("replay", "--json", *arguments, cwd=folder, **env)
        return ended.exit_code, ended.json if ended.stdout else ended.stderr

    with Api(own_service.url) as api:
        before = datetime.now(UTC).isoformat()
        kb = api.create("verbs")
        task = api.upload(kb, [(f"{number}.txt", text_of(number)) for number in range(3)])
        ended = api.ended(task)

        code, plan = replay("--dry-run")
        assert (code, len(plan["planned"]), plan["generation"]) == (0, PARTITIONS, 1)
        assert plan["events"] == sum(one["events"] for one in plan["planned"]) > 20

        code, then = replay("--as-of", before)
        assert (code, then["events"], then["statuses"]["tasks"]) == (0, 0, {})
        code, now = replay("--as-of", datetime.now(UTC).isoformat())
        assert (code, now["statuses"]["documents"], now["statuses"]["tasks"]) == (0, {"completed": 3}, {"completed": 1})
        assert now["peak_memory_bytes"] > 1_000_000

        shown = run("events", "show", task, "--json", cwd=folder, **env)
        facts = shown.json
        assert [facts[0]["type"], facts[-1]["type"]] == ["TaskSubmitted", "TaskFinished"]
        middle = facts[len(facts) // 2]["position"]
        half = run("events", "show", task, "--at", middle, "--json", cwd=folder, **env).json
        assert (half["facts"], half["task"]["status"]) == (len(facts) // 2 + 1, TaskPhase.PROCESSING.value)
        whole = api.http.get(f"/tasks/{task}/events", params={"at": facts[-1]["position"]}).json()
        assert whole["task"] == api.http.get(f"/tasks/{task}").json()
        assert api.http.get(f"/tasks/{task}/events", params={"at": before}).status_code == 404
        assert api.http.get(f"/tasks/{task}/events", params={"at": "yesterday"}).status_code == 422

        assert replay("--verify")[0] == 0
        row = Keys(PARTITIONS).view(partition_of(task), 1, "rows:tasks")
        async with Redis(unix_socket_path=str(own_service.data_dir / "redis" / "redis.sock")) as client:
            await client.hset(row, task, b"\xff")
        code, found = replay("--verify")
        assert (code, [one["name"] for one in found["differences"]]) == (1, [f"tasks/{task}"])
        assert found["differences"][0]["one"] == "unreadable: ff"
        assert found["differences"][0]["other"] is not None
        assert replay("--verify", "--projection", "documents")[0] == 0
        code, repaired = replay("--verify", "--repair")
        assert (code, len(repaired["differences"])) == (0, 1)
        assert api.task(task) == ended
        assert replay("--verify")[0] == 0

        for kind in ("inboxes", "timers", "dead_letters", "tallies", "views"):
            assert replay("--projection", kind)[0] == 0
        assert replay("--projection", "tasks")[0] == 2
        assert replay("--repair")[0] == 2
        assert replay("--as-of", "yesterday")[0] == 2
        assert replay("--from", "log")[0] == 0
        other = kb
        while partition_of(other) == partition_of(kb):
            other = api.create("in another partition")
        code, report = replay("--processes", "2")
        assert (code, report["processes"], report["differences"]) == (0, 2, [])
        assert replay("--verify", "--processes", "2")[0] == 0
        _damage_and_replay(own_service, replay, folder, env)
    own_service.stop()


def _damage_and_replay(service: ServiceProcess, replay: Any, folder: Path, env: dict[str, str]) -> None:
    """A flipped bit is named, nothing is published, and mended it all works again."""
    assert run("archive", "now", "--trim", "--json", cwd=folder, **env).exit_code == 0
    assert replay("--from", "archive")[0] == 0
    segment = max((service.data_dir / "blobs" / "archive").rglob("*.seg"), key=lambda path: path.stat().st_size)
    kept = segment.with_suffix(".kept")
    shutil.copy(segment, kept)
    content = bytearray(segment.read_bytes())
    content[-5] ^= 1
    segment.write_bytes(content)
    generation = replay("--dry-run")[1]["generation"]
    code, said = replay("--from", "archive")
    assert code == 4
    assert segment.name in said
    assert replay("--dry-run")[1]["generation"] == generation, "nothing was published"
    kept.replace(segment)
    assert replay("--from", "archive")[0] == 0
    for processes in ("1", "2"):
        code, said = replay("--from", "log", "--processes", processes)
        assert code == 2, said
        assert "archive" in said
