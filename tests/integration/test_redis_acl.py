"""docs/redis-users.md: the user that it makes is enough for the whole service, and good for nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from tests.servers.redis_process import RedisProcess
from tests.servers.service_process import ServiceProcess
from tests.waiting import poll

pytest_plugins = ("tests.servers.redis",)

PAGE: Final = (Path(__file__).resolve().parents[2] / "docs" / "redis-users.md").read_text(encoding="utf-8")
PASSWORD: Final = "stone-on-stone"


def rules() -> list[str]:
    """As the page says them, with a password."""
    found = re.search(r"^ACL SETUSER millstream (.+)$", PAGE, re.MULTILINE)
    assert found is not None
    return found[1].replace("CHANGE-ME", PASSWORD).split()


@pytest.fixture
def guarded(own_redis: RedisProcess) -> Iterator[tuple["Redis", str]]:
    """An administrator's connection, and the URL of the user."""
    path = own_redis.url.removeprefix("unix://")
    with Redis.from_url(own_redis.url) as admin:
        admin.execute_command("ACL", "SETUSER", "millstream", *rules())
        yield admin, f"unix://millstream:{PASSWORD}@{path}"


def test_a_document_goes_through_the_whole_service_and_redis_refuses_nothing(
    guarded: tuple["Redis", str], tmp_path: Path
) -> None:
    admin, url = guarded
    variables = {"MILLSTREAM_WORKERS": "1", "MILLSTREAM_EMBEDDING": "hash", "MILLSTREAM_REDIS_URL": url}
    service = ServiceProcess(tmp_path / "data", variables)
    try:
        service.start()
        with httpx.Client(base_url=f"{service.url}/api/v1", trust_env=False, timeout=60) as client:
            base = client.post("/knowledge-bases", json={"name": "mill"}).json()["knowledge_base_id"]
            files = {"file": ("meal.txt", "The miller judges the meal by its touch. " * 9)}
            task = client.post(f"/knowledge-bases/{base}/documents", files=files).json()["task_id"]
            poll(lambda: client.get(f"/tasks/{task}").json()["status"] == "completed", "it is completed", 60)
            assert client.post(f"/knowledge-bases/{base}/search", json={"query": "meal"}).json()["passages"]
            key = client.post("/keys", json={"name": "ops", "scopes": ["admin"]}).json()["api_key"]
            client.headers["authorization"] = f"Bearer {key}"
            assert client.get("/system").json()["standing"]["workers"] == 1
            assert client.delete(f"/knowledge-bases/{base}").status_code < 300
            ready = httpx.get(f"{service.url}/readyz", trust_env=False, timeout=20).json()
            assert (ready["is_ready"], ready["warnings"]) == (True, [])
        service.stop()
    finally:
        service.end()
    assert [one["object"] for one in admin.acl_log()] == []
    assert "NOPERM" not in service.errors


@pytest.mark.parametrize(
    "command",
    [
        ("GET", "others:key"),
        ("SET", "others:key", "1"),
        ("FLUSHALL",),
        ("KEYS", "*"),
        ("CONFIG", "SET", "maxmemory", "1"),
        ("ACL", "LIST"),
        ("EVAL", "return 1", "0"),
        ("REPLICAOF", "NO", "ONE"),
        ("SHUTDOWN", "NOSAVE"),
        ("MODULE", "LIST"),
        ("RESTORE", "ms:key", "0", "x"),
        ("PUBLISH", "channel", "1"),
    ],
    ids=lambda command: "-".join(command[:2]),
)
def test_what_the_service_does_not_do_its_user_may_not(guarded: tuple["Redis", str], command: tuple[str, ...]) -> None:
    _, url = guarded
    with Redis.from_url(url) as user, pytest.raises(NoPermissionError):
        user.execute_command(*command)
