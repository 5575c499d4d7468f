"""The commands against a running service: what they print, for people and for programs, and how they end."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from redis import Redis

from tests.e2e.api import Api
from tests.e2e.papers import blank_pdf, text_of, word_of
from tests.servers.redis_process import RedisProcess, redis_binary
from tests.servers.service_process import ServiceProcess, environment_with

pytest_plugins = ("tests.servers.redis", "tests.servers.service")


COMMAND_S_MAX = 90.0


class Ended(NamedTuple):
    """What a shell sees of a command."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ms-cli-") as directory:
        yield Path(directory)


def run(*arguments: str, cwd: Path, **variables: str) -> Ended:
    ended = subprocess.run(
        [sys.executable, "-m", "millstream", *arguments],
        env=environment_with(variables),
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_S_MAX,
    )
    assert "Traceback" not in ended.stderr
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def configured(service: ServiceProcess) -> dict[str, str]:
    """The variables that somebody sets who works beside this service."""
    address = urlsplit(service.url)
    return {"MILLSTREAM_PORT": str(address.port), "MILLSTREAM_DATA_DIR": str(service.data_dir)}


def test_ingest_waits_and_search_finds_for_people_and_for_programs(service: ServiceProcess, folder: Path) -> None:
    papers = folder / "papers"
    (papers / "deep").mkdir(parents=True)
    (papers / "one.txt").write_bytes(text_of(301))
    (papers / "deep" / "二.txt").write_bytes(text_of(302))
    (papers / ".hidden").write_bytes(text_of(303))
    env = configured(service)

    ingested = run("ingest", "papers", "--kb", "by command", "--wait", "--json", cwd=folder, **env)
    assert ingested.exit_code == 0, ingested.stderr
    (task,) = ingested.json["tasks"]
    assert (task["status"], task["documents"]["completed"]) == ("completed", 2)

    found = run("search", "by command", word_of(302), "--mode", "keyword", "--json", cwd=folder, **env)
    assert found.exit_code == 0, found.stderr
    (passage,) = found.json["passages"]
    assert (passage["filename"], passage["metadata"]) == ("二.txt", {"path": "deep/二.txt"})
    shown = run("search", "by command", "what does the miller trust", cwd=folder, **env)
    assert shown.exit_code == 0
    assert "1. " in shown.stdout
    assert "one.txt" in shown.stdout

    again = run("ingest", "papers/*.txt", "--kb", "by command", "--wait", cwd=folder, **env)
    assert again.exit_code == 0, again.stderr
    assert "sent 1, 1 of them there already" in again.stderr
    with Api(service.url) as api:
        kbs = api.http.get("/knowledge-bases", params={"name": "by command"}).json()
        assert kbs["total"] == 1, "the second call took the knowledge base of the first"

    listed = run("tasks", "--json", cwd=folder, **env)
    assert task["task_id"] in {row["task_id"] for row in listed.json}
    one = run("tasks", task["task_id"], "--json", cwd=folder, **env)
    assert one.json["task"]["task_id"] == task["task_id"]
    assert {row["filename"] for row in one.json["documents"]} == {"one.txt", "二.txt"}
    watched = run("tasks", task["task_id"], "--watch", cwd=folder, **env)
    assert watched.exit_code == 0
    assert "100%" in watched.stdout


def test_ingest_ends_with_1_where_a_document_fails_and_says_which_and_why(
    service: ServiceProcess, folder: Path
) -> None:
    (folder / "blank.pdf").write_bytes(blank_pdf())
    ended = run("ingest", "blank.pdf", "--kb", "failing", "--wait", cwd=folder, **configured(service))
    assert ended.exit_code == 1
    assert "blank.pdf" in ended.stderr
    assert "no_text" in ended.stderr


def test_ingest_without_waiting_answers_the_task(service: ServiceProcess, folder: Path) -> None:
    (folder / "one.txt").write_bytes(text_of(304))
    ended = run("ingest", "one.txt", "--kb", "not waiting", "--json", cwd=folder, **configured(service))
    assert ended.exit_code == 0
    with Api(service.url) as api:
        api.ended(ended.json["tasks"][0]["task_id"])


def test_what_is_refused_is_told_in_a_line(service: ServiceProcess, folder: Path) -> None:
    env = configured(service)
    (folder / "empty.txt").touch()
    unknown = run("search", "no such knowledge base", "query", cwd=folder, **env)
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert "no such knowledge base" in unknown.stderr
    empty = run("ingest", "empty.txt", "--kb", "refused", cwd=folder, **env)
    assert (empty.exit_code, empty.stdout) == (1, "")
    assert "empty_file" in empty.stderr
    task = run("tasks", "task_nonsense", cwd=folder, **env)
    assert (task.exit_code, task.stdout) == (1, "")


def test_replay_rebuilds_what_is_served_while_it_is_served(service: ServiceProcess, folder: Path) -> None:
    with Api(service.url) as api:
        kb = api.create("replayed")
        task_id = api.upload(kb, [(f"{number}.txt", text_of(number)) for number in range(310, 313)])
        before = (api.ended(task_id), api.documents(task_id), api.knowledge_base(kb))
        replayed = run("replay", "--json", cwd=folder, **configured(service))
        assert replayed.exit_code == 0, replayed.stderr
        assert replayed.json["events"] > 10
        assert replayed.json["generation"] >= 1
        assert (api.task(task_id), api.documents(task_id), api.knowledge_base(kb)) == before
        assert "events" in run("replay", cwd=folder, **configured(service)).stdout
        assert (api.task(task_id), api.documents(task_id), api.knowledge_base(kb)) == before
        api.completed(kb, [("after.txt", text_of(313))])


