"""Given events, when a command, then events: the form in which decisions are specified.

    given(DOCUMENT, accepted, started).when(RecordParsed(...)).then(DocumentParsed(...))

The n-th event given is recorded at n microseconds.
"""

from typing import Generic, TypeVar

from domain.decider import Decider
from domain.errors import RefusalCode, Refused
from events.envelope import Event

S = TypeVar("S")
C = TypeVar("C")


class Outcome:
    """What a command led to; says so in the failure message."""

    def __init__(self, decided: tuple[Event, ...] | Refused) -> None:
        self._decided = decided

    def then(self, *events: Event) -> None:
        """Exactly these events follow."""
        assert self._decided == events

    def then_nothing(self) -> None:
        """The command is accepted, and no event follows."""
        assert self._decided == ()

    def then_refused(self, code: RefusalCode) -> None:
        """The command is refused, with a sentence for people."""
        assert isinstance(self._decided, Refused), f"not refused but decided: {self._decided}"
        assert self._decided.code is code
        assert self._decided.detail


class Given(Generic[S, C]):
    """A stream with a past; `state` is what the past folds to."""

    def __init__(self, decider: Decider[S, C], state: S) -> None:
        self._decider = decider
        self.state = state

    def when(self, command: C) -> Outcome:
        try:
            return Outcome(self._decider.decide(command, self.state))
        except Refused as refused:
            return Outcome(refused)


def given(decider: Decider[S, C], *events: Event) -> Given[S, C]:
    """A stream in which these events happened."""
    state = decider.initial
    for at_us, event in enumerate(events, start=1):
        state = decider.evolve(state, event, at_us)
    return Given(decider, state)
