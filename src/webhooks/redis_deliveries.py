"""Deliveries on Redis. Keys are described in `events/keys.py`, their fields at the head of each script."""

import heapq
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec

from events.envelope import Position
from events.keys import Keys
from events.redis_border import RedisClient, at_the_border
from events.redis_wire import Argument
from webhooks.deliveries import Checkpoint, DeliveryPage, Due, Hold
from webhooks.delivery import Channel, Delivery, DeliveryId, DeliveryState
from webhooks.redis_script import WebhookScript

PUT_AT_ONCE: Final = 500
"""Deliveries of one call: about 5 ms of server time."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Delivery)


class RedisDeliveries:
    """DeliveryStore on Redis."""

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._put = WebhookScript("put.lua")
        self._change = WebhookScript("change.lua")
        self._due = WebhookScript("due.lua")
        self._forget = WebhookScript("forget.lua")

    @property
    def partitions(self) -> int:
        return self._keys.partitions

    async def take_over(self, partition: int) -> Hold:
        state = self._keys.webhook_dispatch(partition)
        with at_the_border():
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.hincrby(state, "token", 1)
                pipeline.hmget(state, ["position", "caught_up"])
                token, (position, caught_up) = await pipeline.execute()
        checkpoint = Checkpoint(
            position=Position.parse(position.decode()) if position else None, is_caught_up=caught_up == b"1"
        )
        return Hold(partition=partition, token=token, checkpoint=checkpoint)

    async def put(self, hold: Hold, checkpoint: Checkpoint, deliveries: Sequence[Delivery]) -> Hold | None:
        # Deliveries that do not fit into the call that moves the checkpoint go before it: whoever reads the log again
        # finds them kept already.
        split = max(0, len(deliveries) - PUT_AT_ONCE)
        for start in range(0, split, PUT_AT_ONCE):
            part = deliveries[start : min(split, start + PUT_AT_ONCE)]
            if not await self._put_call(hold.partition, hold, hold.checkpoint, part):
                return None
        if not await self._put_call(hold.partition, hold, checkpoint, deliveries[split:]):
            return None
        return Hold(partition=hold.partition, token=hold.token, checkpoint=checkpoint)

    async def add(self, delivery: Delivery) -> Delivery:
        await self._put_call(delivery.partition, None, None, [delivery])
        return await self.find(delivery.id) or delivery

    async def due(self, partition: int, *, limit: int) -> Due:
        found = await self._due.run(self._client, [self._keys.webhook_channels(partition)], (limit,))
        return Due(tuple(Channel(name.decode()) for name in found))

    async def next_due(self, partition: int, channel: Channel, *, limit: int) -> list[Delivery]:
        ids = await self._due.run(self._client, [self._keys.webhook_due(partition, channel)], (limit,))
        return await self._load(partition, ids)

    async def change(
        self, before: Delivery, after: Delivery, *, delay_ms: int | None, hold: Hold | None = None
    ) -> bool:
        partition, channel = before.partition, before.channel
        changed = msgspec.structs.replace(after, revision=before.revision + 1)
        keys = [
            self._keys.webhook_dispatch(partition),
            self._keys.webhook_deliveries(partition),
            self._keys.webhook_channels(partition),
            self._keys.webhook_due(partition, channel),
            self._keys.webhook_log(partition, channel, before.state),
            self._keys.webhook_log(partition, channel, changed.state),
        ]
        arguments: tuple[Argument, ...] = (
            "" if hold is None else hold.token,
            before.id,
            before.revision,
            _pack(changed),
            before.member,
            channel,
            "" if delay_ms is None else delay_ms,
        )
        return bool(await self._change.run(self._client, keys, arguments))

    async def find(self, delivery: DeliveryId) -> Delivery | None:
        partition = int(delivery[4:6], 16)
        if partition >= self.partitions:
            return None
        found = await self._load(partition, [delivery.encode()])
        return found[0] if found else None

    async def page(
        self, channel: Channel, states: Sequence[DeliveryState], *, before: str | None, limit: int
    ) -> DeliveryPage:
        lists = [
            (partition, self._keys.webhook_log(partition, channel, state))
            for partition in range(self.partitions)
            for state in states
        ]
        top = "+" if before is None else f"({before}"
        found: list[tuple[str, int]] = []
        total = 0
        with at_the_border():
            async with self._client.pipeline(transaction=False) as pipeline:
                for _, key in lists:
                    pipeline.zcard(key)
                    pipeline.zrevrangebylex(key, top, "-", start=0, num=limit)
                answers: list[Any] = await pipeline.execute()
        for (partition, _), count, members in zip(lists, answers[::2], answers[1::2], strict=True):
            total += count
            found += ((member.decode(), partition) for member in members)
        newest = heapq.nlargest(limit, found)
        loaded = await self._load_all([(partition, member.partition(".")[2]) for member, partition in newest])
        # One that changed its state between the two reads is in another list by now.
        return DeliveryPage(tuple(one for one in loaded if one.state in states), total)

    async def channels(self, partition: int) -> list[Channel]:
        with at_the_border():
            found: Any = await self._client.zrange(self._keys.webhook_channels(partition), 0, -1)
        return sorted(Channel(name.decode()) for name in found)

    async def counts(self, partition: int, channels: Sequence[Channel]) -> list[Mapping[DeliveryState, int]]:
        states = tuple(DeliveryState)
        with at_the_border():
            async with self._client.pipeline(transaction=False) as pipeline:
                for channel in channels:
                    for state in states:
                        pipeline.zcard(self._keys.webhook_log(partition, channel, state))
                answers: list[int] = await pipeline.execute()
        width = len(states)
        return [dict(zip(states, answers[at : at + width], strict=True)) for at in range(0, len(answers), width)]

    async def oldest(
        self, partition: int, channel: Channel, state: DeliveryState, *, before_us: int, limit: int
    ) -> list[Delivery]:
        with at_the_border():
            members: Any = await self._client.zrangebylex(
                self._keys.webhook_log(partition, channel, state), "-", f"({before_us:016x}", start=0, num=limit
            )
        return await self._load(partition, [member.partition(b".")[2] for member in members])

    async def forget(self, deliveries: Sequence[Delivery]) -> int:
        if not deliveries:
            return 0
        partition, channel = deliveries[0].partition, deliveries[0].channel
        keys = [
            self._keys.webhook_deliveries(partition),
            self._keys.webhook_channels(partition),
            self._keys.webhook_due(partition, channel),
            *(self._keys.webhook_log(partition, channel, state) for state in DeliveryState),
        ]
        arguments: list[Argument] = [channel]
        for one in deliveries:
            arguments += (one.id, one.revision, one.member)
        gone: int = await self._forget.run(self._client, keys, arguments)
        return gone

    async def _put_call(
        self, partition: int, hold: Hold | None, checkpoint: Checkpoint | None, deliveries: Sequence[Delivery]
    ) -> bool:
        channels = list(dict.fromkeys(one.channel for one in deliveries))
        numbers = {channel: number for number, channel in enumerate(channels)}
        keys = [
            self._keys.webhook_dispatch(partition),
            self._keys.webhook_deliveries(partition),
            self._keys.webhook_channels(partition),
        ]
        for channel in channels:
            keys += (
                self._keys.webhook_due(partition, channel),
                self._keys.webhook_log(partition, channel, DeliveryState.PENDING),
                self._keys.webhook_log(partition, channel, DeliveryState.FAILED),
            )
        arguments: list[Argument] = ["", "", "", ""]
        if hold is not None and checkpoint is not None:
            expected, position = str(hold.checkpoint.position or ""), str(checkpoint.position or "")
            arguments = [hold.token, expected, position, int(checkpoint.is_caught_up)]
        arguments += (len(channels), *channels)
        for one in deliveries:
            is_pending = one.state is DeliveryState.PENDING
            arguments += (numbers[one.channel], one.id, _pack(one), one.member, int(is_pending))
        return bool(await self._put.run(self._client, keys, arguments))

    async def _load_all(self, wanted: Sequence[tuple[int, str]]) -> list[Delivery]:
        """Newest first."""
        by_partition: dict[int, list[bytes]] = {}
        for partition, delivery in wanted:
            by_partition.setdefault(partition, []).append(delivery.encode())
        parts = [await self._load(partition, ids) for partition, ids in by_partition.items()]
        return sorted((one for part in parts for one in part), key=attrgetter("member"), reverse=True)

    async def _load(self, partition: int, ids: Sequence[bytes]) -> list[Delivery]:
        """In the order asked for, without those that are gone."""
        if not ids:
            return []
        with at_the_border():
            found: Any = await self._client.hmget(self._keys.webhook_deliveries(partition), list(ids))
        return [_unpack(value) for value in found if value is not None]


def _pack(delivery: Delivery) -> bytes:
    return f"{delivery.revision}:".encode() + _encoder.encode(delivery)


def _unpack(value: bytes) -> Delivery:
    return _decoder.decode(value.partition(b":")[2])
