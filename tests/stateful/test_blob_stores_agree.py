"""The directory and the dictionary, side by side through random calls: they must answer the same."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from blobs.errors import BlobError
from blobs.local import LocalBlobStore
from blobs.memory import MemoryBlobStore
from blobs.store import BlobStore

KEYS = st.sampled_from(["a", "a/b", "a/b/c", "a/b.c", "a-b", "ab", "b", "b/c/d"])
PREFIXES = st.sampled_from(["a", "a/", "a/b", "a/b/", "b", "c", ""])
DATA = st.binary(max_size=20)
OFFSETS = st.integers(0, 24)


class BlobStoresAgree(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.stores: tuple[BlobStore, BlobStore] = (
            MemoryBlobStore(),
            LocalBlobStore(Path(self.directory.name), threads_max=1),
        )

    def teardown(self) -> None:
        for store in self.stores:
            self.runner.run(store.close())
        self.runner.close()
        self.directory.cleanup()

    def ask_both(self, method: str, *args: Any) -> None:
        expected, actual = (self.runner.run(self.answer(store, method, *args)) for store in self.stores)
        assert actual == expected

    async def answer(self, store: BlobStore, method: str, *args: Any) -> object:
        try:
            return await getattr(store, method)(*args)
        except BlobError as error:
            return type(error), str(error)

    @rule(key=KEYS, data=DATA)
    def put(self, key: str, data: bytes) -> None:
        self.ask_both("put", key, data)

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        self.ask_both("get", key)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        self.ask_both("delete", key)

    @rule(prefix=PREFIXES)
    def delete_prefix(self, prefix: str) -> None:
        self.ask_both("delete_prefix", prefix)

    @rule(key=KEYS, data=DATA)
    def write_without_commit(self, key: str, data: bytes) -> None:
        async def write(store: BlobStore) -> None:
            async with store.writer(key) as writer:
                await writer.write(data)

        for store in self.stores:
            self.runner.run(write(store))

    @rule(key=KEYS, start=OFFSETS, length=st.none() | OFFSETS)
    def read(self, key: str, start: int, length: int | None) -> None:
        async def read(store: BlobStore) -> object:
            try:
                return b"".join([piece async for piece in store.read(key, start=start, length=length)])
            except BlobError as error:
                return type(error), str(error)

        expected, actual = (self.runner.run(read(store)) for store in self.stores)
        assert actual == expected

    @invariant()
    def lists_are_the_same(self) -> None:
        async def listing(store: BlobStore) -> list[tuple[str, int]]:
            return [(info.key, info.size_bytes) async for info in store.list("")]

        expected, actual = (self.runner.run(listing(store)) for store in self.stores)
        assert actual == expected == sorted(expected)


TestBlobStoresAgree = BlobStoresAgree.TestCase
TestBlobStoresAgree.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
