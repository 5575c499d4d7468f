"""How often each step of a document was begun, and when: what facts make of its stages."""

from typing import Final, TypeGuard

from msgspec.structs import replace

from domain.document import NEXT_STEP, STEPS_IN_ORDER, DocumentState, Open, Record, Stage, is_recorded, record_of
from events import document as facts
from events.steps import Step

_PLACE: Final[dict[Step, int]] = {step: place for place, step in enumerate(STEPS_IN_ORDER)}


def awaits(state: DocumentState, step: Step) -> TypeGuard[Open]:
    """Whether it is on its way, and waits for that step or is in it."""
    return NEXT_STEP.get(type(state)) is step


def started(record: Record, event: facts.StepStarted, at_us: int) -> Record:
    """An attempt began: of the first since the step was asked for, its time is kept."""
    stages, step = record.stages, event.step
    if not stages or _PLACE[stages[-1].step] < _PLACE[step]:  # mostly: the first attempt at a step behind those before
        return replace(record, stages=(*stages, Stage(step, event.attempt, at_us)))
    known = _stage_of(record, step)
    attempts_forgiven = known.forgiven if known else 0
    is_first = known is None or known.attempts == attempts_forgiven
    started_at_us = at_us if known is None or is_first else known.started_at_us
    return _with_stage(record, Stage(step, event.attempt, started_at_us, None, attempts_forgiven))


def finished(record: Record, step: Step, at_us: int) -> Record:
    """The step is done."""
    stages = record.stages
    if stages and (last := stages[-1]).step is step:  # mostly
        done = Stage(step, last.attempts, last.started_at_us, at_us, last.forgiven)
        return replace(record, stages=(*stages[:-1], done))
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
    return _stage_of(record_of(state), step)


def _stage_of(record: Record, step: Step) -> Stage | None:
    for stage in record.stages:
        if stage.step is step:
            return stage
    return None


def _with_stage(record: Record, stage: Stage) -> Record:
    """Stages lie in the order of the steps; there is one of each at most."""
    stages = record.stages
    place = _PLACE[stage.step]
    before = len(stages)
    while before and _PLACE[stages[before - 1].step] >= place:
        before -= 1
    behind = before + 1 if before < len(stages) and stages[before].step is stage.step else before
    return replace(record, stages=(*stages[:before], stage, *stages[behind:]))
