"""Every role with a Redis user of its own (`deploy/redis/users.acl`): what they do is allowed, and little else."""

import base64
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from domain.status import DocumentPhase
from events.redis_border import Script
from tests.e2e.api import Api
from tests.e2e.papers import text_of, word_of
from tests.faults.mill import API, PROJECTOR, Mill, Role
from tests.waiting import poll

USERS = Path(__file__).parents[2] / "deploy" / "redis" / "users.acl"
WORKER = "worker-1"
FORBIDDEN = (
    ("FLUSHALL",),
    ("CONFIG", "SET", "appendonly", "no"),
    ("KEYS", "*"),
    ("EVAL", "return 1", "0"),
    ("ACL", "LIST"),
    ("SHUTDOWN",),
    ("REPLICAOF", "127.0.0.1", "1"),
    ("RESTORE", "ms:x", "0", ""),
    ("SCRIPT", "FLUSH"),
)
ROLES = {API: Role.API, WORKER: Role.WORKER, PROJECTOR: Role.PROJECTOR}


@pytest.fixture(scope="module")
def mill() -> Iterator[Mill]:
    with Mill({"MILLSTREAM_OUTBOUND_ALLOW": "127.0.0.1/32", "MILLSTREAM_ARCHIVE_AFTER_S": "1"}) as mill:
        mill.redis.start()
        socket = mill.redis.url.removeprefix("unix://")
        with Redis(unix_socket_path=socket) as client:
            for line in USERS.read_text(encoding="utf-8").splitlines():
                _, user, *rules = line.split()
                if user != "default":
                    client.execute_command("ACL", "SETUSER", user, *rules)
        for name, role in ROLES.items():
            mill.redis_url = f"unix://millstream-{role.value}:PASSWORD-OF-{role.value.upper()}@{socket}"
            mill.start(role, name, waits=False)
        for name in ROLES:
            mill.wait_ready(name)
        yield mill


def refused(mill: Mill) -> list[tuple[str, str, str]]:
    """Who was refused what."""
    with Redis(unix_socket_path=mill.redis.url.removeprefix("unix://"), decode_responses=True) as client:
        return sorted({(one["username"], one["reason"], one["object"]) for one in client.acl_log()})


def test_a_document_goes_all_the_way_and_nobody_is_refused_anything(mill: Mill) -> None:
    with Api(mill.url) as api:
        kb = api.create("users")
        (document,) = api.completed(kb, [("1.txt", text_of(1))])
        assert document.status is DocumentPhase.COMPLETED
        assert [one.filename for one in api.search(kb, word_of(1), mode="keyword", top_k=3)] == ["1.txt"]
        asked = {"url": "http://127.0.0.1:9/hook"}
        subscribed = api.http.post("/webhooks", json=asked)  # nobody listens there: deliveries are tried again
        assert subscribed.status_code == 201, subscribed.text
        where = f"/knowledge-bases/{kb}/documents/{document.document_id}"
        assert api.http.post(f"{where}/reprocess", json={}).status_code == 202
        poll(lambda: api.document(kb, document.document_id).status is DocumentPhase.COMPLETED, "processed again")
        resumable = {"Tus-Resumable": "1.0.0", "Upload-Length": "3", "Upload-Metadata": _metadata(kb)}
        begun = api.http.post("/uploads", headers=resumable)
        assert begun.status_code == 201, begun.text
        part = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        ended = httpx.patch(f"{mill.url}{begun.headers['location']}", headers=part, content=b"abc")
        assert ended.status_code == 204, ended.text
        api.ended(ended.headers["millstream-task-id"])
        with api.stream(ended.headers["millstream-task-id"]) as told:
            assert next(told).event
        assert api.http.delete(where).is_success
        assert api.http.delete(f"/knowledge-bases/{kb}").is_success
        poll(lambda: api.http.get(f"/knowledge-bases/{kb}").status_code == 404, "the knowledge base is gone")
        assert api.http.post("/keys", json={"name": "k", "scopes": ["read"]}).status_code == 201
    poll(lambda: bool(_keys(mill, "ms:*:segments")), "facts are archived", 60)
    assert refused(mill) == []


@pytest.mark.parametrize("user", ROLES)
def test_every_role_may_say_that_the_log_has_lost_its_end(mill: Mill, user: str) -> None:
    role, keys = ROLES[user].value, [f"ms:{{lost-by-{user}}}:{name}" for name in ("meta", "log", "changes")]
    path, script = mill.redis.url.removeprefix("unix://"), Script("raise_epoch.lua")
    with Redis(
        unix_socket_path=path, username=f"millstream-{role}", password=f"PASSWORD-OF-{role.upper()}", protocol=2
    ) as client:
        client.script_load(script.text)
        assert client.evalsha(script.digest, len(keys), *keys, 1, "7-0") == [2, 1]
        assert client.xlen(keys[1]) == 0


@pytest.mark.parametrize(
    ("user", "command"),
    [
        *((user, command) for user in ROLES for command in FORBIDDEN),
        (WORKER, ("HSET", "ms:keys", "k", "v")),
        (PROJECTOR, ("HGETALL", "ms:keys")),
        (API, ("XTRIM", "ms:{00.0}:log", "MAXLEN", "0")),
        (WORKER, ("XTRIM", "ms:{00.0}:log", "MAXLEN", "0")),
        (PROJECTOR, ("GET", "elsewhere")),
    ],
)
def test_what_no_role_needs_is_refused(mill: Mill, user: str, command: tuple[str, ...]) -> None:
    role = ROLES[user].value
    path = mill.redis.url.removeprefix("unix://")
    with (
        Redis(unix_socket_path=path, username=f"millstream-{role}", password=f"PASSWORD-OF-{role.upper()}") as client,
        pytest.raises(NoPermissionError),
    ):
        client.execute_command(*command)


def _keys(mill: Mill, pattern: str) -> list[str]:
    with Redis(unix_socket_path=mill.redis.url.removeprefix("unix://"), decode_responses=True) as client:
        return list(client.scan_iter(match=pattern))


def _metadata(kb: str) -> str:
    fields = {"knowledge_base": kb, "filename": "r.txt"}
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items())
