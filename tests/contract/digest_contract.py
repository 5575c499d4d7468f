"""What every log must do with digest claims. A test file per implementation subclasses this and provides `world`."""

import asyncio

import pytest
from msgspec.structs import replace

from events.digests import CLAIMS_A_DIGEST_MAX, DigestChange, DigestClaim, DigestKey, Move, digest_of
from events.envelope import Event
from events.errors import InvalidAppend
from events.ids import DocumentId, KnowledgeBaseId, pack_stream_id
from events.inbox import InboxDepth
from events.log import Appended, Conflict, Taken, Tally, Write
from events.steps import Step
from tests.contract.derived_contract import DerivedWorld
from tests.contract.log_world import inbox_key
from tests.event_samples import accepted, indexed, new_document, new_knowledge_base, new_task, write

KB = new_knowledge_base()
TASK = new_task()
SHA = "0123456789abcdef" * 4
OTHER_SHA = "fedcba9876543210" * 4
NOBODY = DigestClaim(SHA, None)


def claiming(
    document: DocumentId,
    move: Move = Move.LAST,
    *claims: DigestClaim,
    sha256: str = SHA,
    at: int = 0,
    knowledge_base: KnowledgeBaseId = KB,
) -> Write:
    event: Event = accepted(TASK, knowledge_base) if at == 0 else indexed()
    opens = (Tally(open_documents=1),) if at == 0 else ()
    plain = write(document, at, event, knowledge_base=knowledge_base, task=TASK, tally=opens)
    return replace(plain, digests=(DigestChange(sha256, move),), claims=claims)


async def append(world: DerivedWorld, *writes: Write) -> None:
    assert isinstance(await world.log.append(writes), Appended)


async def claimed(world: DerivedWorld, sha256: str = SHA, knowledge_base: KnowledgeBaseId = KB) -> list[DocumentId]:
    """The documents that claim a digest, the holder first."""
    found = (await world.derived.claims(0, [DigestKey(knowledge_base, digest_of(sha256))])).claims[0]
    assert (await world.derived.digests(knowledge_base)).get(digest_of(sha256), ()) == found
    names = {pack_stream_id(name): name for name in KNOWN}
    return [names[one] for one in found]


KNOWN: list[DocumentId] = []


def documents(count: int) -> list[DocumentId]:
    new = [new_document() for _ in range(count)]
    KNOWN.extend(new)
    return new


