"""Subscriptions on Redis, all in one slot. Keys are described in `events/keys.py`, fields at the head of the script."""

from collections.abc import Callable
from typing import Any

import msgspec

from events.errors import LogUnavailable
from events.keys import Keys
from events.redis_border import RedisClient, at_the_border
from webhooks.redis_script import WebhookScript
from webhooks.subscription import Kept, WebhookId
from webhooks.subscriptions import Everything, Full

CHANGES_MAX = 16
"""How often a change is made anew after somebody else was first; each time, somebody made progress."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Kept)


class RedisSubscriptions:
    """SubscriptionStore on Redis."""

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._subscriptions = keys.webhook_subscriptions
        self._state = keys.webhook_state
        self._failing = keys.webhook_failing
        self._keep = WebhookScript("keep.lua")
        self._expect = WebhookScript("expect.lua")
        self._expects_callbacks = False

    async def now_us(self) -> int:
        with at_the_border():
            seconds, rest_us = await self._client.time()
        return int(seconds) * 1_000_000 + int(rest_us)

    async def version(self) -> int:
        with at_the_border():
            found: Any = await self._client.hget(self._state, "version")
        return int(found or 0)

    async def everything(self) -> Everything:
        with at_the_border():
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.hmget(self._state, ["version", "callbacks"])
                pipeline.hgetall(self._subscriptions)
                (version, callbacks), found = await pipeline.execute()
        kept = tuple(_decoder.decode(found[webhook]) for webhook in sorted(found))
        return Everything(int(version or 0), kept, callbacks is not None)

    async def find(self, webhook: WebhookId) -> Kept | None:
        found = await self._raw(webhook)
        return _decoder.decode(found) if found else None

    async def create(self, kept: Kept, *, count_max: int) -> Kept | Full:
        webhook = kept.subscription.id
        for _ in range(CHANGES_MAX):
            done = await self._compared(webhook, b"", _encoder.encode(kept), count_max)
            if done == 1:
                return kept
            if done == -1:
                return Full(count_max)
            found = await self.find(webhook)
            if found is not None:
                return found
        raise LogUnavailable(f"{webhook} kept changing")

    async def change(self, webhook: WebhookId, changed: Callable[[Kept], Kept]) -> Kept | None:
        for _ in range(CHANGES_MAX):
            before = await self._raw(webhook)
            if not before:
                return None
            after = changed(_decoder.decode(before))
            if await self._compared(webhook, before, _encoder.encode(after), 0) == 1:
                return after
        raise LogUnavailable(f"{webhook} kept changing")

    async def delete(self, webhook: WebhookId) -> bool:
        for _ in range(CHANGES_MAX):
            before = await self._raw(webhook)
            if not before:
                return False
            if await self._compared(webhook, before, b"", 0) == 1:
                await self.succeeded(webhook)
                return True
        raise LogUnavailable(f"{webhook} kept changing")

    async def expect_callbacks(self) -> None:
        if self._expects_callbacks:
            return
        await self._expect.run(self._client, [self._state], ())
        self._expects_callbacks = True

    async def failing_since(self, webhook: WebhookId, now_us: int) -> int:
        with at_the_border():
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.hsetnx(self._failing, webhook, str(now_us))
                pipeline.hget(self._failing, webhook)
                _, since = await pipeline.execute()
        return int(since)

    async def succeeded(self, webhook: WebhookId) -> None:
        with at_the_border():
            await self._client.hdel(self._failing, webhook)

    async def _raw(self, webhook: WebhookId) -> bytes | None:
        with at_the_border():
            found: Any = await self._client.hget(self._subscriptions, webhook)
        return None if found is None else bytes(found)

    async def _compared(self, webhook: WebhookId, before: bytes, after: bytes, count_max: int) -> int:
        keys = [self._subscriptions, self._state]
        done: int = await self._keep.run(self._client, keys, (webhook, before, after, count_max))
        return done
