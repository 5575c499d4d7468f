"""Whoever dispatches and sends webhooks is killed at every boundary: each message arrives, under one id."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from events.keys import Keys
from events.redis_border import execute
from events.redis_clients import Clients
from events.redis_log import RedisLog
from events.task import CallbackDelivered
from tests.faults import webhook_sender_child as child
from tests.servers.redis_process import RedisProcess
from tests.servers.scripted_http import ScriptedServer, answer_of, scripted_server, silent
from tests.waiting import wait_for, wait_until
from tests.webhook_samples import SECRET, kept, webhook_id
from tests.workshop import Workshop
from webhooks.deliveries import DeliveryPage
from webhooks.delivery import Channel, DeliveryState
from webhooks.redis_deliveries import RedisDeliveries
from webhooks.redis_subscriptions import RedisSubscriptions
from webhooks.signing import callback_secret

pytest_plugins = ("tests.servers.redis",)

KEYS = Keys(child.PARTITIONS)

UNDER_WAY_MAX = 11
"""Messages that were sent and not recorded when a turn ends: ten to the webhook, and the callback."""


@contextmanager
def sending(server: RedisProcess, rules: str = "") -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.faults.webhook_sender_child", server.url, rules]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Scene:
    """A webhook, and a task with a callback that has ended."""

    def __init__(self, clients: Clients, endpoint: ScriptedServer) -> None:
        self.endpoint = endpoint
        self._client = clients.commands
        self.log = RedisLog(clients.commands, clients.blocking, KEYS)
        self.subscriptions = RedisSubscriptions(clients.commands, KEYS)
        self.deliveries = RedisDeliveries(clients.commands, KEYS)

    async def play(self) -> None:
        await self.subscriptions.create(kept(1, url=self.endpoint.url("/hook")), count_max=5)
        await self.subscriptions.expect_callbacks()
        # Facts of every run have other ids, as those of two servers have.
        workshop = Workshop(self.log, salt=time.time_ns() % 1_000_000)
        knowledge_base = await workshop.create()
        self.task, _ = await workshop.through(knowledge_base, 2, callback_url=self.endpoint.url("/call"))
        self.told = 1 + 1 + 2 + 2 + 1  # created, submitted, accepted, completed, finished

    async def listed(self) -> DeliveryPage:
        return await self.deliveries.page(Channel(webhook_id(1)), tuple(DeliveryState), before=None, limit=100)

    async def have_arrived(self) -> bool:
        page = await self.listed()
        is_told = isinstance((await self.log.history(self.task))[-1].event, CallbackDelivered)
        return is_told and [one.state for one in page.deliveries] == [DeliveryState.DELIVERED] * self.told

    async def token(self) -> int:
        """Rises with each takeover."""
        return int(await execute(self._client, "HGET", KEYS.webhook_dispatch(0), "token"))

    def ids(self, path: str) -> list[str]:
        return [one.headers["webhook-id"] for one in self.endpoint.requests if one.target == path]


@pytest.fixture
async def scene(redis_clients: Clients) -> AsyncIterator[Scene]:
    async with scripted_server() as endpoint:
        endpoint.answers = {"/hook": answer_of(200), "/call": answer_of(200)}
        playing = Scene(redis_clients, endpoint)
        await playing.play()
        yield playing


async def check(scene: Scene) -> None:
    """Each message at least once, under one id, signed; each outcome once."""
    await wait_for(scene.have_arrived, "everything has arrived")
    delivered = {one.id for one in (await scene.listed()).deliveries}
    assert set(scene.ids("/hook")) == delivered
    assert len(set(scene.ids("/call"))) == 1
    for request in scene.endpoint.requests:
        secret = SECRET if request.target == "/hook" else callback_secret(child.INSTALLATION_SECRET, "tests")
        Webhook(secret).verify(request.body, request.headers)
    history = await scene.log.history(scene.task)
    assert [type(one.event) for one in history].count(CallbackDelivered) == 1


@pytest.mark.parametrize(
    ("place", "repeated_max"),
    [
        ("dispatcher.read", 0),
        ("sender.taken", 10),
        ("sender.answered", 10),
        ("sender.recorded", 10),
        ("sender.recorded=kill9@4; sender.answered", 20),
    ],
    ids=["D1 before the put", "H1 taken", "H3 answered, not recorded", "recorded", "twice"],
)
async def test_whoever_is_killed_around_a_message_loses_none(
    scene: Scene, redis_server: RedisProcess, place: str, repeated_max: int
) -> None:
    with sending(redis_server, f"{place}=kill9") as first:
        assert await asyncio.to_thread(first.wait, 20) == -signal.SIGKILL
    with sending(redis_server):
        await check(scene)
    # On a busy machine the second may lose its turn too, and repeat what was under way.
    lost = await scene.token() - 2
    assert len(scene.endpoint.requests) <= scene.told + 1 + repeated_max + lost * UNDER_WAY_MAX


async def test_h2_whoever_is_killed_while_an_endpoint_thinks_has_the_message_sent_again(
    scene: Scene, redis_server: RedisProcess
) -> None:
    scene.endpoint.answers["/hook"] = silent
    with sending(redis_server) as first:
        await wait_until(lambda: "/hook" in {one.target for one in scene.endpoint.requests}, "the endpoint thinks")
        first.kill()
    scene.endpoint.answers["/hook"] = answer_of(200)
    with sending(redis_server):
        await check(scene)
    ids = scene.ids("/hook")
    assert len(ids) > len(set(ids)) == scene.told


async def test_whoever_was_away_for_longer_than_a_lease_records_nothing_any_more(
    scene: Scene, redis_server: RedisProcess
) -> None:
    with sending(redis_server, "sender.answered=stop") as away:
        await wait_until(lambda: _state_of(away.pid) == "T", "the first stands still")
        with sending(redis_server):
            await check(scene)
            before, taken_over = await scene.listed(), await scene.token()
            os.kill(away.pid, signal.SIGCONT)

        async def has_its_turn() -> bool:
            return await scene.token() > taken_over

        await wait_for(has_its_turn, "the first has seen that its turn was lost, and has another")
        assert await scene.listed() == before


def _state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
