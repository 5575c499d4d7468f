"""What every Replies must do. A test file per implementation subclasses this and provides the fixture `replies`."""

import asyncio

from ingest.replies import Begun, OtherRequest, Replies, Reply, Underway
from tests.waiting import wait_for

A_MINUTE_MS = 60_000
REPLY = Reply(202, ((b"location", b"/api/v1/tasks/t"), (b"content-type", b"application/json")), "{石磨}".encode())


class RepliesContract:
    """Needs the fixture `replies`: nothing was asked yet."""

    async def test_a_request_is_begun_once_and_answered_again(self, replies: Replies) -> None:
        assert await replies.begin("n", "f", token="a", lease_ms=A_MINUTE_MS) == Begun()
        assert await replies.begin("n", "f", token="b", lease_ms=A_MINUTE_MS) == Underway()
        assert await replies.finish("n", token="a", reply=REPLY, kept_ms=A_MINUTE_MS)
        for _ in range(2):
            assert await replies.begin("n", "f", token="c", lease_ms=A_MINUTE_MS) == REPLY

    async def test_another_request_under_the_same_name_is_told_apart(self, replies: Replies) -> None:
        await replies.begin("n", "f", token="a", lease_ms=A_MINUTE_MS)
        assert await replies.begin("n", "g", token="b", lease_ms=A_MINUTE_MS) == OtherRequest()
        await replies.finish("n", token="a", reply=REPLY, kept_ms=A_MINUTE_MS)
        assert await replies.begin("n", "g", token="b", lease_ms=A_MINUTE_MS) == OtherRequest()
        assert await replies.begin("m", "g", token="b", lease_ms=A_MINUTE_MS) == Begun()

    async def test_of_many_at_once_one_begins(self, replies: Replies) -> None:
        answers = await asyncio.gather(
            *(replies.begin("n", "f", token=str(n), lease_ms=A_MINUTE_MS) for n in range(20))
        )
        assert answers.count(Begun()) == 1
        assert answers.count(Underway()) == 19

    async def test_what_was_forgotten_may_be_made_anew_with_another_body(self, replies: Replies) -> None:
        await replies.begin("n", "f", token="a", lease_ms=A_MINUTE_MS)
        await replies.forget("n", token="b")
        assert await replies.begin("n", "f", token="c", lease_ms=A_MINUTE_MS) == Underway()
        await replies.forget("n", token="a")
        assert await replies.begin("n", "g", token="c", lease_ms=A_MINUTE_MS) == Begun()

    async def test_whoever_died_at_it_is_not_waited_for_longer_than_its_lease(self, replies: Replies) -> None:
        await replies.begin("n", "f", token="a", lease_ms=20)

        async def is_free() -> bool:
            return await replies.begin("n", "f", token="b", lease_ms=A_MINUTE_MS) == Begun()

        await wait_for(is_free, "the lease is over")
        assert not await replies.finish("n", token="a", reply=REPLY, kept_ms=A_MINUTE_MS)
        await replies.forget("n", token="a")
        assert await replies.begin("n", "f", token="c", lease_ms=A_MINUTE_MS) == Underway()
        assert await replies.finish("n", token="b", reply=REPLY, kept_ms=A_MINUTE_MS)

    async def test_an_answer_is_kept_for_its_time(self, replies: Replies) -> None:
        assert await replies.begin("n", "f", token="a", lease_ms=A_MINUTE_MS) == Begun()
        assert await replies.finish("n", token="a", reply=REPLY, kept_ms=20)

        async def is_new() -> bool:
            return await replies.begin("n", "g", token="b", lease_ms=A_MINUTE_MS) == Begun()

        await wait_for(is_new, "the answer is gone")
