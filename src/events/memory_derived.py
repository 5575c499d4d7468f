"""What follows from the log, made anew in memory: the reference semantics."""

from collections.abc import Mapping, Sequence

from events.derived import ClaimsAt, DeadLetterChange, Errand, Owed, TalliesAt, errand_of
from events.digests import Claims, DigestKey
from events.ids import KnowledgeBaseId, TaskId, partition_of
from events.log import Tally
from events.memory import MemoryLog
from events.memory_store import StreamState
from events.pointer import inbox_of_timer, pack_pointer, pack_timer, unpack_pointer


class MemoryDerived:
    """DerivedStore over the store of a MemoryLog."""

    def __init__(self, log: MemoryLog) -> None:
        self._store = log.store

    async def errands(self, partition: int) -> set[Errand]:
        state = self._store.partition(partition)
        found = {errand_of(inbox_of_timer(timer)[0], unpack_pointer(timer[1:])) for timer in state.due}
        for (step, _), inbox in state.inboxes.items():
            found.update(errand_of(step, unpack_pointer(pointer)) for pointer in inbox.entries.values())
        return found

    async def put(self, partition: int, owed: Sequence[Owed]) -> list[bool]:
        state = self._store.partition(partition)
        stands = [self._version(partition, one.guard) == one.guard_version for one in owed]
        for one in (one for one, holds in zip(owed, stands, strict=True) if holds):
            pointer = pack_pointer(one.pointer)
            if one.due_at_ms is None:
                state.inbox(one.step, one.lane).enter(pointer, self._store.now_ms())
                self._store.arrived.wake()
            else:
                state.due[pack_timer(one.step, one.lane, pointer)] = one.due_at_ms
        return stands

    async def dead_letters(self, partition: int) -> dict[str, int]:
        return dict(self._store.partition(partition).dead)

    async def change_dead_letters(self, partition: int, changes: Sequence[DeadLetterChange]) -> list[bool]:
        dead = self._store.partition(partition).dead
        stands = [self._version(partition, one.stream_id) == one.version for one in changes]
        for one in (one for one, holds in zip(changes, stands, strict=True) if holds):
            if one.failed_at_ms is None:
                dead.pop(one.stream_id, None)
            else:
                dead[one.stream_id] = one.failed_at_ms
        return stands

    async def tallies(self, partition: int, tasks: Sequence[TaskId]) -> TalliesAt:
        state = self._store.partition(partition)
        return TalliesAt(len(state.log), tuple(state.tallies.get(task) for task in tasks))

    async def set_tallies(self, partition: int, number: int, tallies: Mapping[TaskId, Tally]) -> bool:
        state = self._store.partition(partition)
        if len(state.log) != number:
            return False
        state.tallies.update(tallies.items())
        return True

    async def digests(self, knowledge_base: KnowledgeBaseId) -> dict[bytes, Claims]:
        state = self._store.partition(partition_of(knowledge_base))
        return {key.digest: claims for key, claims in state.digests.items() if key.knowledge_base_id == knowledge_base}

    async def claims(self, partition: int, digests: Sequence[DigestKey]) -> ClaimsAt:
        state = self._store.partition(partition)
        return ClaimsAt(len(state.log), tuple(state.digests.get(key, ()) for key in digests))

    async def set_claims(self, partition: int, number: int, claims: Mapping[DigestKey, Claims]) -> bool:
        state = self._store.partition(partition)
        if len(state.log) != number:
            return False
        for key, right in claims.items():
            if right:
                state.digests[key] = right
            else:
                state.digests.pop(key, None)
        return True

    def _version(self, partition: int, stream_id: str) -> int:
        return self._store.partition(partition).streams.get(stream_id, StreamState()).version
