"""What a processor is asked and what it may answer. Outcomes are data; the runner has one match on them."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from domain.commands import DocumentCommand, TaskCommand
from domain.decider import Decider
from domain.document import DocumentState
from domain.knowledge_base import ActiveKnowledgeBase
from events.ids import DocumentId
from events.inbox import Delivery
from events.steps import Step


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """A further step that one attempt has carried out, as attempt `number` at that step. Times are unix µs."""

    step: Step
    number: int
    began_us: int
    ran_us: int


class Done(msgspec.Struct, frozen=True):
    """The work is done; the commands record it in one append, which also acknowledges the delivery.

    `replaces` is removed in the same append. `told_us` is when each of the commands came to pass (unix µs), where that
    is not now; `passed` are the steps behind the one that was asked for, where they are done too.
    """

    commands: tuple[DocumentCommand | TaskCommand, ...]
    replaces: DocumentId | None = None
    told_us: tuple[int, ...] = ()
    passed: tuple[Passed, ...] = ()


class Retry(msgspec.Struct, frozen=True):
    """The attempt failed and may succeed later, not before `retry_after_s` where a provider said so.

    Whether it counts as an attempt is decided by its code (`retry.OUTAGE_CODES`).
    """

    code: str
    message: str
    retry_after_s: float | None = None


class Reject(msgspec.Struct, frozen=True):
    """Trying again cannot help: a dead letter."""

    code: str
    message: str


class Drop(msgspec.Struct, frozen=True):
    """Nobody waits for this work, or it leaves no fact: the delivery is acknowledged without an event."""

    reason: str


class Superseded(msgspec.Struct, frozen=True):
    """The document went on without this attempt (another attempt, a cancellation, a removal): nothing to report."""


Outcome = Done | Retry | Reject | Drop | Superseded


class WorkerLost(Exception):
    """Whoever carried the work out elsewhere is silent. That ends no attempt, as little as the death of a worker of
    ours does: the start stays without an end, and the delivery is given back."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at one step of one document.

    `document` is its state right after StepStarted, and `version` the number of that event in the document's stream;
    `fence` is higher for a later attempt, also where the log has lost some. `failures` are the codes of earlier
    attempts since the last reprocessing request, oldest first. `record` appends an intermediate fact under the
    attempt's number and answers whether the attempt still counts; `caught_up` is this work on the document as
    others have brought it on under the same attempt; `knowledge_base` loads the settings, at most a second
    old, and raises Refused; `knowledge_base_now` as they stand.
    """

    delivery: Delivery
    document: DocumentState
    version: int
    fence: int
    attempt: int
    worker: str
    failures: tuple[str, ...]
    record: Callable[[DocumentCommand], Awaitable[bool]]
    caught_up: Callable[[], Awaitable["Work"]]
    knowledge_base: Callable[[], Awaitable[ActiveKnowledgeBase]]
    knowledge_base_now: Callable[[], Awaitable[ActiveKnowledgeBase]]

    @property
    def document_id(self) -> str:
        return self.delivery.stream_id


class Processor(Protocol):
    """One step of a document; side effects are allowed, and are safe to repeat."""

    @property
    def step(self) -> Step:
        """Whose inbox it serves."""
        ...

    @property
    def time_limit_s(self) -> float:
        """How long one attempt may take."""
        ...

    async def run(self, work: Work) -> Outcome:
        """Does the work. Errors of knowledge, blobs and index may be raised; `failures.outcome_of` maps them."""
        ...

    async def abandon(self, work: Work, now: DocumentState) -> None:
        """Takes back side effects of an attempt whose result was refused, as far as the present state wants it."""
        ...


class Errand(Protocol):
    """A step without attempts in a document's history: finishing a task, erasing. It is repeated until it is done."""

    @property
    def step(self) -> Step:
        """Whose inbox it serves."""
        ...

    @property
    def time_limit_s(self) -> float:
        """How long one try may take."""
        ...

    def subject(self, delivery: Delivery) -> tuple[Decider[Any, Any], str]:
        """The kind and the id of the stream that the commands of Done are for."""
        ...

    async def run(self, delivery: Delivery) -> Outcome:
        """Does the work, as Processor.run."""
        ...
