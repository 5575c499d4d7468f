"""What must hold once the faults have stopped and some virtual time has passed."""

import asyncio
from typing import Final

from domain.document import Erased, Failed, Open, Removed, Skipped, Unknown, record_of
from domain.task import FinishedTask
from events.document import OnDuplicate
from events.ids import document_id
from projections.replay import rebuild
from projections.writer import LEASE_MS
from tests.generations import compare
from tests.simulation.clients import Clients
from tests.simulation.wire import at_once
from tests.simulation.world import PARTITIONS, World

CONVERGED_S: Final = 120.0
"""Sixty leases, and more than the longest wait of any retry policy in the simulation."""

LOOK_EVERY_S: Final = 0.5


async def converge(world: World) -> float:
    """Seconds until nothing is left to do. Raises AssertionError after CONVERGED_S."""
    began_s = world.loop.time()
    while rest := what_is_left(world):
        passed_s = world.loop.time() - began_s
        assert passed_s < CONVERGED_S, f"after {CONVERGED_S:.0f} s without faults: " + "; ".join(rest[:6])
        await asyncio.sleep(LOOK_EVERY_S)
    return world.loop.time() - began_s


def what_is_left(world: World) -> list[str]:
    """Everything that still waits."""
    rest = [
        f"{name} is {type(state).__name__}"
        for name, state in world.checks.documents.items()
        if isinstance(state, Open | Removed)
    ]
    rest += [
        f"{name} is {type(state).__name__}"
        for name, state in world.checks.tasks.items()
        if not isinstance(state, FinishedTask)
    ]
    rest += [f"{process} is at work" for process in world.rebuilds]
    for number, partition in enumerate(world.log.store.partitions):
        for (step, lane), inbox in partition.inboxes.items():
            if inbox.entries:
                rest.append(
                    f"inbox {step} {lane}: {len(inbox.waiting)} waiting, pending {sorted(inbox.pending.items())}"
                )
        rest += [f"a timer of partition {number}" for _ in partition.due]
        head = at_once(world.log.head(number))
        stands = at_once(world.views.checkpoint(number))
        if head.number != stands.number:
            rest.append(f"views of partition {number} stand at {stands.number} of {head.number}")
    return rest


async def judge(world: World, clients: Clients) -> None:
    """Raises AssertionError."""
    for name, state in world.checks.documents.items():
        world.rows.has_ended(name, state)
    _every_answer_was_kept(world, clients)
    for number, partition in enumerate(world.log.store.partitions):
        assert not partition.tallies, f"tallies are left: {partition.tallies}"
        failed = {
            name
            for name, state in world.checks.documents.items()
            if isinstance(state, Failed) and name in partition.streams
        }
        assert set(partition.dead) == failed, f"dead letters of partition {number} are not those that failed"
    await _views_equal_a_rebuild(world)


def _every_answer_was_kept(world: World, clients: Clients) -> None:
    for key, answers in clients.answers.items():
        tasks = {one.task_id for one in answers}
        assert len(tasks) <= 1, f"{key} led to {tasks}"
    for task, upload in clients.uploads.items():
        members = world.checks.members.get(task, {})
        accepted = [document_id(task, ordinal) for ordinal in range(len(upload.files))]
        assert set(members) == set(accepted), f"{task} was accepted with {accepted} and has {set(members)}"
        for name, data in zip(accepted, upload.files, strict=True):
            state = world.checks.documents[name]
            assert not isinstance(state, Unknown)
            if isinstance(state, Skipped):
                assert upload.options.on_duplicate is not OnDuplicate.KEEP
                assert _bytes_of(clients, state.duplicate_of) == data, f"{name} was skipped for something else"
            elif not isinstance(state, Removed | Erased) and record_of(state).about.source_blob:
                kept = at_once(world.blobs.get(record_of(state).about.source_blob))
                assert kept == data, f"{name} is not what was uploaded"


def _bytes_of(clients: Clients, document: str) -> bytes | None:
    """What was uploaded as a document; None where nobody knows, as its client was never answered."""
    for task, upload in clients.uploads.items():
        for ordinal, data in enumerate(upload.files):
            if document_id(task, ordinal) == document:
                return data
    return None


async def _views_equal_a_rebuild(world: World) -> None:
    await asyncio.sleep(2 * LEASE_MS / 1_000)  # of a rebuild that was killed
    for partition in range(PARTITIONS):
        live = at_once(world.views.live_generation(partition))
        await rebuild(world.log, world.views, partition, holder="judge", drops_old=False)
        differences = await compare(world.views, partition, live, live + 1)
        assert not differences, f"a rebuild leads to something else: {differences[:3]}"
