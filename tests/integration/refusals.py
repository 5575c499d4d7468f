"""Calls that are no good, sent to the whole application as they are, and what a refusal has to be."""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from redis import Redis

from events.keys import Keys
from tests.servers.whole_api import PARTITIONS, WholeApi, whole_api

JSON: Final = {"Content-Type": "application/json"}
NOTHING: Final[Mapping[str, str]] = {}
UNIQUE: Final = "0000000000000070008000000000000000"


class Told(NamedTuple):
    """An answer; its headers by their names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """Sends what it is given: clients of the usual kind tidy it up before. `ids` are those of the world, by path."""

    def __init__(self, api: WholeApi) -> None:
        self.world = api.world
        self.redis = Redis.from_url(api.redis_url)
        self.ids = {
            "kb_id": api.world.knowledge_base,
            "task_id": api.world.done,
            "document_id": api.world.document,
            "key_id": "0" * 16,
            "chunk_id": "0" * 32,
            "upload_id": "0" * 32,
            "webhook_id": f"hook_{'0' * 32}",
            "delivery_id": f"msg_{'0' * 34}",
        }
        self._netloc = urlsplit(api.url).netloc
        self._logs = [Keys(PARTITIONS).log(partition) for partition in range(PARTITIONS)]

    def send(self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] = NOTHING) -> Told:
        connection = http.client.HTTPConnection(self._netloc, timeout=20)
        try:
            connection.request(method, target, body=body, headers=dict(headers))
            answer = connection.getresponse()
            return Told(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def facts(self) -> int:
        """In the log now."""
        return sum(int(self.redis.xlen(key)) for key in self._logs)

    def refused(
        self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] = NOTHING
    ) -> tuple[int, str]:
        """Status and code; asserts a whole problem document, and that nothing entered the log."""
        before = self.facts()
        told = self.send(method, target, body, headers)
        assert told.headers.get("content-type") == "application/problem+json", (told.status, told.body[:500])
        problem = told.json
        assert problem["status"] == told.status
        assert problem["request_id"] == told.headers["x-request-id"]
        assert problem["title"]
        assert problem["detail"]
        assert b"Traceback" not in told.body
        assert self.facts() == before
        return told.status, problem["code"]


@contextmanager
def calling(redis_url: str, data_dir: Path) -> Iterator[Caller]:
    """A caller of the whole application, which is well afterwards."""
    with whole_api(redis_url, data_dir) as api:
        caller = Caller(api)
        assert caller.facts() > 0, "the log is where it is looked for"
        yield caller
        assert caller.send("GET", "/readyz").status == 200
