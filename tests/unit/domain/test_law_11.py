"""Law 11, closure: evolve accepts every event that decide can emit, whatever was said before, in whatever order."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from domain import commands as c
from domain.counts import Counts, counts_of, task_of
from domain.decider import Decider, Folded, fold
from domain.deciders import DOCUMENT, TASK, knowledge_base_decider
from domain.document import DocumentState
from domain.errors import Refused
from domain.handle import prepare
from domain.task import FinishedTask, OpenTask
from events.codec import decode, encode
from events.envelope import Envelope
from events.ids import TaskId
from events.log import Tally
from tests.commands_by_state import (
    Tape,
    any_document_commands,
    document_command,
    knowledge_base_command,
    tapes,
    task_command,
)
from tests.examples import examples
from tests.histories import context_for
from tests.strategies import DOCUMENTS, KNOWLEDGE_BASE, TASKS

KNOWLEDGE_BASE_DECIDER = knowledge_base_decider(KNOWLEDGE_BASE)


class ClosureMachine(RuleBasedStateMachine):
    """Three documents, their task and their knowledge base, asked for anything at any time.

    `prepare` folds what was decided, so an event that evolve refuses ends the run with ImpossibleEvent.
    """

    def __init__(self) -> None:
        super().__init__()
        self.context = context_for(TASKS[0])
        self.documents: dict[str, Folded[DocumentState]] = {one: Folded(DOCUMENT.initial) for one in DOCUMENTS[:3]}
        self.task = Folded(TASK.initial)
        self.knowledge_base = Folded(KNOWLEDGE_BASE_DECIDER.initial)
        self.written: dict[str, list[Envelope]] = {}
        self.tallies: dict[TaskId, Counts] = {}

    @rule(tape=tapes(), stream=st.sampled_from(DOCUMENTS[:3]))
    def ask_a_document_for_what_fits(self, tape: Tape, stream: str) -> None:
        before = self.documents[stream]
        self.documents[stream] = self._say(DOCUMENT, stream, before, document_command(before.state, tape))

    @rule(command=any_document_commands(), stream=st.sampled_from(DOCUMENTS[:3]))
    def ask_a_document_for_anything(self, command: c.DocumentCommand, stream: str) -> None:
        self.documents[stream] = self._say(DOCUMENT, stream, self.documents[stream], command)

    @rule(tape=tapes())
    def ask_the_task(self, tape: Tape) -> None:
        self.task = self._say(TASK, TASKS[0], self.task, task_command(self.task.state, tape))

    @rule()
    def finish_the_task_by_its_tally(self) -> None:
        before, tally = self.task.state, self._tally()
        if not isinstance(before, OpenTask):
            return
        self.task = self._say(TASK, TASKS[0], self.task, c.FinishTask(tally=tally))
        ended = tally.succeeded + tally.failed + tally.cancelled + tally.skipped
        is_whole = tally.open_documents == 0 and ended == before.submitted.documents
        assert isinstance(self.task.state, FinishedTask) == is_whole

    @rule(tape=tapes())
    def ask_the_knowledge_base(self, tape: Tape) -> None:
        command = knowledge_base_command(self.knowledge_base.state, tape)
        self.knowledge_base = self._say(KNOWLEDGE_BASE_DECIDER, KNOWLEDGE_BASE, self.knowledge_base, command)

    @invariant()
    def what_was_written_folds_to_what_is_held(self) -> None:
        for stream, held in self.documents.items():
            stored = [decode(encode(envelope)) for envelope in self.written.get(stream, [])]
            assert fold(DOCUMENT, stored) == held

    def _say(self, decider: Decider[Any, Any], stream: str, before: Folded[Any], command: object) -> Folded[Any]:
        try:
            prepared = prepare(decider, stream, before, [command], self.context)
        except Refused:
            return before
        if prepared.write is not None:
            self.written.setdefault(stream, []).extend(prepared.write.envelopes)
        return prepared.after

    def _tally(self) -> Tally:
        mine = [folded.state for folded in self.documents.values() if task_of(folded.state) == TASKS[0]]
        total = sum((counts_of(state) for state in mine), Counts())
        return Tally(total.queued + total.processing, total.completed, total.failed, total.cancelled, total.skipped)


TestLaw11Closure = ClosureMachine.TestCase
TestLaw11Closure.settings = settings(max_examples=examples(40), stateful_step_count=40, deadline=None)
