"""One process at a time dispatches and sends; whoever comes after it goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from events.errors import LogUnavailable
from tests.waiting import wait_until
from tests.webhook_samples import kept
from tests.webhook_world import WebhookWorld
from webhooks.agent import Polls, WebhookAgent
from webhooks.delivery import DeliveryState


class OneTurn:
    """A lease in memory, shared by agents."""

    def __init__(self) -> None:
        self.holder: object | None = None
        self.is_down = False

    def of(self, holder: object) -> "Turn":
        return Turn(self, holder)


class Turn:
    def __init__(self, lease: OneTurn, holder: object) -> None:
        self._lease = lease
        self._holder = holder

    async def take(self, *, ttl_ms: int) -> bool:
        if self._lease.is_down:
            raise LogUnavailable("down")
        if self._lease.holder in (None, self._holder):
            self._lease.holder = self._holder
        return self._lease.holder is self._holder

    async def give_back(self) -> None:
        if self._lease.holder is self._holder:
            self._lease.holder = None


@asynccontextmanager
async def agent(world: WebhookWorld, turn: Turn) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    working = WebhookAgent(
        world.log,
        world.deliveries,
        world.subscriptions,
        world.new_known(),
        world.sender(),
        turn,
        settings=world.settings,
        clock_us=world.clock_us,
        polls=Polls(take_s=0.02, read_s=0.01, idle_s=0.01, due_s=0.01, changed_s=0.05, trouble_s=0.05),
    )
    task = asyncio.create_task(working.run(stop))
    try:
        yield stop
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def test_facts_become_messages_and_messages_arrive() -> None:
    world, lease = WebhookWorld(), OneTurn()
    await world.subscribe(kept())
    async with agent(world, lease.of(1)):
        await world.workshop.create()
        await wait_until(lambda: len(world.endpoints.received) == 1, "the message has arrived")
    assert lease.holder is None
    assert [one.state for one in await world.listed()] == [DeliveryState.DELIVERED]


async def test_a_second_process_waits_and_goes_on_where_the_first_stopped() -> None:
    world, lease = WebhookWorld(), OneTurn()
    await world.subscribe(kept())
    async with agent(world, lease.of(1)) as stop:
        await wait_until(lambda: lease.holder == 1, "the first has its turn")
        async with agent(world, lease.of(2)):
            await world.workshop.create()
            await wait_until(lambda: len(world.endpoints.received) == 1, "the first message has arrived")
            stop.set()
            await world.workshop.create()
            await wait_until(lambda: len(world.endpoints.received) == 2, "the second message has arrived")
            assert lease.holder == 2
    assert len({one["webhook-id"] for one in world.endpoints.received}) == 2


async def test_a_store_that_does_not_answer_is_waited_for() -> None:
    world, lease = WebhookWorld(), OneTurn()
    lease.is_down = True
    await world.subscribe(kept())
    await world.workshop.create()
    async with agent(world, lease.of(1)):
        await asyncio.sleep(0)
        assert world.endpoints.received == []
        lease.is_down = False
        await wait_until(lambda: len(world.endpoints.received) == 1, "the message has arrived")
