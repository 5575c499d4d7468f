"""Only reporting is repeated, and a lost reply costs nothing."""

from collections.abc import Sequence

from msgspec.structs import replace

from domain.deciders import DOCUMENT
from domain.document import Parsed
from domain.handle import load
from events.errors import LogFull, LogUnavailable
from events.inbox import Delivery
from events.log import Appended, Conflict, Taken, Write
from events.memory import MemoryLog
from events.steps import Step
from processors.documents import DocumentDeliveries
from processors.knowledge_bases import KnowledgeBases
from processors.patience import PatientLog
from processors.workbench import Workbench
from tests.unit.processors.mill import Mill, Obedient, done


class UnsteadyLog(MemoryLog):
    """Answers no first call of an append: it is lost on the way there, refused, or lost on the way back."""

    def bind(self, log: MemoryLog) -> None:
        self.store = log.store
        self.appends = 0

    async def append(
        self, writes: Sequence[Write], *, acknowledge: Delivery | None = None
    ) -> Appended | Conflict | Taken:
        self.appends += 1
        match self.appends % 4:
            case 1:
                raise LogUnavailable("never arrived")
            case 2:
                raise LogFull("out of memory")
            case 3:
                await super().append(writes, acknowledge=acknowledge)
                raise LogUnavailable("the reply was lost")
            case _:
                return await super().append(writes, acknowledge=acknowledge)


async def test_each_fact_enters_once_and_the_work_is_done_once_however_often_replies_are_lost() -> None:
    mill = Mill()
    _, (document,) = await mill.submit()
    log = UnsteadyLog(partitions=2, clock_us=mill.clock)
    log.bind(mill.log)
    bench: Workbench = replace(mill.bench(), log=PatientLog(log, random=lambda: 0.001))
    processor = Obedient(done)
    deliveries = DocumentDeliveries(processor, bench, KnowledgeBases(log, clock_us=mill.clock))
    await deliveries.carry_out(await mill.take_one(Step.PARSE), 1)
    assert log.appends == 8
    assert len(processor.attempts) == 1
    assert processor.abandoned == []
    assert isinstance((await load(mill.log, DOCUMENT, document)).state, Parsed)
    assert len(await mill.log.history(document)) == 3
    assert (await mill.depth(Step.PARSE)).pending == 0
