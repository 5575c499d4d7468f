"""What the log says is still to be done is what its appends have put into inboxes, timers, dead letters and tallies."""

from collections.abc import Sequence
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from domain import commands as c
from domain.decider import Folded, fold, run
from domain.deciders import DOCUMENT, TASK
from domain.document import Removed, Running, Unknown, awaited_step
from domain.errors import Refused
from domain.handle import Context, handle, load
from events import ids
from events.derived import ClaimsAt, Errand
from events.digests import DigestKey
from events.envelope import Envelope
from events.ids import EventId, partition_of
from events.memory import MemoryLog
from events.memory_derived import MemoryDerived
from events.memory_store import PartitionState
from events.routing import ToInbox, ToInboxAt, route
from events.steps import Step
from projections.followed_document import CALLING, REVISING
from projections.outstanding import MERELY_GO_ON, Outstanding
from projections.rederive import Kind, Rederived, rederive
from projections.rows import encode_row
from tests.commands_by_state import Tape, document_command
from tests.examples import examples
from tests.histories import History, document_histories
from tests.projecting import Rows, pages_of
from tests.strategies import DOCUMENTS, KNOWLEDGE_BASE, PARTITIONS, TASKS
from tests.workshop import Workshop

PARTITION = partition_of(KNOWLEDGE_BASE)
NOW_MS = 1_000
GRACE_MS = 5


class World:
    """A log that nobody takes deliveries from: whatever an append put is still there."""

    def __init__(self) -> None:
        self.log = MemoryLog(partitions=PARTITIONS, clock_us=lambda: NOW_MS * 1_000)
        self.derived = MemoryDerived(self.log)
        ticks = count(1)
        self.context = Context(
            clock_us=lambda: next(ticks) * 1_000,
            new_event_id=lambda: EventId(ids.uuid7_hex(1_000, next(ticks).to_bytes(10))),
            correlation_id=TASKS[0],
        )

    @property
    def state(self) -> PartitionState:
        return self.log.store.partition(PARTITION)

    async def say(self, document: ids.DocumentId, tape: Tape) -> None:
        known = await load(self.log, DOCUMENT, document)
        try:
            await handle(self.log, DOCUMENT, document, [document_command(known.state, tape)], self.context)
        except Refused:
            return

    async def finish(self, task: ids.TaskId) -> None:
        try:
            command = c.FinishTask(tally=await self.log.tally(task))
            await handle(self.log, TASK, task, [command], self.context)
        except Refused:
            return

    async def live(self, choices: bytes) -> None:
        """Some minutes in the life of a knowledge base."""
        submit = c.SubmitTask(knowledge_base_id=KNOWLEDGE_BASE, documents=2)
        for task in TASKS[:3]:
            await handle(self.log, TASK, task, [submit], self.context)
        tape = Tape(choices)
        while choices:
            part, choices = choices[:8], choices[8:]
            if tape.once_in(8):
                await self.finish(TASKS[tape.number(3)])
            else:
                await self.say(DOCUMENTS[tape.number(3)], Tape(part))

    def lose(self) -> None:
        self.state.inboxes.clear()
        self.state.due.clear()
        self.state.dead.clear()
        self.state.tallies.clear()
        self.state.digests.clear()

    async def rederive(self, *, repairs: bool = True) -> Rederived:
        return await rederive(
            self.log,
            self.derived,
            PARTITION,
            list(Kind),
            clock_ms=lambda: NOW_MS,
            grace_ms=GRACE_MS,
            repairs=repairs,
        )


