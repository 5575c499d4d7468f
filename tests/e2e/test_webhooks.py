"""Webhooks of a running service: registered by the command line, told by a worker, verified by the receiver."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from standardwebhooks import Webhook

from events.task import CallbackDelivered
from millstream.commands.webhooks import webhooks
from tests.e2e.api import Api
from tests.e2e.papers import text_of
from tests.servers.scripted_http import Request, ScriptedServer, answer_of, scripted_server
from tests.servers.service_process import ServiceProcess, service_on
from tests.waiting import wait_for, wait_until

VARIABLES = {
    "MILLSTREAM_EMBEDDING": "hash",
    "MILLSTREAM_WORKERS": "1",
    "MILLSTREAM_OUTBOUND_ALLOW": "127.0.0.1/32",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One for this module: it may call what listens on loopback."""
    with service_on(tmp_path_factory.mktemp("webhooks") / "data", VARIABLES) as started:
        yield started


@pytest.fixture
async def endpoint() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        server.answers = {"/hook": answer_of(200, b"thanks"), "/call": answer_of(204)}
        yield server


async def command(service: ServiceProcess, *arguments: str) -> str:
    ended = await asyncio.to_thread(CliRunner().invoke, webhooks, [*arguments, "--url", service.url])
    assert ended.exit_code == 0, (ended.output, ended.exception)
    return ended.stdout


async def told(endpoint: ScriptedServer, path: str, kind: str) -> Request:
    def found() -> list[Request]:
        return [one for one in endpoint.requests if one.target == path and json.loads(one.body)["type"] == kind]

    await wait_until(lambda: bool(found()), f"{kind} has arrived at {path}")
    return found()[0]


async def test_an_upload_is_told_to_webhook_and_callback_and_both_verify(
    service: ServiceProcess, endpoint: ScriptedServer
) -> None:
    hook = json.loads(await command(service, "create", endpoint.url("/hook"), "--event", "task.finished", "--json"))
    with Api(service.url) as api:
        knowledge_base = api.create("told")
        options = json.dumps({"callback_url": endpoint.url("/call")})
        parts: list[Any] = [
            ("options", (None, options, "application/json")),
            ("file", ("one.txt", text_of(951), "text/plain")),
        ]
        accepted = await asyncio.to_thread(api.http.post, f"/knowledge-bases/{knowledge_base}/documents", files=parts)
        assert accepted.status_code == 202, accepted.text
        task = accepted.json()["task_id"]
        await asyncio.to_thread(api.ended, task)
        secrets = {"/hook": hook["secret"], "/call": api.http.get("/webhooks/callback-secret").json()["secret"]}
        for path, secret in secrets.items():
            request = await told(endpoint, path, "task.finished")
            message = Webhook(secret).verify(request.body, request.headers)
            assert (message["data"]["task_id"], message["data"]["status"]) == (task, "completed")

        async def is_recorded() -> bool:
            facts = api.http.get(f"/tasks/{task}/events", params={"limit": 200}).json()["data"]
            return CallbackDelivered.__name__ in {fact["type"] for fact in facts}

        await wait_for(is_recorded, "the callback's outcome is a fact of the task")
        flow = api.http.get("/system").json()["webhooks"]
        assert flow["enabled"] >= 1
        refused = api.http.post(
            f"/knowledge-bases/{knowledge_base}/documents",
            files=[("options", (None, '{"callback_url": "http://10.0.0.1/"}', "application/json")), parts[1]],
        )
        assert (refused.status_code, refused.json()["code"]) == (422, "url_address_denied")
        assert refused.json()["errors"][0]["pointer"] == "/options/callback_url"
    await command(service, "delete", hook["webhook_id"])


async def test_the_commands_show_what_became_of_each_message(service: ServiceProcess, endpoint: ScriptedServer) -> None:
    endpoint.answers["/hook"] = answer_of(410, b"closed")
    created = json.loads(
        await command(service, "create", endpoint.url("/hook"), "--description", "back office", "--json")
    )
    one = created["webhook_id"]
    assert one in await command(service, "list")
    shown = await command(service, "show", one)
    assert "back office" in shown
    assert created["secret"] not in shown
    sent = json.loads(await command(service, "test", one, "--json"))["delivery_id"]
    deadline = time.monotonic() + 20
    while "disabled (gone" not in await command(service, "show", one):
        assert time.monotonic() < deadline
    assert "410" in await command(service, "deliveries", one, "--status", "failed")
    assert "closed" in await command(service, "deliveries", one, sent)
    endpoint.answers["/hook"] = answer_of(200)
    assert "enabled" in await command(service, "update", one, "--enable", "--event", "task.cancelled")
    assert "deliveries due again: 1" in await command(service, "redeliver", one, "--since", "2020-01-01T00:00:00Z")
    await wait_until(lambda: len(endpoint.requests) == 2, "the message was sent again")
    assert {request.headers["webhook-id"] for request in endpoint.requests} == {sent}
    rotated = json.loads(await command(service, "rotate", one, "--json"))
    assert rotated["secret"] not in (None, created["secret"])
    assert "deleted" in await command(service, "delete", one)
    assert one not in await command(service, "list")
