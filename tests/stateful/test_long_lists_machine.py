"""Lists in memory and on Redis, where long ones lie in leaves, driven side by side at random.

Any mixture of members that enter and leave gives the same pages, lengths and lists; and no leaf is empty, too large or
holds what is another's.
"""

import asyncio
import hashlib
import shutil
import subprocess
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from events.envelope import Position
from events.keys import Keys
from events.redis_border import execute
from events.redis_clients import make_clients
from projections.memory_views import MemoryViews
from projections.projection import DOCUMENTS, RowKey, member
from projections.redis_views import RedisViews
from projections.views import Checkpoint, Commit, IndexChange, Lease, ViewStore
from tests.machines import examples_driven
from tests.servers.redis_process import RedisProcess, redis_binary

pytest_plugins = ("tests.servers.redis",)

T = TypeVar("T")

MEMBERS: Final = 1_000
"""Two of each time, so that ids count too; eight leaves full of them."""

LEAF_MEMBERS_MAX: Final = 128
GROUP_LEAVES_MAX: Final = 128
FEW_LEAVES: Final = 4
"""In a group of the examples that are to have some: 1,000 members are too few for more than one otherwise."""

LIST: Final = "documents"
LEASE_MS: Final = 60_000
FIRST_US: Final = 1_700_000_000_000_000

IDS: Final = [f"doc_00{number * 7919 % 65_536:04x}00000000700080{'0' * 10}{number:04x}" for number in range(MEMBERS)]
PLACES: Final = st.integers(0, MEMBERS - 1)


