"""docs/lifecycle.md says what the deciders do: each row of its tables, each arrow of its diagrams, and no other."""

import re
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from domain.counts import Counts, category_of
from domain.document import DocumentState, awaited_step
from domain.errors import Refused
from domain.knowledge_base import KnowledgeBaseState, active
from domain.status import document_status, task_phase
from domain.task import TaskState, UnknownTask
from events.type_codes import EVENT_TYPES
from tests.architecture.lifecycles import (
    Explored,
    Transition,
    documents,
    knowledge_bases,
    name_of_document,
    name_of_knowledge_base,
    name_of_task,
    tasks,
)
from tests.strategies import DOCUMENTS

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "lifecycle.md"
ARROW: Final = re.compile(r"^\s*(\w+) --> (\w+): (\w+)$", re.MULTILINE)
COMPOSITE: Final = re.compile(r"state (\w+) \{(.*?)\}", re.DOTALL)


class Chapter(NamedTuple):
    """One stream's chapter, and what the code says about it."""

    title: str
    explored: Explored[Any]
    name: Callable[[Any], str]
    seen: Callable[[Any], tuple[frozenset[str], ...]]


def _document_seen(state: DocumentState) -> tuple[frozenset[str], ...]:
    status = document_status(DOCUMENTS[0], state, version=1, updated_at_us=0)
    phase = None if status is None else status.status
    return tuple(frozenset([value or "—"]) for value in (phase, category_of(state), awaited_step(state)))


def _task_seen(state: TaskState) -> tuple[frozenset[str], ...]:
    if isinstance(state, UnknownTask):
        return (frozenset(["—"]),)
    possible = (Counts(queued=2), Counts(queued=1, processing=1), Counts(completed=2))
    return (frozenset(task_phase(state, counts) for counts in possible),)


def _knowledge_base_seen(state: KnowledgeBaseState) -> tuple[frozenset[str], ...]:
    try:
        active(state)
    except Refused as refused:
        return (frozenset([refused.code]),)
    return (frozenset(["itself"]),)


CHAPTERS: Final = (
    Chapter("Document", documents(), name_of_document, _document_seen),
    Chapter("Task", tasks(), name_of_task, _task_seen),
    Chapter("Knowledge base", knowledge_bases(), name_of_knowledge_base, _knowledge_base_seen),
)
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.title)


def text_of(title: str) -> str:
    """The text of a chapter."""
    (found,) = re.findall(rf"^## {title}$(.*?)(?=^## |\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return str(found)


def table_of(chapter: str, heading: str) -> list[list[str]]:
    """The cells of the rows below a heading, without the head of the table."""
    (section,) = re.findall(rf"^### {heading}$(.*?)(?=^#|\Z)", text_of(chapter), re.DOTALL | re.MULTILINE)
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def values(cell: str) -> frozenset[str]:
    """What a cell lists."""
    return frozenset(value.strip() for value in cell.split(","))


@each_chapter
def test_the_transitions_are_those_of_the_decider(chapter: Chapter) -> None:
    rows = table_of(chapter.title, "Transitions")
    told = [Transition(row[0], row[1], row[2], after) for row in rows for after in values(row[3])]

    assert len(told) == len(set(told))
    assert set(told) == chapter.explored.transitions


@each_chapter
def test_the_states_are_seen_as_the_table_says(chapter: Chapter) -> None:
    told = {row[0]: tuple(map(values, row[1:])) for row in table_of(chapter.title, "States")}

    assert told == seen_by_state(chapter.explored.states, chapter.name, chapter.seen)


def seen_by_state(
    states: Iterable[Any], name: Callable[[Any], str], seen: Callable[[Any], tuple[frozenset[str], ...]]
) -> dict[str, tuple[frozenset[str], ...]]:
    """By state, everything that it is seen as in any of its forms."""
    found: dict[str, tuple[frozenset[str], ...]] = {}
    for state in states:
        now = seen(state)
        before = found.get(name(state), tuple(frozenset() for _ in now))
        found[name(state)] = tuple(one | other for one, other in zip(before, now, strict=True))
    return found


@each_chapter
def test_the_arrows_of_the_diagram_are_the_transitions_that_change_the_state(chapter: Chapter) -> None:
    (diagram,) = re.findall(r"```mermaid\n(.*?)```", text_of(chapter.title), re.DOTALL)
    arrows = [
        (before, event, after)
        for drawn_from, drawn_to, event in ARROW.findall(diagram)
        for before, after in product(members(diagram, drawn_from), members(diagram, drawn_to))
    ]

    assert len(arrows) == len(set(arrows))
    changes = chapter.explored.transitions
    assert set(arrows) == {(row.state, row.event, row.next_state) for row in changes if row.state != row.next_state}


def members(diagram: str, drawn: str) -> list[str]:
    """The states inside a composite one; itself, if it is none."""
    composites = dict(COMPOSITE.findall(diagram))
    inside = [state for arrow in ARROW.findall(composites.get(drawn, "")) for state in arrow[:2]]
    return sorted(set(inside)) or [drawn]


def test_every_event_has_its_place_in_a_lifecycle() -> None:
    assert {row.event for chapter in CHAPTERS for row in chapter.explored.transitions} == set(EVENT_TYPES)
