"""What every ViewStore and ChangeFeed does; a tiny file per implementation runs it."""

from asyncio import TaskGroup
from typing import Protocol

import pytest
from msgspec.structs import replace

from events.envelope import Position
from projections.feed import Change, ChangeFeed, FeedPosition
from projections.projection import DOCUMENTS, KNOWLEDGE_BASES, TASKS, RowKey, member
from projections.views import PAGE_ROWS_MAX, Checkpoint, Commit, IndexChange, Lease, LeaseHeld, NotLive, ViewStore
from tests.strategies import DOCUMENTS as DOCUMENT_IDS
from tests.strategies import KNOWLEDGE_BASE
from tests.strategies import TASKS as TASK_IDS

PARTITIONS = 4
FEED_BYTES_MAX = 2_000
LEASE_MS = 60_000
LIST = "documents"


class ViewWorld(Protocol):
    """What the suite needs of an implementation; `end_leases` lets so much time pass that every lease is over,
    `break_feed` is what a log that lost its end does to the feed of partition 0."""

    views: ViewStore
    feed: ChangeFeed

    async def end_leases(self) -> None: ...

    async def break_feed(self) -> None: ...


async def lease(world: ViewWorld, *, holder: str = "one", generation: int = 1, build: bool = False) -> Lease:
    found = await world.views.acquire(0, generation, holder=holder, lease_ms=LEASE_MS, build=build)
    assert isinstance(found, Lease)
    return found


def commit(
    held: Lease,
    number: int,
    *,
    rows: dict[RowKey, bytes] | None = None,
    indexes: tuple[IndexChange, ...] = (),
    changes: tuple[Change, ...] = (),
) -> Commit:
    checkpoint = Checkpoint(position=Position(1, number, 0), number=number, unreadable=1, unknown=2, refused=3)
    return Commit(
        lease=held, checkpoint=checkpoint, rows=rows or {}, indexes=indexes, changes=changes, lease_ms=LEASE_MS
    )


def following(held: Lease, last: Commit) -> Lease:
    return Lease(partition=held.partition, generation=held.generation, token=held.token, checkpoint=last.checkpoint)


def sweep(held: Lease, before_us: int, *ids: str) -> Commit:
    """Takes rows that `fill` put there out, and their members of the list."""
    return Commit(
        lease=held,
        checkpoint=replace(held.checkpoint, retired_before_us=before_us),
        rows={},
        removed=tuple(RowKey(DOCUMENTS, one) for one in ids),
        indexes=(IndexChange(LIST, tuple(member(int(one[1:]), one) for one in ids), ()),),
        lease_ms=LEASE_MS,
    )


def change(number: int, version: int = 1) -> Change:
    return Change(DOCUMENT_IDS[number], KNOWLEDGE_BASE, TASK_IDS[0], version)


async def fill(world: ViewWorld, held: Lease, count: int) -> list[str]:
    """That many rows in one list, the oldest first."""
    members = [member(number, f"d{number}") for number in range(count)]
    rows = {RowKey(DOCUMENTS, f"d{number}"): b"row %d" % number for number in range(count)}
    assert await world.views.commit(commit(held, 1, rows=rows, indexes=(IndexChange(LIST, (), tuple(members)),)))
    return members