@settings(max_examples=examples(40))
@given(st.binary(min_size=200, max_size=900))
async def test_what_was_lost_is_put_as_the_appends_had_put_it(choices: bytes) -> None:
    world = World()
    await world.live(choices)
    before = await world.derived.errands(PARTITION)
    dead, tallies, digests = dict(world.state.dead), dict(world.state.tallies), dict(world.state.digests)
    assert (await world.rederive(repairs=False)).differences == (), "nothing was lost yet"

    world.lose()
    await world.rederive()

    after = await world.derived.errands(PARTITION)
    assert after <= before
    assert (world.state.dead, world.state.tallies, world.state.digests) == (dead, tallies, digests)
    wanted = set()
    for document in DOCUMENTS:
        state = fold(DOCUMENT, await world.log.history(document)).state
        step = Step.ERASE if isinstance(state, Removed) else awaited_step(state)
        wanted |= {(step, document)} if step else set()
    assert {(one.step, one.stream_id) for one in after if one.step is not Step.FINISH} == wanted
    assert (await world.rederive()).differences == (), "all of it is there now"


@settings(max_examples=examples(40))
@given(st.binary(min_size=200, max_size=900), st.lists(st.integers(0, 200), max_size=6), st.data())
async def test_what_is_outstanding_does_not_depend_on_pages_or_on_who_folded_them(
    choices: bytes, cuts: list[int], data: st.DataObject
) -> None:
    world = World()
    await world.live(choices)
    facts = [one for one in await world.log.read(PARTITION, limit=10_000) if isinstance(one, Envelope)]
    one_by_one, in_pages, rows = Outstanding(), Outstanding(), Rows()
    for fact in facts:
        one_by_one.follow([fact])
    for page in pages_of(facts, cuts):
        folding = rows.fold(page)
        in_pages.follow(page, folding.documents if data.draw(st.booleans()) else None)
        if data.draw(st.booleans()):
            in_pages.keep(folding.rows, {key: encode_row(row) for key, row in folding.rows.items()})

    assert _told(in_pages) == _told(one_by_one)


@given(document_histories())
def test_facts_that_merely_go_on_change_neither_tally_nor_claims(history: History) -> None:
    went = run(DOCUMENT.evolve, Folded(DOCUMENT.initial), history)
    for fact, before, after in zip(went.envelopes, went.states, went.states[1:], strict=False):
        if type(fact.event) in MERELY_GO_ON:
            assert (DOCUMENT.tally(before, after), DOCUMENT.digests(before, after)) == ((), ())
            assert (type(before) in {Unknown, Removed}, type(after) in {Unknown, Removed}) == (False, False)


@given(document_histories())
def test_the_facts_that_lead_to_a_step_are_those_that_are_routed_to_one(history: History) -> None:
    for fact in history:
        steps = {found.step for found in route(fact.event) if isinstance(found, ToInbox | ToInboxAt)}
        assert (type(fact.event) in CALLING) == bool(steps - {Step.REVISE})
        assert Step.REVISE not in steps or type(fact.event) in REVISING


def _told(outstanding: Outstanding) -> tuple[object, ...]:
    """All that is ever asked of it, in no order."""
    return (
        outstanding.tallies(),
        sorted(map(repr, outstanding.owed(NOW_MS, GRACE_MS))),
        outstanding.ends(),
        outstanding.dead_letters(),
        {document: outstanding.dead_letter_change(document) for document in DOCUMENTS},
        {base: outstanding.claims(base) for base in outstanding.knowledge_bases()},
        (outstanding.refused, outstanding.newer),
    )


async def test_what_a_worker_is_at_is_due_when_it_has_had_time_to_end() -> None:
    world = World()
    workshop = Workshop(world.log)
    knowledge_base = await workshop.create(partition=PARTITION)
    _, (running, waiting) = await workshop.submit(knowledge_base, 2)
    await workshop.start(running)
    world.lose()
    await world.rederive()
    assert isinstance((await load(world.log, DOCUMENT, running)).state.activity, Running)  # type: ignore[union-attr]
    assert list(world.state.due.values()) == [NOW_MS + GRACE_MS]
    assert await world.derived.errands(PARTITION) == {Errand(Step.PARSE, one, 1) for one in (running, waiting)}


