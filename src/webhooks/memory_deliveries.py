"""Deliveries in memory: the reference."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from webhooks.deliveries import Checkpoint, DeliveryPage, Due, Hold
from webhooks.delivery import Channel, Delivery, DeliveryId, DeliveryState


class _Partition:
    def __init__(self) -> None:
        self.token = 0
        self.checkpoint = Checkpoint()
        self.kept: dict[DeliveryId, Delivery] = {}
        self.due_ms: dict[DeliveryId, int] = {}

    def of(self, channel: Channel) -> list[Delivery]:
        return [one for one in self.kept.values() if one.channel == channel]


class MemoryDeliveries:
    """DeliveryStore in memory. `clock_us` is the store's clock, unix µs."""

    def __init__(self, *, partitions: int, clock_us: Callable[[], int]) -> None:
        self._partitions = [_Partition() for _ in range(partitions)]
        self._clock_us = clock_us

    @property
    def partitions(self) -> int:
        return len(self._partitions)

    async def take_over(self, partition: int) -> Hold:
        state = self._partitions[partition]
        state.token += 1
        return Hold(partition=partition, token=state.token, checkpoint=state.checkpoint)

    async def put(self, hold: Hold, checkpoint: Checkpoint, deliveries: Sequence[Delivery]) -> Hold | None:
        state = self._partitions[hold.partition]
        if state.token != hold.token:
            return None
        if state.checkpoint.position != hold.checkpoint.position:
            return self._moved(hold, checkpoint) if state.checkpoint.position == checkpoint.position else None
        for delivery in deliveries:
            self._enter(state, delivery)
        state.checkpoint = checkpoint
        return self._moved(hold, checkpoint)

    async def add(self, delivery: Delivery) -> Delivery:
        state = self._partitions[delivery.partition]
        self._enter(state, delivery)
        return state.kept[delivery.id]

    async def due(self, partition: int, *, limit: int) -> Due:
        state, now_ms = self._partitions[partition], self._now_ms()
        earliest: dict[Channel, int] = {}
        for delivery, due_ms in state.due_ms.items():
            channel = state.kept[delivery].channel
            earliest[channel] = min(due_ms, earliest.get(channel, due_ms))
        ready = sorted((due_ms, channel) for channel, due_ms in earliest.items() if due_ms <= now_ms)
        return Due(tuple(channel for _, channel in ready[:limit]))

    async def next_due(self, partition: int, channel: Channel, *, limit: int) -> list[Delivery]:
        state, now_ms = self._partitions[partition], self._now_ms()
        ready = sorted(
            (due_ms, one)
            for one, due_ms in state.due_ms.items()
            if due_ms <= now_ms and state.kept[one].channel == channel
        )
        return [state.kept[one] for _, one in ready[:limit]]

    async def change(
        self, before: Delivery, after: Delivery, *, delay_ms: int | None, hold: Hold | None = None
    ) -> bool:
        state = self._partitions[before.partition]
        changed = msgspec.structs.replace(after, revision=before.revision + 1)
        found = state.kept.get(before.id)
        if (hold is not None and hold.token != state.token) or found is None:
            return False
        if found == changed:
            return True
        if found.revision != before.revision:
            return False
        state.kept[before.id] = changed
        state.due_ms.pop(before.id, None)
        if delay_ms is not None:
            state.due_ms[before.id] = self._now_ms() + delay_ms
        return True

    async def find(self, delivery: DeliveryId) -> Delivery | None:
        return next((state.kept[delivery] for state in self._partitions if delivery in state.kept), None)

    async def page(
        self, channel: Channel, states: Sequence[DeliveryState], *, before: str | None, limit: int
    ) -> DeliveryPage:
        listed = [one for state in self._partitions for one in state.of(channel) if one.state in states]
        newest = sorted(listed, key=lambda one: one.member, reverse=True)
        return DeliveryPage(tuple(one for one in newest if before is None or one.member < before)[:limit], len(listed))

    async def channels(self, partition: int) -> list[Channel]:
        return sorted({one.channel for one in self._partitions[partition].kept.values()})

    async def counts(self, partition: int, channels: Sequence[Channel]) -> list[Mapping[DeliveryState, int]]:
        found = [self._partitions[partition].of(channel) for channel in channels]
        return [{state: sum(one.state is state for one in part) for state in DeliveryState} for part in found]

    async def oldest(
        self, partition: int, channel: Channel, state: DeliveryState, *, before_us: int, limit: int
    ) -> list[Delivery]:
        listed = [
            one
            for one in self._partitions[partition].of(channel)
            if one.state is state and one.created_at_us < before_us
        ]
        return sorted(listed, key=lambda one: one.member)[:limit]

    async def forget(self, deliveries: Sequence[Delivery]) -> int:
        gone = 0
        for delivery in deliveries:
            state = self._partitions[delivery.partition]
            found = state.kept.get(delivery.id)
            if found is not None and found.revision == delivery.revision:
                del state.kept[delivery.id]
                state.due_ms.pop(delivery.id, None)
                gone += 1
        return gone

    def lose_checkpoint(self, partition: int) -> None:
        """As a Redis does that was restored without it; for tests of who reads the log anew then."""
        self._partitions[partition].checkpoint = Checkpoint()

    def _enter(self, state: _Partition, delivery: Delivery) -> None:
        if delivery.id in state.kept:
            return
        state.kept[delivery.id] = delivery
        if delivery.state is DeliveryState.PENDING:
            state.due_ms[delivery.id] = self._now_ms()

    def _moved(self, hold: Hold, checkpoint: Checkpoint) -> Hold:
        return Hold(partition=hold.partition, token=hold.token, checkpoint=checkpoint)

    def _now_ms(self) -> int:
        return self._clock_us() // 1_000
