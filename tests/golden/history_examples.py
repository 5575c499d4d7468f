"""A log as a release wrote it, and what it told then: whatever comes later has to tell the same of it.

    python -m tests.golden.history_examples NAME

writes a new pair of files, named after a release; one that is there is never touched.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from domain import commands as c
from domain.deciders import TASK
from domain.handle import Request, handle_together
from events.codec import decode
from events.envelope import Envelope, Position
from events.memory import MemoryLog
from events.steps import Step
from projections.rows import status_of
from tests.projecting import Rows
from tests.workshop import FIRST_US, Workshop

DIRECTORY: Final = Path(__file__).parent / "histories"


def releases() -> list[str]:
    """Names of the logs that were kept."""
    return sorted(path.stem for path in DIRECTORY.glob("*.msgpack"))


def log_of(release: str) -> list[Envelope]:
    """The facts in the order of the log."""
    payloads = msgspec.msgpack.decode((DIRECTORY / f"{release}.msgpack").read_bytes(), type=list[bytes])
    return [
        decode(payload, position=Position(1, FIRST_US // 1_000, number), number=number)
        for number, payload in enumerate(payloads, start=1)
    ]


def told_of(release: str) -> dict[str, Any]:
    """Each status that a client saw at the end, by id."""
    told: dict[str, Any] = msgspec.json.decode((DIRECTORY / f"{release}.json").read_bytes())
    return told


def statuses(envelopes: list[Envelope]) -> dict[str, Any]:
    """The same, told by this program."""
    folded = Rows().fold_pages([envelopes])
    assert (folded.unknown, folded.refused, folded.unreadable) == (0, 0, 0)
    found = ((key.id, status_of(key.id, row)) for key, row in folded.rows.items())
    told: dict[str, Any] = msgspec.json.decode(msgspec.json.encode({name: one for name, one in sorted(found) if one}))
    return told


async def live(log: MemoryLog) -> None:
    """Something of everything: documents that end in each way and go again, tasks and bases around them."""
    workshop = Workshop(log)
    base = await workshop.create("手册")
    await workshop.through(base, 2)
    task, (failed, cancelled, removed, slow) = await workshop.submit(base, 4)
    await workshop.fail(failed)
    await workshop.work(cancelled, c.CancelDocument(reason="no longer wanted"))
    await workshop.parse(removed)
    await workshop.work(removed, c.RemoveDocument(reason="wrong file"), c.RecordErased(rows_left=0, blobs_left=0))
    await workshop.start(slow)
    late = c.FailStep(step=Step.PARSE, attempt=1, code="timeout", message="too slow", retry_at_us=FIRST_US)
    await workshop.work(slow, late)
    await workshop.start(slow, attempt=2)
    await workshop.work(slow, c.RecordParsed(attempt=2, text_blob="t", parser="plain", pages=1, characters=9))
    again = workshop.ids.task(base)
    submit = c.SubmitTask(knowledge_base_id=base, documents=1, document_ids=(failed,))
    retry = c.RequestReprocessing(from_step=None, reason="again", task_id=again)
    await handle_together(log, [Request(TASK, again, (submit,))], workshop.context(again))
    await workshop.work(failed, retry)
    await workshop.start(failed, attempt=2)
    await handle_together(log, [Request(TASK, task, (c.CancelTask(reason="enough"),))], workshop.context(task))
    await workshop.tell(base, c.ChangeKnowledgeBase(description="of the mill"), c.StartIndexGeneration(generation=2))
    await workshop.tell(base, c.ActivateIndexGeneration(generation=2))
    await workshop.tell(await workshop.create("gone"), c.DeleteKnowledgeBase(reason="done with it"))


def write(release: str) -> None:
    """Raises FileExistsError."""
    log = MemoryLog(partitions=1, clock_us=lambda: FIRST_US)
    asyncio.run(live(log))
    payloads = [entry.payload for entry in log.store.partitions[0].log]
    DIRECTORY.mkdir(exist_ok=True)
    with (DIRECTORY / f"{release}.msgpack").open("xb") as kept:
        kept.write(msgspec.msgpack.encode(payloads))
    told = msgspec.json.format(msgspec.json.encode(statuses(log_of(release))), indent=1)
    with (DIRECTORY / f"{release}.json").open("xb") as kept:
        kept.write(told + b"\n")


if __name__ == "__main__":
    write(sys.argv[1])
