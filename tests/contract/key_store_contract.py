"""What every KeyStore keeps to."""

import asyncio

import pytest
from msgspec.structs import replace

from domain.access import Scope
from domain.api_keys import KeyLimits, KeyRecord, NewKey, new_key, revoked
from millstream.admission.key_store import KeysSeen, KeyStore
from tests.strategies import KNOWLEDGE_BASE


def record(number: int, name: str = "one") -> KeyRecord:
    asked = NewKey(
        name=name,
        scopes=(Scope.WRITE,),
        knowledge_bases=(KNOWLEDGE_BASE,),
        expires_at_us=99,
        limits=KeyLimits(reads_per_minute=5),
    )
    return new_key(asked, key_id=f"{number:016x}", secret=bytes(32), now_us=7, created_by="tests")[0]


class KeyStoreContract:
    """A test class of an implementation gives the fixture `store`, an empty one."""

    @pytest.fixture
    def store(self) -> KeyStore:
        raise NotImplementedError

    async def test_at_first_no_key_was_ever_made(self, store: KeyStore) -> None:
        assert await store.version() == 0
        assert await store.read() == KeysSeen(0, ())

    async def test_what_was_put_is_read_and_counted(self, store: KeyStore) -> None:
        for number in (2, 1):
            assert await store.put(record(number), before=None)

        assert await store.read() == KeysSeen(2, (record(1), record(2)))
        assert await store.version() == 2

    async def test_a_change_replaces_what_it_knew(self, store: KeyStore) -> None:
        await store.put(record(1), before=None)
        after = revoked(record(1), 8)

        assert await store.put(after, before=record(1))
        assert (await store.read()).records == (after,)

    async def test_a_change_of_what_is_otherwise_by_now_is_refused_and_not_counted(self, store: KeyStore) -> None:
        await store.put(record(1), before=None)

        assert not await store.put(record(1, "two"), before=None)
        assert not await store.put(record(1, "two"), before=record(1, "three"))
        assert not await store.put(record(2), before=record(2))
        assert await store.read() == KeysSeen(1, (record(1),))

    async def test_of_changes_at_the_same_time_one_succeeds(self, store: KeyStore) -> None:
        await store.put(record(1), before=None)
        changes = [replace(record(1), name=f"name {number}") for number in range(8)]

        done = await asyncio.gather(*(store.put(change, before=record(1)) for change in changes))

        assert sum(done) == 1
        assert await store.version() == 2

    async def test_a_copy_that_is_ahead_takes_over(self, store: KeyStore) -> None:
        await store.put(record(1), before=None)
        copy = KeysSeen(3, (record(2), record(3)))

        assert await store.take_over(copy)
        assert await store.read() == copy

    async def test_a_copy_that_is_not_ahead_changes_nothing(self, store: KeyStore) -> None:
        await store.put(record(1), before=None)

        assert not await store.take_over(KeysSeen(1, ()))
        assert await store.read() == KeysSeen(1, (record(1),))

    async def test_when_a_key_was_used_is_kept_and_counts_as_no_change(self, store: KeyStore) -> None:
        await store.note_used({"a": 1, "b": 2})
        await store.note_used({"b": 3})
        await store.note_used({})

        assert await store.used() == {"a": 1, "b": 3}
        assert await store.version() == 0