def test_what_nobody_needs_is_counted_and_deleted_and_what_was_accepted_is_found(
    service: ServiceProcess, folder: Path
) -> None:
    with Api(service.url) as api:
        kb = api.create("collected")
        api.completed(kb, [("kept.txt", text_of(321))])
    nobodys = service.data_dir / "blobs" / "documents" / f"doc_00{'0' * 12}7{'0' * 3}8{'0' * 15}" / "source@1"
    nobodys.parent.mkdir()
    nobodys.write_bytes(b"half an upload")
    os.utime(nobodys, (0, 0))
    env = configured(service)
    planned = run("collect", "--dry-run", "--json", cwd=folder, **env)
    assert planned.exit_code == 0, planned.stderr
    assert planned.json["collected"]["by_reason"] == {"never_accepted": 1}
    assert nobodys.exists()
    collected = run("collect", cwd=folder, **env)
    assert "1 orphan deleted (14 bytes): 1 never_accepted" in collected.stdout, collected
    assert not nobodys.exists()
    reconciled = run("reconcile", "--json", cwd=folder, **env)
    assert reconciled.exit_code == 0, reconciled.stderr
    assert reconciled.json["documents_accepted"] == 0
    assert "0 documents accepted again" in run("reconcile", cwd=folder, **env).stdout


def test_the_doctor_finds_a_healthy_service(service: ServiceProcess, folder: Path) -> None:
    ended = run("doctor", "--json", cwd=folder, **configured(service))
    assert ended.exit_code == 0, ended.stdout
    findings = {finding["subject"]: finding for finding in ended.json}
    assert {"python", "data", "redis", "blobs", "index", "embedding", "parsers", "port"} <= set(findings)
    assert all(finding["is_good"] for finding in ended.json)
    assert "a service is running" in findings["port"]["detail"]
    assert run("doctor", cwd=folder, **configured(service)).exit_code == 0


def test_the_doctor_names_what_does_not_answer(folder: Path) -> None:
    ended = run("doctor", "--json", cwd=folder, MILLSTREAM_REDIS_URL="redis://:sk-secret@127.0.0.1:1/0")
    assert ended.exit_code == 3
    bad = {finding["subject"]: finding for finding in ended.json if not finding["is_good"]}
    assert set(bad) == {"redis"}
    assert "127.0.0.1:1" in bad["redis"]["detail"]
    assert bad["redis"]["advice"]
    assert "sk-secret" not in f"{ended.stdout}{ended.stderr}"


def test_settings_tell_where_each_value_came_from(service: ServiceProcess, folder: Path) -> None:
    rows = {row["name"]: row for row in run("settings", "--json", cwd=folder, **configured(service)).json}
    assert rows["MILLSTREAM_PORT"]["origin"] == "MILLSTREAM_PORT"
    assert rows["MILLSTREAM_HOST"]["origin"] == "default"


def assert_refused(ended: Ended, exit_code: int, *words: str) -> None:
    assert ended.exit_code == exit_code, ended.stderr
    ours = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert len([line for line in ours if line.startswith("millstream: ")]) == 1, "it is said once"
    assert all(word in ended.stderr for word in words), ended.stderr


def test_a_port_in_use_ends_with_3_and_a_hint(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run("up", "--port", port, "--data-dir", "data", cwd=folder)
    assert_refused(ended, 3, port, "in use", "MILLSTREAM_PORT")


@pytest.mark.parametrize("command", ["up", "api", "worker", "projector"])
def test_a_redis_that_does_not_answer_ends_with_3(folder: Path, command: str) -> None:
    ended = run(command, cwd=folder, MILLSTREAM_REDIS_URL="redis://127.0.0.1:1", MILLSTREAM_PORT="0")
    assert_refused(ended, 3, "127.0.0.1:1", "MILLSTREAM_REDIS_URL")


@pytest.mark.parametrize("command", ["up", "api", "worker", "projector"])
def test_a_redis_that_evicts_ends_with_78(folder: Path, redis_directory: Path, command: str) -> None:
    server = RedisProcess(redis_binary(), redis_directory, "--maxmemory-policy", "allkeys-lru")
    server.start()
    try:
        ended = run(command, cwd=folder, MILLSTREAM_REDIS_URL=server.url, MILLSTREAM_PORT="0")
    finally:
        server.stop()
    assert_refused(ended, 78, "noeviction")


def test_a_data_directory_of_a_newer_format_ends_with_78_and_stays_as_it_is(folder: Path) -> None:
    redis_folder = folder / "data" / "redis"
    redis_folder.mkdir(parents=True)
    newer = {"format": "3", "partitions": "8", "id": "x"}
    server = RedisProcess(redis_binary(), redis_folder)
    server.start()
    with Redis.from_url(server.url) as client:
        client.hset("ms:meta", mapping=newer)
    server.stop()
    ended = run("up", "--port", "0", "--data-dir", "data", cwd=folder)
    assert_refused(ended, 78, "format 3", "data directory")
    server.start()
    with Redis.from_url(server.url, decode_responses=True) as client:
        assert client.hgetall("ms:meta") == newer
        assert client.dbsize() == 1
    server.stop()


def test_a_data_directory_in_use_ends_with_78(service: ServiceProcess, folder: Path) -> None:
    ended = run("up", "--port", "0", "--data-dir", str(service.data_dir), cwd=folder)
    assert_refused(ended, 78, "in use by another millstream", "MILLSTREAM_DATA_DIR")


def test_replay_of_nothing_says_so(folder: Path) -> None:
    ended = run("replay", cwd=folder, MILLSTREAM_DATA_DIR=str(folder / "nothing"))
    assert_refused(ended, 3, "there is nothing in")
    assert not (folder / "nothing").exists()
