"""Hypothesis strategies for histories that really happened.

A history is made by driving the decider with commands chosen for the state at hand, so that it holds nothing that the
product could not have written. Times rise by a millisecond an event; ids are made by counting.
"""

from collections import deque
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, Final, NamedTuple, TypeVar

from hypothesis import strategies as st

from domain.decider import Decider, Folded
from domain.deciders import DOCUMENT, TASK, knowledge_base_decider
from domain.errors import Refused
from domain.handle import Context, prepare
from events import ids
from events.envelope import Envelope
from events.ids import EventId
from tests.commands_by_state import (
    COMMAND_BYTES,
    Tape,
    document_command,
    knowledge_base_command,
    tapes,
    task_command,
)
from tests.strategies import DOCUMENTS, KNOWLEDGE_BASE, TASKS

S = TypeVar("S")
C = TypeVar("C")

FIRST_US: Final = 1_700_000_000_000_000
EVENT_US: Final = 1_000

History = tuple[Envelope, ...]


class Said(NamedTuple):
    """One command and the events that it led to: none where it was refused or said before."""

    command: Any
    led_to: History


def context_for(stream_id: str, *, first: int = 1) -> Context:
    """Counted ids and times; `first` keeps the streams of one test apart."""
    numbers, ticks = count(first), count(first)
    return Context(
        clock_us=lambda: FIRST_US + EVENT_US * next(ticks),
        new_event_id=lambda: _event_id(next(numbers)),
        correlation_id=stream_id,
        actor="tests",
    )


def _event_id(number: int) -> EventId:
    return EventId(ids.uuid7_hex(FIRST_US // 1_000 + number, number.to_bytes(10)))


def drive(
    decider: Decider[S, C],
    stream_id: str,
    command_for: Callable[[S, Tape], C],
    tape: Tape,
    *,
    said_max: int,
    first: int = 1,
) -> tuple[Said, ...]:
    """Says up to `said_max` commands to one stream, each chosen for the state that the ones before it left."""
    context, folded = context_for(TASKS[0], first=first), Folded(decider.initial)
    said = []
    for _ in range(said_max - tape.number(said_max + 1)):
        command = command_for(folded.state, tape)
        try:
            prepared = prepare(decider, stream_id, folded, [command], context)
        except Refused:
            said.append(Said(command, ()))
            continue
        folded = prepared.after
        said.append(Said(command, prepared.write.envelopes if prepared.write else ()))
    return tuple(said)


def envelopes_of(said: Iterable[Said]) -> History:
    """The stream's events alone."""
    return tuple(envelope for one in said for envelope in one.led_to)


def document_stories(*, ordinal: int = 0, said_max: int = 40) -> st.SearchStrategy[tuple[Said, ...]]:
    """What was said to one document, and what came of it."""
    stream_id, first = DOCUMENTS[ordinal], ordinal * 1_000_000 + 1
    return tapes(said_max * 4).map(
        lambda tape: drive(DOCUMENT, stream_id, document_command, tape, said_max=said_max, first=first)
    )


def document_histories(*, ordinal: int = 0, said_max: int = 40) -> st.SearchStrategy[History]:
    """The events of the n-th document of the first task (it may go on to work for others); possibly none."""
    return document_stories(ordinal=ordinal, said_max=said_max).map(envelopes_of)


def histories_of_documents(*, documents_max: int = 4, said_max: int = 25) -> st.SearchStrategy[tuple[History, ...]]:
    """One history a document, for several documents of one task."""
    return st.integers(1, documents_max).flatmap(
        lambda documents: st.tuples(
            *(document_histories(ordinal=ordinal, said_max=said_max) for ordinal in range(documents))
        )
    )


def interleaved(histories: tuple[History, ...], tape: Tape) -> History:
    """The events of all streams in one order, each stream's own order kept."""
    rest = [deque(history) for history in histories if history]
    mixed = []
    while rest:
        chosen = tape.number(len(rest))
        mixed.append(rest[chosen].popleft())
        rest = [history for history in rest if history]
    return tuple(mixed)


def interleavings(histories: tuple[History, ...]) -> st.SearchStrategy[History]:
    """Orders in which several streams' events may have reached one log."""
    return tapes(sum(map(len, histories))).map(lambda tape: interleaved(histories, tape))


def task_stories(*, said_max: int = 8) -> st.SearchStrategy[tuple[Said, ...]]:
    """What was said to one task, and what came of it."""
    return tapes(said_max * COMMAND_BYTES).map(
        lambda tape: drive(TASK, TASKS[0], task_command, tape, said_max=said_max)
    )


def knowledge_base_stories(*, said_max: int = 12) -> st.SearchStrategy[tuple[Said, ...]]:
    """What was said to one knowledge base, and what came of it."""
    decider = knowledge_base_decider(KNOWLEDGE_BASE)
    return tapes(said_max * COMMAND_BYTES).map(
        lambda tape: drive(decider, KNOWLEDGE_BASE, knowledge_base_command, tape, said_max=said_max)
    )