async def test_a_task_whose_documents_have_ended_is_finished_though_its_tally_was_lost() -> None:
    world = World()
    workshop = Workshop(world.log)
    knowledge_base = await workshop.create(partition=PARTITION)
    task, (document,) = await workshop.submit(knowledge_base)
    await workshop.complete(document)
    world.state.tallies.clear()
    found = await world.rederive()
    assert sorted(one.name.split("/")[0] for one in found.differences) == ["inboxes", "tallies"]
    await workshop.finish(task)
    assert TASK.decide(c.FinishTask(tally=await world.log.tally(task)), (await load(world.log, TASK, task)).state) == ()


async def test_the_erasing_of_a_knowledge_base_is_put_again_and_missed_only_while_documents_are_left() -> None:
    world = World()
    workshop = Workshop(world.log)
    knowledge_base = await workshop.create(partition=PARTITION)
    _, (document,) = await workshop.through(knowledge_base)
    await workshop.tell(knowledge_base, c.DeleteKnowledgeBase(reason=""))
    world.state.inboxes.clear()
    assert [one.name for one in (await world.rederive(repairs=False)).differences] == [
        f"inboxes/erase/{knowledge_base}"
    ]
    await workshop.work(document, c.RemoveDocument(reason=""))
    await workshop.work(document, c.RecordErased(rows_left=0, blobs_left=0))
    world.lose()
    assert (await world.rederive(repairs=False)).differences == ()
    assert len((await world.rederive()).differences) == 1


async def test_pointers_and_tallies_alone() -> None:
    world = World()
    workshop = Workshop(world.log)
    knowledge_base = await workshop.create(partition=PARTITION)
    await workshop.submit(knowledge_base)
    world.lose()
    only = [Kind.INBOXES]
    await rederive(world.log, world.derived, PARTITION, only, clock_ms=lambda: NOW_MS)
    assert len(await world.derived.errands(PARTITION)) == 1
    assert world.state.tallies == {}
    await rederive(world.log, world.derived, PARTITION, [Kind.TALLIES], clock_ms=lambda: NOW_MS)
    assert len(world.state.tallies) == 1


async def test_claims_that_are_wrong_are_named_and_put_right() -> None:
    world = World()
    workshop = Workshop(world.log)
    knowledge_base = await workshop.create(partition=PARTITION)
    _, (first, second) = await workshop.submit(knowledge_base, 2)
    (key,) = world.state.digests
    right = world.state.digests[key]
    gone = DigestKey(knowledge_base, bytes(16))
    world.state.digests[key] = right[::-1]
    world.state.digests[gone] = right[:1]
    wanted = [
        (f"digests/{knowledge_base}/{gone.digest.hex()}", [first], []),
        (f"digests/{knowledge_base}/{key.digest.hex()}", [second, first], [first, second]),
    ]
    found = await world.rederive(repairs=False)
    assert [(one.name, one.one, one.other) for one in found.differences] == wanted
    assert (await world.rederive()).differences == found.differences
    assert world.state.digests == {key: right}
    assert (await world.rederive()).differences == ()


async def test_claims_that_change_while_they_are_compared_are_worked_out_again() -> None:
    world = World()
    workshop = Workshop(world.log)
    knowledge_base = await workshop.create(partition=PARTITION)
    _, (first,) = await workshop.submit(knowledge_base)
    world.lose()
    claims, late = world.derived.claims, list[str]()

    async def and_somebody_uploads(partition: int, digests: Sequence[DigestKey]) -> ClaimsAt:
        found = await claims(partition, digests)
        if not late:
            late.extend((await workshop.submit(knowledge_base))[1])
        return found

    world.derived.claims = and_somebody_uploads  # type: ignore[method-assign]
    await world.rederive()
    assert list(world.state.digests.values()) == [(ids.pack_stream_id(first), ids.pack_stream_id(late[0]))]
