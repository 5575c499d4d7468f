"""What a commit writes: an event of a task with 10,000 files costs what one of a task with a single file costs."""

from events.document import StepStarted
from events.envelope import Envelope
from events.ids import document_id
from events.steps import Step
from events.task import TaskSubmitted
from projections.rows import encode_row
from tests.event_samples import accepted, envelope, new_knowledge_base, new_task
from tests.projecting import Rows


class Cost:
    """Rows, members of lists and bytes that a page of the log leads to."""

    def __init__(self, files: int) -> None:
        self.rows = Rows()
        knowledge_base, self.task = new_knowledge_base(), new_task()
        submitted = TaskSubmitted(knowledge_base_id=knowledge_base, documents=files)
        page: list[Envelope] = [envelope(self.task, 1, submitted, task=self.task)]
        self.documents = [document_id(self.task, ordinal) for ordinal in range(files)]
        page += (envelope(one, 1, accepted(self.task, knowledge_base), task=self.task) for one in self.documents)
        self.rows.fold(page)

    def of_an_event(self) -> tuple[int, int, int]:
        started = StepStarted(step=Step.PARSE, attempt=1, worker="w1")
        folding = self.rows.fold([envelope(self.documents[-1], 2, started, task=self.task)])
        members = sum(len(change.added) + len(change.removed) for change in folding.indexes)
        written = sum(len(encode_row(row)) for row in folding.rows.values())
        return len(folding.rows), members, written


def test_an_event_of_a_large_task_writes_what_one_of_a_small_task_writes() -> None:
    small, large = Cost(1).of_an_event(), Cost(10_000).of_an_event()
    assert large[:2] == small[:2]
    assert large[0] == 5, "the document, its task, its knowledge base, the minute, what there ever was"
    assert large[2] - small[2] <= 20, "nothing but the digits of larger counts"
