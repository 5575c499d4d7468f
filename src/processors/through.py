"""Small documents go through all their steps in one turn: parse, chunk, embed and index, told in one append.

A small document costs a worker less than what its steps cost around it: a delivery each, a history read, two appends,
artifacts written and read back (ADR 56). So the worker that parses one goes on by itself, and what it makes becomes one
append of the same facts and one blob. The way ends early wherever a step has something else to say than that it is
done, or cannot begin: what was done until then is told, and the next step comes by its inbox, as it does for all other
documents. There it fails, waits and is tried again by the rules of its own.

Who dies under way has told nothing, and the document is parsed again, not in one turn this time: what kills a worker
is then known by its step.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import structlog
from msgspec.structs import replace

from domain.commands import DocumentCommand, FailStep, StartStep
from domain.document import Accepted, Chunked, DocumentState, awaited_step
from domain.document_decide import decide
from domain.document_evolve import evolve
from domain.document_stages import attempts_at
from events.steps import Step
from knowledge.media_type import READ_AS_TEXT
from processors.bundle import Bundle, StepBlobs
from processors.failures import outcome_of
from processors.group_commit import GroupCommit
from processors.observing import AttemptObserver
from processors.settings import WorkerSettings
from processors.slots import leave_slot
from processors.step import Done, Outcome, Passed, Processor, Reject, Work

STEPS_IN_TURN: Final = (Step.CHUNK, Step.EMBED, Step.INDEX)
STEPS_BEHIND: Final = frozenset(STEPS_IN_TURN)
AHEAD_OF_ROWS: Final = frozenset({Step.CHUNK, Step.EMBED})
"""Steps that by themselves leave nothing in the index."""

PLACE_S_MAX: Final = 2.0
"""How long a parsed document waits for a place on the way; then it goes by the inboxes."""

WAY_S_MAX: Final = 60.0
"""What all steps behind parse may take together; a document that needs more goes by the inboxes."""

StepsOn = Callable[[StepBlobs], Mapping[Step, Processor]]
"""The steps of a document on the blobs that they are given."""


class _Cut(Exception):
    """The step wants to tell something in the middle, which is for a delivery of its own."""


class Through:
    """Stands for the step that parses, and for all behind it where a document has `bytes_max` at most (0: for none)."""

    step = Step.PARSE

    def __init__(
        self,
        blobs: StepBlobs,
        steps_on: StepsOn,
        settings: WorkerSettings,
        clock_us: Callable[[], int],
        observer: AttemptObserver,
        *,
        bytes_max: int,
        looks: GroupCommit,
    ) -> None:
        """`looks` is where the step that embeds waits for others: who is through with that is not waited for."""
        self._blobs = blobs
        self._steps_on = steps_on
        self._settings = settings
        self._clock_us = clock_us
        self._observer = observer
        self._bytes_max = bytes_max
        self._looks = looks
        self._long = 0
        self._alone = steps_on(blobs)
        self._places = asyncio.Semaphore(settings.through_documents)
        self._at = {step: asyncio.Semaphore(_places_at(step, settings)) for step in STEPS_IN_TURN}
        self.time_limit_s = self._alone[Step.PARSE].time_limit_s

    async def run(self, work: Work) -> Outcome:
        """Raises what the steps raise ahead of the first that is done."""
        if not self._may_go_through(work):
            return await self._parsed(self._alone[Step.PARSE], work, is_long=True)
        bundle = Bundle(self._blobs, work.document_id, work.attempt)
        steps = self._steps_on(bundle)
        async with AsyncExitStack() as place:
            is_text = _is_read_at_once(work)
            is_early = is_text and not self._long and not self._places.locked()
            if is_early:
                # So the runner begins the next ones together: of those that come one by one as parsers are free, each
                # beginning is a round trip, a commit of the projector and an answer to whoever waits of its own.
                # Behind what takes a parser long they stay in the inbox, where other workers find them.
                await place.enter_async_context(self._places)
                leave_slot()
            parsed = await self._parsed(steps[Step.PARSE], work, is_long=not is_text)
            if not isinstance(parsed, Done):
                return parsed
            way = _Way(work, parsed, self._clock_us)
            try:
                if not is_early:
                    async with asyncio.timeout(PLACE_S_MAX):
                        await place.enter_async_context(self._places)
                    leave_slot()
                async with asyncio.timeout(WAY_S_MAX):
                    await self._go_on(way, steps, bundle, place)
            except TimeoutError:
                structlog.get_logger().info("went_through_no_further", done=len(way.passed), code="time_limit")
        if not way.is_stored:
            await bundle.store()
        return way.done

    async def _parsed(self, step: Processor, work: Work, *, is_long: bool) -> Outcome:
        self._long += is_long
        try:
            return await step.run(work)
        finally:
            self._long -= is_long

    async def abandon(self, work: Work, now: DocumentState) -> None:
        """Takes back what any of the steps did, since a dead worker has told nothing of them."""
        await self._alone[Step.PARSE].abandon(work, now)
        if work.attempt > 0:
            await self._alone[Step.INDEX].abandon(work, now)

    def _may_go_through(self, work: Work) -> bool:
        document = work.document
        is_small = isinstance(document, Accepted) and 0 < document.record.about.size_bytes <= self._bytes_max
        return is_small and work.attempt == 1

    async def _go_on(self, way: "_Way", steps: Mapping[Step, Processor], bundle: Bundle, place: AsyncExitStack) -> None:
        for step in STEPS_IN_TURN:
            if awaited_step(way.document) is not step:
                return
            if step is Step.EMBED:
                place.enter_context(self._looks.here(way.document_id))
            if step is Step.INDEX:
                # Rows come behind what they were made of: whoever loses the blobs must not find the rows.
                await bundle.store()
                way.is_stored = True
            async with self._at[step]:
                outcome = await self._outcome(steps[step], way.work_at(step))
            if not isinstance(outcome, Done):
                structlog.get_logger().info("went_through_no_further", done=len(way.passed), code=_code_of(outcome))
                if isinstance(outcome, Reject) and step is not Step.INDEX:
                    # A provider that refuses for good is asked once. Rows are taken back by a delivery of their own.
                    way.refused_by(step, outcome)
                return
            way.passed_by(step, outcome)
            if isinstance(way.document, Chunked) and way.document.chunks.chunks > self._settings.embed_batch_chunks:
                return

    async def _outcome(self, step: Processor, work: Work) -> Outcome | None:
        """None where the step wants a delivery of its own."""
        self._observer.began(step.step)
        try:
            with structlog.contextvars.bound_contextvars(step=step.step.value, attempt=work.attempt):
                return await step.run(work)
        except _Cut:
            return None
        except Exception as error:
            # The step meets it again by a delivery of its own, where it is answered for.
            if (outcome := outcome_of(error)) is None:
                structlog.get_logger().warning("went_through_no_further", error=type(error).__name__, exc_info=True)
            return outcome if not isinstance(outcome, Done) else None
        finally:
            self._observer.left(step.step)


def _is_read_at_once(work: Work) -> bool:
    return isinstance(work.document, Accepted) and work.document.record.about.media_type in READ_AS_TEXT


class BehindATurn:
    """A step behind parse, of whose documents rows may lie in the index already: an attempt to go through all steps
    that told nothing of it (its worker died, or its time was over) may have come as far. Who ends a document at this
    step, or lays its delivery aside, is the last to know of them."""

    def __init__(self, alone: Processor, indexing: Processor) -> None:
        self._alone = alone
        self._indexing = indexing
        self.step = alone.step
        self.time_limit_s = alone.time_limit_s

    async def run(self, work: Work) -> Outcome:
        """As the step does."""
        return await self._alone.run(work)

    async def abandon(self, work: Work, now: DocumentState) -> None:
        """Such an attempt was followed by another: of other documents nobody has to ask the index."""
        await self._alone.abandon(work, now)
        if attempts_at(now, Step.PARSE) > 1:
            await self._indexing.abandon(work, now)


def behind_a_turn(steps: Mapping[Step, Processor]) -> dict[Step, Processor]:
    """The steps that come by their inboxes."""
    indexing = steps[Step.INDEX]
    return {step: BehindATurn(one, indexing) if step in AHEAD_OF_ROWS else one for step, one in steps.items()}


class _Way:
    """How far a document has come: what will be told of it, and its state as it will be then."""

    def __init__(self, work: Work, parsed: Done, clock_us: Callable[[], int]) -> None:
        self._work = work
        self._clock_us = clock_us
        self._commands: list[Any] = []
        self._told_us: list[int] = []
        self._replaces = parsed.replaces
        self._began_us = clock_us()
        self.document = work.document
        self.passed: list[Passed] = []
        self.is_stored = False
        self._tell(parsed.commands, self._began_us)

    @property
    def document_id(self) -> str:
        return self._work.document_id

    @property
    def done(self) -> Done:
        """All that was done, in one append."""
        return Done(tuple(self._commands), self._replaces, tuple(self._told_us), tuple(self.passed))

    def work_at(self, step: Step) -> Work:
        """The next step. What it writes is fenced by the version at which parse began: nobody has told more yet."""
        self._began_us = self._clock_us()
        number = attempts_at(self.document, step) + 1
        begun = StartStep(step=step, attempt=number, worker=self._work.worker)
        document = _after(self.document, (begun,), self._began_us)
        return replace(self._work, document=document, attempt=number, failures=(), record=_cut)

    def passed_by(self, step: Step, outcome: Done) -> None:
        """The step is done."""
        number, now_us = attempts_at(self.document, step) + 1, self._clock_us()
        self._tell((StartStep(step=step, attempt=number, worker=self._work.worker),), self._began_us)
        self._tell(outcome.commands, now_us)
        self._replaces = outcome.replaces or self._replaces
        self.passed.append(Passed(step=step, number=number, began_us=self._began_us, ran_us=now_us))

    def refused_by(self, step: Step, outcome: Reject) -> None:
        """The step has said that trying again cannot help."""
        number, now_us = attempts_at(self.document, step) + 1, self._clock_us()
        failure = FailStep(step=step, attempt=number, code=outcome.code, message=outcome.message, retry_at_us=None)
        self._tell((StartStep(step=step, attempt=number, worker=self._work.worker),), self._began_us)
        self._tell((failure,), now_us)

    def _tell(self, commands: Sequence[Any], at_us: int) -> None:
        self._commands += commands
        self._told_us += [at_us] * len(commands)
        self.document = _after(self.document, commands, at_us)


def _places_at(step: Step, settings: WorkerSettings) -> int:
    """All that are on the way may be at embedding: those that wait for a local model are embedded together, and look
    for their vectors together. How many call a provider at a time is for the step."""
    return settings.through_documents if step is Step.EMBED else settings.slots(step) or 1


async def _cut(_command: DocumentCommand) -> bool:
    raise _Cut


def _after(document: DocumentState, commands: Sequence[Any], at_us: int) -> DocumentState:
    for command in commands:
        for event in decide(command, document):
            document = evolve(document, event, at_us)
    return document


def _code_of(outcome: Outcome | None) -> str:
    return getattr(outcome, "code", type(outcome).__name__)
