"""How often each step of a document was begun, and when: what facts make of its stages."""

from msgspec.structs import replace

from domain.document import STEPS_IN_ORDER, DocumentState, Record, Stage, is_recorded, record_of
from events import document as facts
from events.steps import Step


def started(record: Record, event: facts.StepStarted, at_us: int) -> Record:
    """An attempt began: of the first since the step was asked for, its time is kept."""
    known = _stage_of(record, event.step)
    attempts_forgiven = known.forgiven if known else 0
    is_first = known is None or known.attempts == attempts_forgiven
    started_at_us = at_us if known is None or is_first else known.started_at_us
    return _with_stage(record, Stage(event.step, event.attempt, started_at_us, None, attempts_forgiven))


def finished(record: Record, step: Step, at_us: int) -> Record:
    """The step is done."""
    known = _stage_of(record, step)
    if known is None:
        return _with_stage(record, Stage(step, 0, at_us, at_us))
    return _with_stage(record, Stage(step, known.attempts, known.started_at_us, at_us, known.forgiven))


def forgiven(stages: tuple[Stage, ...], from_step: Step) -> tuple[Stage, ...]:
    """The stages of a document that begins again there: what was tried until now is not held against it."""
    first = STEPS_IN_ORDER.index(from_step)
    return tuple(
        replace(stage, forgiven=stage.attempts, finished_at_us=None)
        if STEPS_IN_ORDER.index(stage.step) >= first
        else stage
        for stage in stages
    )


def attempts_at(state: DocumentState, step: Step) -> int:
    """How often the step was begun, ever; the next attempt is one more."""
    stage = stage_at(state, step)
    return stage.attempts if stage else 0


def counted_attempts_at(state: DocumentState, step: Step) -> int:
    """How often the step was begun since the last reprocessing request: what a retry policy counts."""
    stage = stage_at(state, step)
    return stage.attempts - stage.forgiven if stage else 0


def stage_at(state: DocumentState, step: Step) -> Stage | None:
    """A step's stage, None before its first attempt."""
    if not is_recorded(state):
        return None
    return next((stage for stage in record_of(state).stages if stage.step == step), None)


def _stage_of(record: Record, step: Step) -> Stage | None:
    for stage in record.stages:
        if stage.step is step:
            return stage
    return None


def _with_stage(record: Record, stage: Stage) -> Record:
    """Stages lie in the order of the steps. The one that is told of is mostly the last, or a new one behind it."""
    stages = record.stages
    if stages and stages[-1].step is stage.step:
        return replace(record, stages=(*stages[:-1], stage))
    place = STEPS_IN_ORDER.index(stage.step)
    before = len(stages)
    while before and STEPS_IN_ORDER.index(stages[before - 1].step) >= place:
        before -= 1
    behind = before + 1 if before < len(stages) and stages[before].step is stage.step else before
    return replace(record, stages=(*stages[:before], stage, *stages[behind:]))