class Members:
    """A pool in order; `is_packed`: ids as the product has them, or other text."""

    def __init__(self, is_packed: bool) -> None:
        self.ids = IDS if is_packed else [f"d{number}" for number in range(MEMBERS)]
        self.all = sorted(member(FIRST_US + number // 2, one) for number, one in enumerate(self.ids))
        self.is_packed = is_packed

    def place(self, number: int, is_time: bool) -> str:
        """A member, or where those of its time begin: what pages begin at."""
        return member(int(self.all[number][:16], 16), "") if is_time and self.is_packed else self.all[number]


def _with_groups_of(views: RedisViews, leaves_max: int) -> RedisViews:
    """The same scripts, but for the number of leaves that a group may have."""
    said = f"GROUP_MAX = {GROUP_LEAVES_MAX}"
    for script in (views._commit, views._page):
        assert said in script.text
        script.text = script.text.replace(said, f"GROUP_MAX = {leaves_max}")
        script.digest = hashlib.sha1(script.text.encode(), usedforsecurity=False).hexdigest()
    return views


class LongListsMachine(RuleBasedStateMachine):
    """One example: a list that may have been written in one piece by an older release, then any mixture of calls."""

    server_url = ""

    @initialize(
        is_packed=st.booleans(),
        older=st.integers(0, 400),
        group_leaves=st.sampled_from([FEW_LEAVES, GROUP_LEAVES_MAX]),
    )
    def open(self, is_packed: bool, older: int, group_leaves: int) -> None:
        self.runner = asyncio.Runner()
        self.clients = make_clients(self.server_url)
        self.run(execute(self.clients.commands, "FLUSHALL"))
        self.keys = Keys(1)
        self.members = Members(is_packed)
        self.stores: list[ViewStore] = [
            MemoryViews(partitions=1, clock_ms=lambda: 0),
            _with_groups_of(RedisViews(self.clients.commands, self.keys), group_leaves),
        ]
        self.group_leaves = group_leaves
        self.leases = [self.run(self.lease(store)) for store in self.stores]
        self.number = 0
        self.commit((), (), rows={RowKey(DOCUMENTS, one): one.encode() for one in self.members.ids})
        self.write_in_one_piece(self.members.all[: 2 * older : 2])

    def write_in_one_piece(self, members: Sequence[str]) -> None:
        if members:
            scored = [value for one in members for value in (0, one)]
            self.run(execute(self.clients.commands, "ZADD", self.key(f"index:{LIST}"), *scored))
            self.run(execute(self.clients.commands, "SADD", self.key("indexes"), LIST))
            self.commit((), members, stores=1)

    def teardown(self) -> None:
        if hasattr(self, "clients"):
            self.run(self.clients.aclose())
            self.runner.close()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(call)

    def key(self, name: str) -> str:
        return self.keys.view(0, 1, name)

    async def lease(self, store: ViewStore) -> Lease:
        found = await store.acquire(0, 1, holder="one", lease_ms=LEASE_MS)
        assert isinstance(found, Lease)
        return found

    def commit(
        self, removed: Sequence[str], added: Sequence[str], *, rows: dict[RowKey, bytes] | None = None, stores: int = 2
    ) -> None:
        self.number += 1
        checkpoint = Checkpoint(position=Position(1, self.number, 0), number=self.number)
        indexes = (IndexChange(LIST, tuple(removed), tuple(added)),)
        for place, store in enumerate(self.stores[:stores]):
            held = self.leases[place]
            one = Commit(lease=held, checkpoint=checkpoint, rows=rows or {}, indexes=indexes, lease_ms=LEASE_MS)
            assert self.run(store.commit(one))
            self.leases[place] = self.run(self.lease(store))

    def some(self, first: int, count: int, step: int) -> list[str]:
        return self.members.all[first : first + count * step : step]

    @rule(first=PLACES, count=st.integers(1, 600), step=st.integers(1, 3))
    def members_enter(self, first: int, count: int, step: int) -> None:
        self.commit((), self.some(first, count, step)[::-1])

    @rule(first=PLACES, count=st.integers(1, 600), step=st.integers(1, 3))
    def members_leave(self, first: int, count: int, step: int) -> None:
        self.commit(self.some(first, count, step), ())

    @rule(left=PLACES, entered=PLACES, count=st.integers(1, 100))
    def some_leave_and_others_enter(self, left: int, entered: int, count: int) -> None:
        added = self.some(entered, count, 2)
        self.commit([one for one in self.some(left, count, 1) if one not in added], added)

    @rule()
    def all_leave(self) -> None:
        self.commit(self.members.all, ())

    @rule(
        after=st.none() | PLACES,
        floor=st.none() | PLACES,
        is_time=st.booleans(),
        limit=st.sampled_from([1, 50, 300]),
        newest_first=st.booleans(),
    )
    def a_page_is_read(
        self, after: int | None, floor: int | None, is_time: bool, limit: int, newest_first: bool
    ) -> None:
        pages = [
            self.run(
                store.page(
                    0,
                    LIST,
                    DOCUMENTS,
                    after=None if after is None else self.members.place(after, is_time),
                    limit=limit,
                    newest_first=newest_first,
                    floor=None if floor is None else self.members.place(floor, is_time),
                )
            )
            for store in self.stores
        ]
        assert pages[0] == pages[1]

    @invariant()
    def the_lists_are_equal(self) -> None:
        one, other = (self.run(store.members(0, 1, LIST)) for store in self.stores)
        assert one == other

    @invariant()
    def leaves_are_in_order(self) -> None:
        command = self.clients.commands
        bounds = self.run(execute(command, "ZRANGE", self.key(f"leaves:{LIST}"), 0, -1))
        leaves = [
            self.run(execute(command, "ZRANGE", self.key(f"leaf:{LIST}:{bound.decode()}"), 0, -1)) for bound in bounds
        ]
        stored = self.run(execute(command, "HGET", self.key("leaved"), LIST))
        assert sum(map(len, leaves)) == int((stored or b"0").split(b" ")[0])
        assert all(1 <= len(leaf) <= LEAF_MEMBERS_MAX for leaf in leaves)
        keys = self.run(execute(command, "KEYS", self.key("leaf:*")))
        assert len(keys) == len(bounds)
        inside = [one for leaf in leaves for one in leaf]
        assert inside == sorted(inside)
        if self.members.is_packed:
            assert {len(one) for one in inside} <= {26}

    @invariant()
    def groups_add_up(self) -> None:
        """Each leaf is in the sum of its group, no group has too many, and there are none where one would do."""
        command = self.clients.commands
        bounds = self.run(execute(command, "ZRANGE", self.key(f"leaves:{LIST}"), 0, -1))
        groups = self.run(execute(command, "ZRANGE", self.key(f"groups:{LIST}"), 0, -1))
        found = self.run(execute(command, "HGETALL", self.key(f"sums:{LIST}")))
        assert set(found) == set(groups)
        if not groups:
            assert len(bounds) <= self.group_leaves
            return
        sizes, sums = dict.fromkeys(groups, 0), dict.fromkeys(groups, 0)
        for bound in bounds:
            group = max(one for one in groups if one <= bound)
            sizes[group] += 1
            sums[group] += self.run(execute(command, "ZCARD", self.key(f"leaf:{LIST}:{bound.decode()}")))
        assert sums == {group: int(sum_) for group, sum_ in found.items()}
        assert max(sizes.values()) <= self.group_leaves


def test_long_lists_in_memory_and_on_redis_are_alike_under_any_sequence(redis_server: RedisProcess) -> None:
    assert _driven(redis_server, examples_max=20) >= 20


def test_the_language_of_the_server_changes_nothing_of_a_long_list(
    redis_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Danish `aa` comes behind `b`, and Lua goes by it; servers are often started in the language of their host."""
    if (localedef := shutil.which("localedef")) is None:
        pytest.skip("there is no localedef to make a language with")
    made = subprocess.run([localedef, "-i", "da_DK", "-f", "UTF-8", str(tmp_path / "da_DK.UTF-8")], check=False)
    if made.returncode != 0:
        pytest.skip("the host does not know Danish")
    monkeypatch.setenv("LOCPATH", str(tmp_path))
    monkeypatch.setenv("LC_ALL", "da_DK.UTF-8")
    server = RedisProcess(redis_binary(), redis_directory)
    server.start()
    try:
        assert _driven(server, examples_max=5) >= 5
    finally:
        server.stop()


def _driven(server: RedisProcess, *, examples_max: int) -> int:
    LongListsMachine.server_url = server.url
    phases = (Phase.reuse, Phase.generate)  # to shrink one takes minutes
    return examples_driven(LongListsMachine, examples_max=examples_max, steps_max=25, phases=phases)