class ViewStoreContract:
    async def test_rows_lists_and_checkpoint_appear_together(self, world: ViewWorld) -> None:
        one = commit(
            await lease(world),
            7,
            rows={RowKey(DOCUMENTS, "d"): b"document", RowKey(TASKS, "d"): b"task"},
            indexes=(IndexChange(LIST, (), (member(5, "d"),)),),
        )
        assert await world.views.commit(one)
        assert await world.views.rows(0, DOCUMENTS, ["x", "d"]) == [None, b"document"]
        assert await world.views.rows(0, TASKS, ["d"]) == [b"task"]
        assert await world.views.rows(0, KNOWLEDGE_BASES, ["d"]) == [None]
        assert await world.views.rows(1, TASKS, ["d"]) == [None]
        assert await world.views.rows(0, TASKS, []) == []
        page = await world.views.page(0, LIST, DOCUMENTS, after=None, limit=5, newest_first=True)
        assert [(row.member, row.payload) for row in page.rows] == [(member(5, "d"), b"document")]
        assert await world.views.checkpoint(0) == one.checkpoint
        assert await world.views.checkpoint(0, 1) == one.checkpoint
        assert await world.views.checkpoint(0, 2) == await world.views.checkpoint(1) == Checkpoint()

    async def test_a_commit_that_expects_another_checkpoint_changes_nothing(self, world: ViewWorld) -> None:
        held = await lease(world)
        first = commit(held, 1, rows={RowKey(TASKS, "t"): b"first"})
        assert await world.views.commit(first)
        late = commit(held, 2, rows={RowKey(TASKS, "t"): b"late"}, changes=(change(0),))
        assert not await world.views.commit(late)
        assert await world.views.rows(0, TASKS, ["t"]) == [b"first"]
        assert await world.views.checkpoint(0) == first.checkpoint
        assert await world.feed.feed_end(0) == FeedPosition()

    async def test_a_commit_that_is_repeated_takes_effect_once(self, world: ViewWorld) -> None:
        one = commit(await lease(world), 1, rows={RowKey(TASKS, "t"): b"row"}, changes=(change(0),))
        assert await world.views.commit(one)
        end = await world.feed.feed_end(0)
        assert await world.views.commit(one)
        assert await world.feed.feed_end(0) == end

    async def test_a_sweep_removes_rows_and_members_where_no_event_was_read(self, world: ViewWorld) -> None:
        held = await lease(world)
        members = await fill(world, held, 3)
        filled = following(held, commit(held, 1))
        swept = sweep(filled, 5, "d0", "d1")
        assert await world.views.commit(swept)
        assert await world.views.rows(0, DOCUMENTS, ["d0", "d1", "d2"]) == [None, None, b"row 2"]
        page = await world.views.page(0, LIST, DOCUMENTS, after=None, limit=9, newest_first=False)
        assert ([row.member for row in page.rows], page.total) == ([members[2]], 1)
        assert await world.views.checkpoint(0) == swept.checkpoint
        anew = await lease(world)
        assert anew.checkpoint == swept.checkpoint, "whoever takes over knows how far it came"
        assert await world.views.commit(sweep(anew, 6, "d2"))
        assert [found async for found in world.views.scan_indexes(0, 1)] == []

    async def test_a_sweep_is_compared_like_a_page(self, world: ViewWorld) -> None:
        held = await lease(world)
        await fill(world, held, 3)
        filled = following(held, commit(held, 1))
        swept = sweep(filled, 5, "d0")
        assert await world.views.commit(swept)
        assert await world.views.commit(swept), "repeated, it took effect before"
        assert not await world.views.commit(sweep(filled, 6, "d1")), "the sweep before is not known to it"
        assert not await world.views.commit(commit(filled, 2)), "nor to a page"
        assert await world.views.rows(0, DOCUMENTS, ["d1"]) == [b"row 1"]
        assert await world.views.commit(sweep(following(held, swept), 6, "d1"))

    async def test_a_page_writes_and_removes_rows_of_one_table(self, world: ViewWorld) -> None:
        held = await lease(world)
        await fill(world, held, 2)
        filled = following(held, commit(held, 1))
        second = replace(
            commit(filled, 2, rows={RowKey(DOCUMENTS, "d1"): b"new"}),
            removed=(RowKey(DOCUMENTS, "d0"), RowKey(TASKS, "never there")),
        )
        assert await world.views.commit(second)
        assert await world.views.rows(0, DOCUMENTS, ["d0", "d1"]) == [None, b"new"]

    async def test_a_commit_under_a_lost_lease_changes_nothing(self, world: ViewWorld) -> None:
        held = await lease(world)
        await world.end_leases()
        taken_over = await lease(world, holder="two")
        assert taken_over.token > held.token
        assert not await world.views.commit(commit(held, 1, rows={RowKey(TASKS, "t"): b"zombie"}))
        assert await world.views.rows(0, TASKS, ["t"]) == [None]
        assert await world.views.commit(commit(taken_over, 1))

    async def test_a_lease_is_held_against_others_until_it_ends_or_is_given_up(self, world: ViewWorld) -> None:
        held = await lease(world)
        refused = await world.views.acquire(0, 1, holder="two", lease_ms=LEASE_MS)
        assert isinstance(refused, LeaseHeld)
        assert 0 < refused.left_ms <= LEASE_MS
        await world.views.release(held)
        assert (await lease(world, holder="two")).token > held.token

    async def test_a_lease_that_was_lost_cannot_be_given_up(self, world: ViewWorld) -> None:
        held = await lease(world)
        await world.end_leases()
        await lease(world, holder="two")
        await world.views.release(held)
        assert isinstance(await world.views.acquire(0, 1, holder="one", lease_ms=LEASE_MS), LeaseHeld)

    async def test_the_holder_renews_its_lease_and_keeps_its_token(self, world: ViewWorld) -> None:
        held = await lease(world)
        one = commit(held, 1)
        assert await world.views.commit(one)
        renewed = await world.views.acquire(0, 1, holder="one", lease_ms=LEASE_MS, renews=held.token)
        assert isinstance(renewed, Lease)
        assert (renewed.token, renewed.checkpoint) == (held.token, one.checkpoint)

    async def test_a_holder_that_asks_anew_is_fenced_off_from_what_it_asked_for_before(self, world: ViewWorld) -> None:
        held = await lease(world)
        anew = await lease(world)
        assert anew.token > held.token
        assert not await world.views.commit(commit(held, 1, rows={RowKey(TASKS, "t"): b"late"}))
        assert await world.views.commit(commit(anew, 1))
        assert await world.views.rows(0, TASKS, ["t"]) == [None]

    async def test_a_seized_lease_is_lost_to_its_holder(self, world: ViewWorld) -> None:
        held = await lease(world)
        seized = await world.views.acquire(0, 1, holder="two", lease_ms=LEASE_MS, seize=True)
        assert isinstance(seized, Lease)
        assert not await world.views.commit(commit(held, 1))

    async def test_only_the_live_generation_is_leased_to_projectors_and_only_later_ones_to_rebuilds(
        self, world: ViewWorld
    ) -> None:
        views = world.views
        assert await views.acquire(0, 2, holder="one", lease_ms=LEASE_MS) == NotLive(1)
        assert await views.acquire(0, 1, holder="one", lease_ms=LEASE_MS, build=True) == NotLive(1)
        assert isinstance(await views.acquire(0, 2, holder="one", lease_ms=LEASE_MS, build=True), Lease)

    async def test_load_answers_in_the_order_asked_for(self, world: ViewWorld) -> None:
        held = await lease(world)
        rows = {RowKey(TASKS, "a"): b"task a", RowKey(DOCUMENTS, "a"): b"document a", RowKey(TASKS, "b"): b"task b"}
        assert await world.views.commit(commit(held, 1, rows=rows))
        keys = [RowKey(TASKS, "b"), RowKey(DOCUMENTS, "a"), RowKey(TASKS, "x"), RowKey(TASKS, "a")]
        assert await world.views.load(held, keys) == [b"task b", b"document a", None, b"task a"]

    async def test_pages_follow_one_another_from_either_end(self, world: ViewWorld) -> None:
        members = await fill(world, await lease(world), 5)
        for newest_first, expected in ((True, members[::-1]), (False, members)):
            found: list[str] = []
            after: str | None = None
            while len(found) < 5:
                page = await world.views.page(0, LIST, DOCUMENTS, after=after, limit=2, newest_first=newest_first)
                assert page.total == 5
                found += [row.member for row in page.rows]
                after = found[-1]
            assert found == expected
            end = await world.views.page(0, LIST, DOCUMENTS, after=after, limit=2, newest_first=newest_first)
            assert (end.rows, end.total) == ((), 5)

    @pytest.mark.parametrize("newest_first", [True, False])
    async def test_a_floor_cuts_a_list_off_for_its_pages_and_its_total(
        self, world: ViewWorld, newest_first: bool
    ) -> None:
        members = await fill(world, await lease(world), 5)
        expected = members[2:][::-1] if newest_first else members[2:]
        for after, rest in ((None, expected), (expected[0], expected[1:]), (expected[-1], [])):
            page = await world.views.page(
                0, LIST, DOCUMENTS, after=after, limit=9, newest_first=newest_first, floor=member(2, "")
            )
            assert ([row.member for row in page.rows], page.total) == (rest, 3)
        below = await world.views.page(
            0, LIST, DOCUMENTS, after=members[0], limit=9, newest_first=newest_first, floor=members[2]
        )
        assert ([row.member for row in below.rows], below.total) == ([] if newest_first else members[2:], 3)
        above = await world.views.page(
            0, LIST, DOCUMENTS, after=None, limit=9, newest_first=newest_first, floor=member(5, "")
        )
        assert (above.rows, above.total) == ((), 0)

    async def test_members_leave_a_list_and_enter_it_again(self, world: ViewWorld) -> None:
        held = await lease(world)
        members = await fill(world, held, 3)
        second = commit(following(held, commit(held, 1)), 2, indexes=(IndexChange(LIST, (members[1],), (members[0],)),))
        assert await world.views.commit(second)
        page = await world.views.page(0, LIST, DOCUMENTS, after=members[1], limit=9, newest_first=False)
        assert ([row.member for row in page.rows], page.total) == ([members[2]], 2)

    async def test_thousands_of_rows_and_members_fit_into_one_commit(self, world: ViewWorld) -> None:
        count = 5 * PAGE_ROWS_MAX
        members = await fill(world, await lease(world), count)
        ids = [f"d{number}" for number in range(count)]
        assert await world.views.rows(0, DOCUMENTS, ids) == [b"row %d" % number for number in range(count)]
        page = await world.views.page(0, LIST, DOCUMENTS, after=members[10], limit=PAGE_ROWS_MAX, newest_first=False)
        assert [row.member for row in page.rows] == members[11 : 11 + PAGE_ROWS_MAX]

    async def test_readers_see_the_built_generation_once_it_is_swapped_in(self, world: ViewWorld) -> None:
        live, built = await lease(world), await lease(world, holder="rebuild", generation=2, build=True)
        assert await world.views.commit(commit(live, 1, rows={RowKey(TASKS, "t"): b"old"}))
        assert await world.views.commit(commit(built, 1, rows={RowKey(TASKS, "t"): b"new"}))
        assert await world.views.rows(0, TASKS, ["t"]) == [b"old"]
        assert await world.views.swap(live, built)
        assert await world.views.rows(0, TASKS, ["t"]) == [b"new"]
        assert await world.views.live_generation(0) == 2
        assert await world.views.acquire(0, 1, holder="one", lease_ms=LEASE_MS) == NotLive(2)
        assert (await lease(world, generation=2)).checkpoint.number == 1

    async def test_generations_at_one_entry_are_swapped_in_whichever_epoch_it_was_read(self, world: ViewWorld) -> None:
        live, built = await lease(world), await lease(world, holder="two", generation=2, build=True)
        for held, epoch in ((live, 1), (built, 2)):
            one = commit(held, 1)
            moved = replace(one.checkpoint, position=Position(epoch, 1, 0))
            assert await world.views.commit(replace(one, checkpoint=moved))
        assert await world.views.swap(live, built)

    async def test_generations_that_stand_apart_are_not_swapped(self, world: ViewWorld) -> None:
        live, built = await lease(world), await lease(world, holder="rebuild", generation=2, build=True)
        assert await world.views.commit(commit(live, 2))
        assert await world.views.commit(commit(built, 1))
        assert not await world.views.swap(live, built)
        assert await world.views.live_generation(0) == 1

    async def test_a_swap_needs_both_leases(self, world: ViewWorld) -> None:
        live, built = await lease(world), await lease(world, holder="rebuild", generation=2, build=True)
        await world.end_leases()
        await lease(world, holder="two")
        assert not await world.views.swap(live, built)
        assert await world.views.live_generation(0) == 1

    async def test_a_dropped_generation_leaves_nothing_and_fences_its_writer(self, world: ViewWorld) -> None:
        built = await lease(world, generation=2, build=True)
        indexes = tuple(IndexChange(f"list {number}", (), (member(1, "t"),)) for number in range(5))
        assert await world.views.commit(commit(built, 1, rows={RowKey(TASKS, "t"): b"row"}, indexes=indexes))
        calls = 1
        while not await world.views.drop(0, 2, limit=2):
            calls += 1
            assert not await world.views.commit(commit(following(built, commit(built, 1)), 2))
        assert calls >= 3
        assert [row async for row in world.views.scan_rows(0, 2, TASKS)] == []
        assert [found async for found in world.views.scan_indexes(0, 2)] == []
        assert await world.views.checkpoint(0, 2) == Checkpoint()

    async def test_the_live_generation_is_not_dropped(self, world: ViewWorld) -> None:
        with pytest.raises(ValueError, match="live"):
            await world.views.drop(0, 1, limit=1)

    async def test_a_scan_tells_every_row_and_every_list(self, world: ViewWorld) -> None:
        members = await fill(world, await lease(world), 3)
        found = {row_id: row async for row_id, row in world.views.scan_rows(0, 1, DOCUMENTS)}
        assert found == {f"d{number}": b"row %d" % number for number in range(3)}
        assert [one async for one in world.views.scan_indexes(0, 1)] == [(LIST, tuple(members))]
        assert await world.views.members(0, 1, LIST) == tuple(members)
        assert await world.views.members(0, 2, LIST) == await world.views.members(0, 1, "no such list") == ()


