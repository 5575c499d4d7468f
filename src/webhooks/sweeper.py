"""Ends and forgets deliveries: those of subscriptions that are gone or disabled, and those that are old enough."""

from typing import Final

from webhooks.deliveries import DeliveryStore, Hold
from webhooks.delivery import Channel, Delivery, DeliveryState, given_up
from webhooks.known import Known
from webhooks.outbox import WEBHOOK_DISABLED
from webhooks.settings import WebhookSettings
from webhooks.subscription import WebhookId

BATCH: Final = 500
EVER_US: Final = 1 << 60
"""Behind every time there is."""

MICROSECONDS: Final = 1_000_000
ENDED: Final = (DeliveryState.DELIVERED, DeliveryState.FAILED)


class Sweeper:
    """Raises what the stores raise."""

    def __init__(self, deliveries: DeliveryStore, known: Known, settings: WebhookSettings) -> None:
        self._deliveries = deliveries
        self._known = known
        self._settings = settings

    async def sweep(self, hold: Hold, now_us: int) -> int:
        """One partition; answers how many deliveries were ended or forgotten."""
        await self._known.fresh()  # nobody's messages are ended because of what was true a second ago
        by_id = await self._known.recent()
        done = 0
        for channel in await self._deliveries.channels(hold.partition):
            if channel.startswith("hook_"):
                kept = by_id.get(WebhookId(channel))
                if kept is None:
                    done += await self._forget_all(hold, channel)
                    continue
                if not kept.subscription.is_enabled:
                    done += await self._end_pending(hold, channel, now_us)
            done += await self._forget_old(hold, channel, now_us)
        return done

    async def bound(self, now_us: int) -> int:
        """Of each channel, over all partitions, no more ended ones than are kept; the oldest go."""
        totals: dict[Channel, int] = {}
        for partition in range(self._deliveries.partitions):
            channels = await self._deliveries.channels(partition)
            counts = await self._deliveries.counts(partition, channels) if channels else []
            for channel, count in zip(channels, counts, strict=True):
                totals[channel] = totals.get(channel, 0) + sum(count.get(state, 0) for state in ENDED)
        gone = 0
        for channel, total in totals.items():
            if total > self._settings.kept_max:
                gone += await self._forget_oldest(channel, min(BATCH, total - self._settings.kept_max), now_us)
        return gone

    async def _forget_all(self, hold: Hold, channel: Channel) -> int:
        gone = 0
        for state in DeliveryState:
            gone += await self._forget(hold, channel, state, before_us=EVER_US)
        return gone

    async def _forget_old(self, hold: Hold, channel: Channel, now_us: int) -> int:
        delivered_us = now_us - self._settings.delivered_keep_s * MICROSECONDS
        failed_us = now_us - self._settings.failed_keep_s * MICROSECONDS
        gone = await self._forget(hold, channel, DeliveryState.DELIVERED, before_us=delivered_us)
        return gone + await self._forget(hold, channel, DeliveryState.FAILED, before_us=failed_us)

    async def _forget(self, hold: Hold, channel: Channel, state: DeliveryState, *, before_us: int) -> int:
        gone = 0
        while found := await self._deliveries.oldest(
            hold.partition, channel, state, before_us=max(0, before_us), limit=BATCH
        ):
            forgotten = await self._deliveries.forget(found)
            gone += forgotten
            if not forgotten:
                break
        return gone

    async def _end_pending(self, hold: Hold, channel: Channel, now_us: int) -> int:
        ended = 0
        while found := await self._deliveries.oldest(
            hold.partition, channel, DeliveryState.PENDING, before_us=EVER_US, limit=BATCH
        ):
            done = [
                await self._deliveries.change(one, given_up(one, WEBHOOK_DISABLED, now_us), delay_ms=None, hold=hold)
                for one in found
            ]
            ended += sum(done)
            if not any(done):
                break
        return ended

    async def _forget_oldest(self, channel: Channel, count: int, now_us: int) -> int:
        found: list[Delivery] = []
        for partition in range(self._deliveries.partitions):
            for state in ENDED:
                found += await self._deliveries.oldest(partition, channel, state, before_us=now_us, limit=count)
        oldest = sorted(found, key=lambda one: one.member)[:count]
        gone = 0
        for partition in {one.partition for one in oldest}:
            gone += await self._deliveries.forget([one for one in oldest if one.partition == partition])
        return gone