class DigestContract:
    """Needs the fixture `world`: an empty log and what follows from it."""

    async def test_the_first_that_claims_a_digest_holds_it_until_it_lets_go(self, world: DerivedWorld) -> None:
        first, second, third = documents(3)
        for one in (first, second, third):
            await append(world, claiming(one))
        assert await claimed(world) == [first, second, third]
        await append(world, claiming(second, Move.RELEASE, at=1))
        assert await claimed(world) == [first, third]
        await append(world, claiming(first, Move.RELEASE, at=1))
        assert await claimed(world) == [third]
        await append(world, claiming(third, Move.RELEASE, at=1))
        assert await claimed(world) == []
        assert await world.derived.digests(KB) == {}

    async def test_what_comes_in_ahead_holds_it_and_gives_it_back(self, world: DerivedWorld) -> None:
        old, new = documents(2)
        await append(world, claiming(old))
        await append(world, claiming(new, Move.FIRST, DigestClaim(SHA, old)))
        assert await claimed(world) == [new, old]
        await append(world, claiming(new, Move.RELEASE, at=1))
        assert await claimed(world) == [old]

    async def test_a_digest_that_somebody_holds_is_told_and_nothing_is_written(self, world: DerivedWorld) -> None:
        holder, late = documents(2)
        await append(world, claiming(holder, Move.LAST, NOBODY))
        assert await world.log.append([claiming(late, Move.LAST, NOBODY)]) == Taken((DigestClaim(SHA, holder),))
        other = documents(1)[0]
        wrong = claiming(late, Move.FIRST, DigestClaim(SHA, other))
        assert await world.log.append([wrong]) == Taken((DigestClaim(SHA, holder),))
        assert await claimed(world) == [holder]
        assert await world.log.versions([late]) == [0]
        assert len(await world.log.read(0)) == 1
        assert await world.log.tally(TASK) == Tally(open_documents=1)
        assert (await world.inbox.depth(inbox_key(Step.PARSE))).waiting == 1

    async def test_a_holder_that_let_go_is_told_as_nobody(self, world: DerivedWorld) -> None:
        holder, late = documents(2)
        await append(world, claiming(holder))
        await append(world, claiming(holder, Move.RELEASE, at=1))
        skipped = replace(claiming(late), digests=(), claims=(DigestClaim(SHA, holder),))
        assert await world.log.append([skipped]) == Taken((NOBODY,))

    async def test_a_decision_may_rest_on_a_digest_without_claiming_it(self, world: DerivedWorld) -> None:
        holder, skipped = documents(2)
        await append(world, claiming(holder))
        await append(world, replace(claiming(skipped), digests=(), claims=(DigestClaim(SHA, holder),)))
        assert await claimed(world) == [holder]

    async def test_every_digest_that_is_held_by_others_is_told_at_once(self, world: DerivedWorld) -> None:
        one, other, late, later, free = documents(5)
        await append(world, claiming(one), claiming(other, sha256=OTHER_SHA))
        answer = await world.log.append(
            [
                claiming(late, Move.LAST, NOBODY),
                claiming(free, Move.LAST, DigestClaim("77" * 32, None), sha256="77" * 32),
                claiming(later, Move.LAST, DigestClaim(OTHER_SHA, None), sha256=OTHER_SHA),
            ]
        )
        assert answer == Taken((DigestClaim(SHA, one), DigestClaim(OTHER_SHA, other)))
        assert await claimed(world, "77" * 32) == []

    async def test_the_documents_of_one_append_claim_in_its_order(self, world: DerivedWorld) -> None:
        first, second, ahead = documents(3)
        await append(world, claiming(first, Move.LAST, NOBODY), claiming(second), claiming(ahead, Move.FIRST))
        assert await claimed(world) == [ahead, first, second]

    async def test_another_knowledge_base_has_digests_of_its_own(self, world: DerivedWorld) -> None:
        here, there = documents(2)
        elsewhere = new_knowledge_base()
        await append(world, claiming(here, Move.LAST, NOBODY))
        await append(world, claiming(there, Move.LAST, NOBODY, knowledge_base=elsewhere))
        assert await claimed(world) == [here]
        assert await claimed(world, knowledge_base=elsewhere) == [there]

    async def test_a_repeated_append_answers_as_the_first_time_whoever_holds_the_digest_now(
        self, world: DerivedWorld
    ) -> None:
        document, ahead = documents(2)
        wanted = claiming(document, Move.LAST, NOBODY)
        await append(world, wanted)
        answer = await world.log.append([wanted])
        assert isinstance(answer, Appended)
        assert answer.is_repeat
        await append(world, claiming(ahead, Move.FIRST))
        assert await world.log.append([wanted]) == answer
        assert await claimed(world) == [ahead, document]

    async def test_versions_are_compared_before_digests(self, world: DerivedWorld) -> None:
        (holder,) = documents(1)
        await append(world, claiming(holder))
        assert await world.log.append([claiming(holder, Move.LAST, NOBODY)]) == Conflict(holder, 1)

    async def test_a_digest_that_is_taken_acknowledges_nothing(self, world: DerivedWorld) -> None:
        holder, late = documents(2)
        await append(world, claiming(holder))
        (delivery,) = await world.inbox.take([inbox_key(Step.PARSE)], consumer="c", count=1)
        answer = await world.log.append([claiming(late, Move.LAST, NOBODY)], acknowledge=delivery)
        assert isinstance(answer, Taken)
        assert await world.inbox.depth(inbox_key(Step.PARSE)) == InboxDepth(waiting=0, pending=1)
        skips = replace(claiming(late), digests=(), claims=(DigestClaim(SHA, holder),))
        assert isinstance(await world.log.append([skips], acknowledge=delivery), Appended)
        assert (await world.inbox.depth(inbox_key(Step.PARSE))).pending == 0

    async def test_of_many_writers_of_the_same_bytes_exactly_one_succeeds(self, world: DerivedWorld) -> None:
        racing = documents(50)
        answers = await asyncio.gather(*(world.log.append([claiming(one, Move.LAST, NOBODY)]) for one in racing))
        (winner,) = [one for one, answer in zip(racing, answers, strict=True) if isinstance(answer, Appended)]
        assert answers.count(Taken((DigestClaim(SHA, winner),))) == 49
        assert await claimed(world) == [winner]

    async def test_of_very_many_copies_the_later_ones_are_not_remembered(self, world: DerivedWorld) -> None:
        copies = documents(CLAIMS_A_DIGEST_MAX + 2)
        ahead = documents(1)[0]
        await append(world, *(claiming(one) for one in copies))
        assert await claimed(world) == copies[:CLAIMS_A_DIGEST_MAX]
        await append(world, claiming(ahead, Move.FIRST))
        assert await claimed(world) == [ahead, *copies[: CLAIMS_A_DIGEST_MAX - 1]]
        await append(world, claiming(copies[-1], Move.RELEASE, at=1))
        assert await claimed(world) == [ahead, *copies[: CLAIMS_A_DIGEST_MAX - 1]]

    async def test_a_claim_again_leaves_the_order_or_comes_ahead(self, world: DerivedWorld) -> None:
        first, second = documents(2)
        await append(world, claiming(first), claiming(second))
        await append(world, claiming(first, Move.LAST, at=1))
        assert await claimed(world) == [first, second]
        await append(world, claiming(second, Move.FIRST, at=1))
        assert await claimed(world) == [second, first]

    async def test_what_contradicts_itself_is_refused(self, world: DerivedWorld) -> None:
        one, other = documents(2)
        for writes in (
            [claiming(one, Move.LAST, NOBODY), claiming(other, Move.LAST, DigestClaim(SHA, one))],
            [claiming(one, sha256="no digest")],
            [claiming(one, sha256="ab" * 31)],
            [claiming(one), replace(claiming(other), envelopes=(), tally=())],
        ):
            with pytest.raises(InvalidAppend):
                await world.log.append(writes)
        assert await world.log.read(0) == []

    async def test_claims_are_set_as_long_as_the_log_stands_still(self, world: DerivedWorld) -> None:
        one, other = documents(2)
        await append(world, claiming(one), claiming(other))
        await world.lose_everything_derived()
        assert await claimed(world) == []
        key, right = DigestKey(KB, digest_of(SHA)), (pack_stream_id(other), pack_stream_id(one))
        assert not await world.derived.set_claims(0, 1, {key: right})
        assert (await world.derived.claims(0, [key])).claims == ((),)
        assert await world.derived.set_claims(0, 2, {key: right})
        assert (await world.derived.claims(0, [key])).number == 2
        assert await claimed(world) == [other, one]
        assert await world.derived.set_claims(0, 2, {key: ()})
        assert await world.derived.digests(KB) == {}
