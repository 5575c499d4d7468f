"""Webhooks from the request that registers one to the message that arrives: real HTTP on both sides."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator

import pytest
from standardwebhooks import Webhook

from domain import access
from tests.integration.webhook_service import INSTALLATION_SECRET, WebhookService, bound_to, webhook_service
from tests.servers.scripted_http import ScriptedServer, answer_of, scripted_server, silent
from tests.servers.stream_clients import installed_client
from tests.waiting import wait_for, wait_until
from webhooks.event_names import EventName
from webhooks.signing import callback_secret

OK = answer_of(200, b"thanks")


@pytest.fixture
async def endpoint() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        server.answers = {"/hook": OK, "/call": OK}
        yield server


@pytest.fixture
async def service() -> AsyncIterator[WebhookService]:
    async with webhook_service() as running:
        yield running


async def test_a_webhook_is_told_of_what_happens_and_verifies_with_the_published_library(
    service: WebhookService, endpoint: ScriptedServer
) -> None:
    created = await service.create(endpoint.url("/hook"), events=["task.finished", "document.completed"])
    task, (document,) = await service.workshop.through(await service.workshop.create())
    delivered = await service.ended(created["webhook_id"], 2)
    assert {one["status"] for one in delivered} == {"delivered"}
    assert len(endpoint.requests) == 2
    for request in endpoint.requests:
        message = Webhook(created["secret"]).verify(request.body, request.headers)
        assert (request.method, request.headers["content-type"]) == ("POST", "application/json")
        assert message["data"]["task_id"] == task
        assert message["data"].get("document_id") in {document, None}
    assert {request.headers["webhook-id"] for request in endpoint.requests} == {one["delivery_id"] for one in delivered}


async def test_a_message_verifies_with_the_library_for_node(
    service: WebhookService, endpoint: ScriptedServer, request: pytest.FixtureRequest
) -> None:
    folder = await asyncio.to_thread(installed_client, request.config.cache.mkdir("clients"))
    created = await service.create(endpoint.url("/hook"))
    rotated = (await service.api.post(f"/webhooks/{created['webhook_id']}/rotate-secret")).json()
    await service.workshop.create("磨坊")
    await service.ended(created["webhook_id"])
    (received,) = endpoint.requests
    for secret in (created["secret"], rotated["secret"]):
        asked = json.dumps({"secret": secret, "body": received.body.decode(), "headers": received.headers})
        told = await asyncio.to_thread(
            subprocess.run, ["node", "verify.mjs"], cwd=folder, input=asked.encode(), capture_output=True, timeout=30
        )
        assert told.returncode == 0, told.stderr.decode()
        assert json.loads(told.stdout)["data"]["name"] == "磨坊"


async def test_b127_a_secret_is_shown_once_and_nowhere_else(service: WebhookService, endpoint: ScriptedServer) -> None:
    created = await service.create(endpoint.url("/hook"))
    one = f"/webhooks/{created['webhook_id']}"
    await service.api.post(f"{one}/test")
    (sent,) = await service.ended(created["webhook_id"])
    shown = [
        await service.api.get("/webhooks"),
        await service.api.get(one),
        await service.api.patch(one, json={"description": "new"}),
        await service.api.get(f"{one}/deliveries"),
        await service.api.get(f"{one}/deliveries/{sent['delivery_id']}"),
    ]
    assert [answer.status_code for answer in shown] == [200] * 5
    assert [answer.text for answer in shown if "secret" in answer.text.replace("previous_secret_until", "")] == []
    rotated = (await service.api.post(f"{one}/rotate-secret")).json()
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != created["secret"]
    assert (await service.api.get(one)).json()["previous_secret_until"] is not None


async def test_the_same_request_with_the_same_key_registers_one_webhook_and_shows_its_secret_once(
    service: WebhookService, endpoint: ScriptedServer
) -> None:
    asked, headers = {"url": endpoint.url("/hook")}, {"Idempotency-Key": "k1"}
    first = await service.api.post("/webhooks", json=asked, headers=headers)
    again = await service.api.post("/webhooks", json=asked, headers=headers)
    other = await service.api.post("/webhooks", json={**asked, "description": "x"}, headers=headers)
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 422)
    assert first.json()["webhook_id"] == again.json()["webhook_id"]
    assert (again.json()["secret"], other.json()["code"]) == (None, "idempotency_key_reused")
    one = f"/webhooks/{first.json()['webhook_id']}"
    rotations = [await service.api.post(f"{one}/rotate-secret", headers=headers) for _ in range(2)]
    assert [answer.json()["secret"] is None for answer in rotations] == [False, True]
    tests = [await service.api.post(f"{one}/test", headers=headers) for _ in range(2)]
    assert len({answer.json()["delivery_id"] for answer in tests}) == 1


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({}, "/url"),
        ({"url": ""}, "/url"),
        ({"url": 5}, "/url"),
        ({"url": "https://public.example/", "events": []}, "/events"),
        ({"url": "https://public.example/", "events": ["task.exploded"]}, "/events/0"),
        ({"url": "https://public.example/", "events": ["task.finished\r\nX-Evil: 1"]}, "/events/0"),
        ({"url": "https://public.example/", "events": ["webhook.test"]}, "/events/0"),
        ({"url": "https://public.example/", "headers": {"X-Evil": "1\r\nHost: other"}}, "/headers"),
        ({"url": "https://public.example/", "secret": "whsec_short"}, "/secret"),
        ({"url": "https://public.example/", "description": "x" * 501}, "/description"),
        ({"url": "https://public.example/", "description": "a\x00b"}, "/description"),
        ({"url": "https://public.example/", "knowledge_bases": ["kb_1"]}, "/knowledge_bases/0"),
        ({"url": "https://public.example/\r\nX-Evil:1"}, "/url"),
    ],
    ids=str,
)
async def test_b127_b128_what_breaks_a_rule_is_refused_at_its_place(asked: dict[str, object], pointer: str) -> None:
    async with webhook_service(with_agent=False) as service:
        answer = await service.api.post("/webhooks", json=asked)
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["pointer"] == pointer
        assert (await service.api.get("/webhooks")).json()["total"] == 0


DENIED = "url_address_denied"
SCHEME = "url_scheme_not_allowed"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        *((url, SCHEME) for url in ("file:///etc/passwd", "gopher://a/", "ftp://a/", "data:,x", "jar:http://a!/")),
        *((url, SCHEME) for url in ("dict://a/", "javascript:alert(1)", "example.com/hook", "http:///x")),
        *(
            (f"http://{host}/hook", DENIED)
            for host in (
                *("127.0.0.1", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "0", "①②⑦.⓪.⓪.①", "localhost"),
                *("localhost.", "[::1]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "10.1.2.3", "172.16.0.1"),
                *("192.168.1.1", "100.64.0.1", "169.254.169.254", "[fd00:ec2::254]", "192.0.0.8", "198.18.0.1"),
                *("224.0.0.1", "240.0.0.1", "255.255.255.255", "[fe80::1%25eth0]", "[64:ff9b::a9fe:a9fe]"),
                *("[2002:7f00:1::]", "[fec0::1]", "[ff02::1]", "mixed.example", "inside.example"),
            )
        ),
        ("https://public.example:8080/hook", DENIED),
        ("https://nowhere.example/hook", "url_unresolvable"),
        ("https://user:password@public.example/", "url_invalid"),
    ],
)
async def test_b120_to_b123_an_address_that_we_may_not_call_is_refused_at_registration(url: str, code: str) -> None:
    async with webhook_service(with_agent=False) as service:
        service.is_guarded_as_outside = True
        service.resolver.answers |= {
            "mixed.example": ["93.184.216.34", "::1"],
            "inside.example": ["10.0.0.5"],
        }
        kept = (await service.api.post("/webhooks", json={"url": "https://public.example/hook"})).json()
        for answer in (
            await service.api.post("/webhooks", json={"url": url}),
            await service.api.patch(f"/webhooks/{kept['webhook_id']}", json={"url": url}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
            assert answer.json()["errors"][0]["pointer"] == "/url"
        assert (await service.api.get("/webhooks")).json()["data"][0]["url"] == "https://public.example/hook"


async def test_b125_f44_a_redirect_is_a_failure_and_never_followed(
    service: WebhookService, endpoint: ScriptedServer
) -> None:
    for status in (301, 302, 307, 308):
        endpoint.answers[f"/{status}"] = answer_of(status, location=endpoint.url("/inside"))
        await service.create(endpoint.url(f"/{status}"), events=["knowledge_base.created"])
    await service.workshop.create()
    listed = (await service.api.get("/webhooks")).json()["data"]
    ended = {one["url"].rpartition("/")[2]: await service.ended(one["webhook_id"]) for one in listed}
    assert "/inside" not in {request.target for request in endpoint.requests}, (
        "a message went where an endpoint pointed"
    )
    for status in (301, 302, 307, 308):
        (failed,) = ended[str(status)]
        assert (failed["status"], failed["attempts"], failed["last_attempt"]["status_code"]) == ("failed", 8, status)


async def test_f43_an_endpoint_that_is_down_is_tried_by_the_schedule_and_the_message_arrives_when_it_is_back(
    service: WebhookService, endpoint: ScriptedServer
) -> None:
    endpoint.answers["/hook"] = answer_of(500, b"out of order")
    down = await service.create(endpoint.url("/hook"), events=["knowledge_base.created"])
    well = await service.create(endpoint.url("/call"), events=["knowledge_base.created"])
    await service.workshop.create()
    (arrived,) = await service.ended(well["webhook_id"])
    assert (arrived["status"], arrived["attempts"]) == ("delivered", 1), "the other endpoint waits for nobody"
    (failed,) = await service.ended(down["webhook_id"])
    path = f"/webhooks/{down['webhook_id']}/deliveries/{failed['delivery_id']}"
    detail = (await service.api.get(path)).json()
    assert [one["status_code"] for one in detail["history"]] == [500] * 8
    assert detail["history"][0]["body"] == "out of order"
    assert detail["message"]["type"] == "knowledge_base.created"
    at = [one.headers["webhook-id"] for one in endpoint.requests if one.target == "/hook"]
    assert at == [failed["delivery_id"]] * 8
    endpoint.answers["/hook"] = OK
    again = await service.api.post(f"{path}/redeliver")
    assert (again.status_code, again.json()["status"]) == (202, "pending")
    (delivered,) = await service.ended(down["webhook_id"])
    assert (delivered["status"], delivered["delivery_id"]) == ("delivered", failed["delivery_id"])


@pytest.mark.parametrize(
    ("path", "deadline_s", "code"), [("/silent", 0.1, "fetch_limit"), ("/reset", 20.0, "fetch_failed")]
)
async def test_f43_silence_and_resets_are_told_by_their_codes(
    endpoint: ScriptedServer, path: str, deadline_s: float, code: str
) -> None:
    async def reset(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    endpoint.answers |= {"/silent": silent, "/reset": reset}
    async with webhook_service(deadline_s=deadline_s) as service:
        created = await service.create(endpoint.url(path), events=["document.failed"])
        await service.api.post(f"/webhooks/{created['webhook_id']}/test")
        (ended,) = await service.ended(created["webhook_id"])
    assert ended["last_attempt"]["error"] == code
    assert path in {one.target for one in endpoint.requests}


async def test_f44_410_disables_the_webhook_until_somebody_enables_it(
    service: WebhookService, endpoint: ScriptedServer
) -> None:
    endpoint.answers["/hook"] = answer_of(410)
    created = await service.create(endpoint.url("/hook"))
    one = f"/webhooks/{created['webhook_id']}"
    await service.workshop.create()
    await service.ended(created["webhook_id"])

    async def is_disabled() -> bool:
        found = (await service.api.get(one)).json()["disabled"]
        return found is not None and found["reason"] == "gone"

    await wait_for(is_disabled, "the webhook is disabled")
    for refused in (
        await service.api.post(f"{one}/test"),
        await service.api.post(f"{one}/redeliver", json={"since": "2020-01-01T00:00:00Z"}),
    ):
        assert (refused.status_code, refused.json()["code"]) == (409, "webhook_disabled")
    endpoint.answers["/hook"] = OK
    assert (await service.api.patch(one, json={"enabled": True})).json()["status"] == "enabled"
    again = await service.api.post(f"{one}/redeliver", json={"since": "2020-01-01T00:00:00Z"})
    assert again.json() == {"redelivered": 1, "has_more": False}
    (delivered,) = await service.ended(created["webhook_id"])
    assert delivered["status"] == "delivered"


async def test_f44_of_an_answer_without_end_no_more_is_read_than_64_kb(
    service: WebhookService, endpoint: ScriptedServer
) -> None:
    sent = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    endpoint.answers["/hook"] = flood
    created = await service.create(endpoint.url("/hook"), events=["document.failed"])
    await service.api.post(f"/webhooks/{created['webhook_id']}/test")
    (delivered,) = await service.ended(created["webhook_id"])
    assert (delivered["status"], len(delivered["last_attempt"]["body"])) == ("delivered", 1_000)
    assert sent < 8 * 1024 * 1024, "what the kernels of both sides hold, and no more"


async def test_f45_a_name_that_leads_inside_when_it_is_called_is_not_connected_to(
    service: WebhookService, endpoint: ScriptedServer
) -> None:
    """Public when it was registered, loopback when it is called; and a mixed answer is refused as a whole."""
    service.client._guard = service.outside  # as in production: nothing inside is allowed
    service.client._pool._network_backend._guard = service.outside  # type: ignore[attr-defined]
    service.is_guarded_as_outside = True
    service.resolver.answers |= {"rebound.example": ["93.184.216.34"]}
    created = await service.create("http://rebound.example/hook", events=["document.failed"])
    for number, answers in enumerate((["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::ffff:127.0.0.1"]), start=1):
        service.resolver.answers["rebound.example"] = answers
        await service.api.post(f"/webhooks/{created['webhook_id']}/test")
        (newest, *_) = await service.ended(created["webhook_id"], number)
        assert newest["last_attempt"]["error"] == DENIED
    assert endpoint.connections == 0, "in three deliveries of eight attempts each"


async def test_a_callback_url_gets_the_end_of_its_task_signed_for_its_actor(
    service: WebhookService, endpoint: ScriptedServer
) -> None:
    await service.subscriptions.expect_callbacks()
    task, _ = await service.workshop.through(await service.workshop.create(), callback_url=endpoint.url("/call"))
    await wait_until(lambda: len(endpoint.requests) == 1, "the callback has arrived")
    service.principal = access.Principal(actor="tests", scopes=frozenset(access.Scope))
    secret = (await service.api.get("/webhooks/callback-secret")).json()["secret"]
    assert secret == callback_secret(INSTALLATION_SECRET, "tests")
    message = Webhook(secret).verify(endpoint.requests[0].body, endpoint.requests[0].headers)
    assert (message["type"], message["data"]["task_id"]) == ("task.finished", task)


async def test_lists_come_a_page_at_a_time_and_by_state(service: WebhookService, endpoint: ScriptedServer) -> None:
    created = await service.create(endpoint.url("/hook"), events=["knowledge_base.created"])
    path = f"/webhooks/{created['webhook_id']}/deliveries"
    for _ in range(5):
        await service.workshop.create()
    await service.ended(created["webhook_id"], 5)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": "2"} | ({} if cursor is None else {"cursor": cursor})
        page = (await service.api.get(path, params=params)).json()
        assert page["total"] == 5
        seen += (one["delivery_id"] for one in page["data"])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 5
    assert (await service.api.get(path, params={"status": "failed"})).json()["total"] == 0
    for wrong in ({"status": "lost"}, {"limit": "0"}, {"since": "x"}):
        assert (await service.api.get(path, params=wrong)).status_code == 422
    assert (await service.api.get("/webhooks", params={"cursor": "x"})).json()["code"] == "bad_cursor"


async def test_b022_what_is_another_tenants_answers_as_what_does_not_exist(
    service: WebhookService, endpoint: ScriptedServer
) -> None:
    mine, other = await service.workshop.create(), await service.workshop.create()
    everything = await service.create(endpoint.url("/hook"))
    foreign = await service.create(endpoint.url("/hook"), knowledge_bases=[mine, other])
    service.principal = bound_to(mine)
    own = await service.create(endpoint.url("/hook"))
    assert own["knowledge_bases"] == [mine], "a bound key's webhook is about what the key sees"
    listed = (await service.api.get("/webhooks")).json()
    assert ([one["webhook_id"] for one in listed["data"]], listed["total"]) == ([own["webhook_id"]], 1)
    missing = "hook_" + "0" * 32
    for webhook in (everything["webhook_id"], foreign["webhook_id"], missing):
        one = f"/webhooks/{webhook}"
        answers = [
            await service.api.get(one),
            await service.api.patch(one, json={"enabled": False}),
            await service.api.delete(one),
            await service.api.post(f"{one}/rotate-secret"),
            await service.api.post(f"{one}/test"),
            await service.api.get(f"{one}/deliveries"),
            await service.api.get(f"{one}/deliveries/msg_00{'0' * 32}"),
            await service.api.post(f"{one}/redeliver", json={"since": "2020-01-01T00:00:00Z"}),
        ]
        assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "unknown_webhook")}
    refused = await service.api.post("/webhooks", json={"url": endpoint.url("/hook"), "knowledge_bases": [other]})
    assert (refused.status_code, refused.json()["code"]) == (404, "unknown_knowledge_base")
    found = await service.api.get(f"/webhooks/{own['webhook_id']}/deliveries/msg_00{'0' * 32}")
    assert (found.status_code, found.json()["code"]) == (404, "unknown_delivery")


async def test_no_more_webhooks_are_registered_than_are_allowed(
    service: WebhookService, endpoint: ScriptedServer
) -> None:
    made = [await service.create(endpoint.url("/hook")) for _ in range(5)]
    refused = await service.api.post("/webhooks", json={"url": endpoint.url("/hook")})
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_webhooks")
    gone = await service.api.delete(f"/webhooks/{made[0]['webhook_id']}")
    assert gone.json() == {"webhook_id": made[0]["webhook_id"], "status": "deleted"}
    await service.create(endpoint.url("/hook"))


async def test_a_webhook_is_changed_in_what_is_given_alone(service: WebhookService, endpoint: ScriptedServer) -> None:
    created = await service.create(endpoint.url("/hook"), events=["task.finished"], description="first")
    one = f"/webhooks/{created['webhook_id']}"
    changed = (await service.api.patch(one, json={"events": None})).json()
    assert (changed["events"], changed["description"], changed["url"]) == (None, "first", created["url"])
    changed = (await service.api.patch(one, json={"events": [EventName.TASK_CANCELLED], "enabled": False})).json()
    assert (changed["events"], changed["status"]) == (["task.cancelled"], "disabled")
    assert changed["disabled"]["reason"] == "requested"