class ChangeFeedContract:
    async def announced(self, world: ViewWorld, *groups: tuple[Change, ...]) -> list[FeedPosition]:
        held, positions = await lease(world), []
        for number, changes in enumerate(groups, start=1):
            one = commit(held, number, changes=changes)
            assert await world.views.commit(one)
            held = following(held, one)
            positions.append(await world.feed.feed_end(0))
        return positions

    async def test_an_empty_feed_ends_at_its_beginning(self, world: ViewWorld) -> None:
        assert await world.feed.feed_end(0) == FeedPosition()
        assert await world.feed.feed_since(0, FeedPosition(), limit=5) == []
        assert await world.feed.feed_read({0: FeedPosition(), 1: FeedPosition()}, limit=5) == []

    async def test_each_commit_is_one_entry_that_names_what_it_changed(self, world: ViewWorld) -> None:
        first, second = (change(0), Change(TASK_IDS[0], KNOWLEDGE_BASE, TASK_IDS[0], 9)), (change(1, 2),)
        base = Change(KNOWLEDGE_BASE, KNOWLEDGE_BASE, None, 4)
        positions = await self.announced(world, first, (), (*second, base))
        found = await world.feed.feed_read({0: FeedPosition(), 1: FeedPosition()}, limit=5)
        assert [(entry.partition, entry.changes) for entry in found] == [(0, first), (0, (*second, base))]
        assert [entry.position for entry in found] == [positions[0], positions[2]]
        assert positions[0] == positions[1] < positions[2]

    async def test_reading_goes_on_behind_a_place_and_is_bounded(self, world: ViewWorld) -> None:
        positions = await self.announced(world, *((change(number),) for number in range(5)))
        found = await world.feed.feed_read({0: positions[1]}, limit=2)
        assert [entry.position for entry in found] == positions[2:4]

    async def test_a_waiting_reader_is_woken_by_a_commit(self, world: ViewWorld) -> None:
        held = await lease(world)
        async with TaskGroup() as group:
            reading = group.create_task(
                world.feed.feed_read({0: FeedPosition(), 1: FeedPosition()}, limit=5, wait_ms=20_000)
            )
            assert await world.views.commit(commit(held, 1, changes=(change(0),)))
        assert [entry.changes for entry in reading.result()] == [(change(0),)]

    async def test_a_reader_that_waits_in_vain_answers_nothing(self, world: ViewWorld) -> None:
        assert await world.feed.feed_read({0: FeedPosition()}, limit=5, wait_ms=1) == []

    async def test_what_was_missed_is_told_from_any_place_that_the_feed_still_has(self, world: ViewWorld) -> None:
        positions = await self.announced(world, *((change(number),) for number in range(4)))
        missed = await world.feed.feed_since(0, positions[1], limit=5)
        assert missed is not None
        assert [entry.changes for entry in missed] == [(change(2),), (change(3),)]
        assert await world.feed.feed_since(0, positions[3], limit=5) == []

    async def test_a_place_from_the_future_or_with_too_much_behind_it_cannot_be_resumed(self, world: ViewWorld) -> None:
        positions = await self.announced(world, *((change(number),) for number in range(4)))
        end = positions[-1]
        assert await world.feed.feed_since(0, FeedPosition(end.ms + 1, 0), limit=5) is None
        assert await world.feed.feed_since(0, positions[0], limit=2) is None

    async def test_a_feed_that_was_empty_tells_everything_since(self, world: ViewWorld) -> None:
        before = await world.feed.feed_end(0)
        await self.announced(world, (change(0),), (change(1),))
        missed = await world.feed.feed_since(0, before, limit=2)
        assert missed is not None
        assert [entry.changes for entry in missed] == [(change(0),), (change(1),)]
        assert await world.feed.feed_since(0, before, limit=1) is None
        assert await world.feed.feed_reaches(0, before)

    async def test_the_feed_is_bounded_and_says_where_it_no_longer_reaches(self, world: ViewWorld) -> None:
        group = tuple(change(number) for number in range(8))
        positions = await self.announced(world, *(group for _ in range(20)))
        assert await world.feed.feed_since(0, positions[0], limit=50) is None
        kept = await world.feed.feed_read({0: FeedPosition()}, limit=50)
        assert 1 <= len(kept) <= FEED_BYTES_MAX // 400
        places = (FeedPosition(), positions[0], kept[0].position, positions[-1])
        assert [await world.feed.feed_reaches(0, one) for one in places] == [False, False, True, True]
        assert kept[-1].position == positions[-1]
        assert await world.feed.feed_since(0, kept[0].position, limit=50) == kept[1:]

    async def test_a_feed_that_broke_off_says_so_and_goes_on_behind_that_alone(self, world: ViewWorld) -> None:
        began = await world.feed.feed_end(0)
        positions = await self.announced(world, (change(0),), (change(1),))
        await world.break_feed()
        (found,) = await world.feed.feed_read({0: positions[-1], 1: FeedPosition()}, limit=5)
        assert (found.is_break, found.changes) == (True, ())
        await world.end_leases()
        held = await lease(world, holder="two")
        assert await world.views.commit(commit(held, 3, changes=(change(2),)))
        for place in (began, *positions):
            assert await world.feed.feed_since(0, place, limit=5) is None
        behind = await world.feed.feed_since(0, found.position, limit=5)
        assert behind is not None
        assert [(one.is_break, one.changes) for one in behind] == [(False, (change(2),))]

    async def test_a_feed_that_broke_off_before_its_first_entry_is_not_resumed_from_its_beginning(
        self, world: ViewWorld
    ) -> None:
        await world.break_feed()
        assert await world.feed.feed_since(0, FeedPosition(), limit=5) is None

    async def test_a_commit_larger_than_the_feed_is_kept(self, world: ViewWorld) -> None:
        group = tuple(change(number % 8, number) for number in range(60))
        await self.announced(world, (change(0),), group)
        assert (await world.feed.feed_read({0: FeedPosition()}, limit=50))[-1].changes == group
