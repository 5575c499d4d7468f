"""What all LeaseRecords must do. A test file per implementation subclasses this and provides the fixture `records`."""

import asyncio

import pytest

from events.ids import EventId, KnowledgeBaseId
from events.inbox import Delivery
from events.steps import Lane, Step
from processors.lease_records import Found, LeaseRecord, LeaseRecords, token_for
from processors.verdicts import Lost, Recorded, Refused
from tests.waiting import wait_for

A_MINUTE_MS = 60_000
TOKEN = token_for(3, "-a token that is not guessed")
RECORD = LeaseRecord(
    holder="key:石磨",
    delivery=Delivery(
        step=Step.PARSE,
        lane=Lane.BULK,
        partition=3,
        entry_id="17-0",
        stream_id="doc_1",
        version=4,
        event_id=EventId("e"),
        correlation_id="t_1",
        knowledge_base_id=KnowledgeBaseId("kb_1"),
    ),
    worker="node@host-1-ab",
    attempt=2,
    asked=b"\x00\xff",
)


class LeaseRecordsContract:
    """Needs the fixture `records`, of four partitions: there is no lease yet."""

    async def test_a_lease_that_is_kept_is_found(self, records: LeaseRecords) -> None:
        assert await records.find(TOKEN) is None
        assert await records.keep(TOKEN, RECORD, for_ms=A_MINUTE_MS)
        assert await records.find(TOKEN) == Found(RECORD, None)
        assert 0 < await records.left_ms(TOKEN) <= A_MINUTE_MS

    @pytest.mark.parametrize("token", ["", "03", "zz-not hex", "-1x", "ffno such partition", "03another", "石磨"])
    async def test_what_was_never_a_token_has_no_record(self, records: LeaseRecords, token: str) -> None:
        await records.keep(TOKEN, RECORD, for_ms=A_MINUTE_MS)
        assert await records.find(token) is None
        assert await records.left_ms(token) == 0
        assert not await records.renew(token, for_ms=A_MINUTE_MS)

    async def test_a_lease_runs_out_unless_it_is_renewed(self, records: LeaseRecords) -> None:
        await records.keep(TOKEN, RECORD, for_ms=20)

        async def is_gone() -> bool:
            return await records.find(TOKEN) is None

        await wait_for(is_gone, "the lease is over")
        assert not await records.renew(TOKEN, for_ms=A_MINUTE_MS)
        assert await records.left_ms(TOKEN) == 0
        await records.keep(TOKEN, RECORD, for_ms=20)
        assert await records.renew(TOKEN, for_ms=A_MINUTE_MS)
        assert await records.left_ms(TOKEN) > 20

    async def test_of_many_processes_one_ends_a_lease(self, records: LeaseRecords) -> None:
        await records.keep(TOKEN, RECORD, for_ms=A_MINUTE_MS)
        taken = await asyncio.gather(*(self._take(records, f"process {n}") for n in range(10)))
        assert taken.count(True) == 1
        winner = f"process {taken.index(True)}"
        assert await self._take(records, winner), "a call that is repeated"
        await records.settle(TOKEN, RECORD, Refused("late", "too late"), by="another", kept_ms=A_MINUTE_MS)
        await records.settle(TOKEN, RECORD, Lost(), by="another", kept_ms=A_MINUTE_MS)
        assert await records.find(TOKEN) == Found(RECORD, None)

    async def test_whoever_died_at_it_is_not_waited_for_longer_than_its_right(self, records: LeaseRecords) -> None:
        assert await records.take(TOKEN, RECORD, by="dead", for_ms=A_MINUTE_MS, right_ms=20)

        async def is_free() -> bool:
            return await self._take(records, "heir")

        await wait_for(is_free, "the right is over")
        await records.settle(TOKEN, RECORD, Refused("late", "too late"), by="dead", kept_ms=A_MINUTE_MS)
        assert await records.find(TOKEN) == Found(RECORD, None)

    async def test_a_verdict_is_told_for_its_time_and_is_the_last_word(self, records: LeaseRecords) -> None:
        await records.keep(TOKEN, RECORD, for_ms=A_MINUTE_MS)
        assert await self._take(records, "this")
        await records.settle(TOKEN, RECORD, Refused("bad_result", "磨"), by="this", kept_ms=A_MINUTE_MS)
        await records.settle(TOKEN, RECORD, Recorded(), by="this", kept_ms=A_MINUTE_MS)
        assert not await self._take(records, "this")
        assert not await records.renew(TOKEN, for_ms=A_MINUTE_MS)
        assert not await records.keep(TOKEN, RECORD, for_ms=20)
        assert await records.find(TOKEN) == Found(RECORD, Refused("bad_result", "磨"))
        assert await records.left_ms(TOKEN) > 20

    async def test_a_lost_record_is_made_anew_by_whoever_ends_the_lease(self, records: LeaseRecords) -> None:
        assert await self._take(records, "this")
        assert await records.find(TOKEN) == Found(RECORD, None)
        other = token_for(2, "lost too")
        await records.settle(other, RECORD, Recorded(), by="this", kept_ms=A_MINUTE_MS)
        assert await records.find(other) == Found(RECORD, Recorded())

    async def test_whoever_gave_it_follows_what_was_answered_elsewhere(self, records: LeaseRecords) -> None:
        assert not await records.follow(TOKEN), "there is no such lease"
        await records.keep(TOKEN, RECORD, for_ms=A_MINUTE_MS)
        assert not await records.follow(TOKEN), "nothing was answered"
        await records.settle(TOKEN, RECORD, Recorded(), by="another", kept_ms=A_MINUTE_MS)
        assert await records.follow(TOKEN)
        assert await records.follow(TOKEN), "a call that is repeated"
        assert await records.find(TOKEN) == Found(RECORD, Recorded(), is_followed=True)
        assert await records.left_ms(TOKEN) > 20

    async def test_what_is_lost_leaves_nothing(self, records: LeaseRecords) -> None:
        await records.keep(TOKEN, RECORD, for_ms=A_MINUTE_MS)
        await records.settle(TOKEN, RECORD, Lost(), by="this", kept_ms=A_MINUTE_MS)
        assert await records.find(TOKEN) is None

    async def _take(self, records: LeaseRecords, by: str) -> bool:
        return await records.take(TOKEN, RECORD, by=by, for_ms=A_MINUTE_MS, right_ms=A_MINUTE_MS)
