"""Readers page through lists while rows are inserted, changed and removed between any two of their pages.

What is in a list from a reader's first page to its last is met exactly once; nothing is met twice; each page is in
order. What is in a list is said by an oracle that asks the single rows, not by the lists.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from domain import commands as c
from domain.dead_letters import DeadLetterQuery
from domain.errors import Refused
from domain.status import DocumentPhase, DocumentStatus, TaskPhase, TaskStatus
from events.document import Metadata
from events.ids import DocumentId, KnowledgeBaseId, TaskId
from events.memory import MemoryLog
from projections import document_list
from projections.cursors import Cursors
from projections.document_filter import DocumentFilter
from projections.lists import Lists
from projections.memory_views import MemoryViews
from projections.queries import Queries
from tests.machines import examples_driven
from tests.projecting import project
from tests.workshop import FIRST_US, Workshop

T = TypeVar("T")

PARTITIONS: Final = 2
NAMES: Final = ("年报 2024.pdf", "Report ANNUAL.txt", "notes.md", "ｒｅｐｏｒｔ.txt")
METADATA: Final[tuple[Metadata, ...]] = ({}, {"year": 2024}, {"year": "2024", "final": True}, {"year": 2024.0, "n": 1})

Reader = Callable[[str | None], Coroutine[Any, Any, tuple[list[str], str | None]]]


class Walk(msgspec.Struct):
    """One reader on its way; `always` is what was in the list ever since it began."""

    read: Reader
    members: Callable[[], Coroutine[Any, Any, set[str]]]
    always: set[str]
    seen: list[str] = []
    cursor: str | None = None
    pages: int = 0


filters = st.builds(
    DocumentFilter,
    phase=st.sampled_from([None, DocumentPhase.QUEUED, DocumentPhase.PARSING, DocumentPhase.FAILED]),
    name_part=st.sampled_from([None, None, "report", "报", ".TXT"]),
    metadata=st.sampled_from([(), (), (("year", "2024"),), (("final", "true"), ("year", "2024"))]),
    since_us=st.sampled_from([None, FIRST_US + 8_000]),
    until_us=st.sampled_from([None, FIRST_US + 30_000]),
)


def is_meant(wanted: DocumentFilter, status: DocumentStatus) -> bool:
    """The same question, answered from what a client sees of a document."""
    at_us = round(status.accepted_at.timestamp() * 1_000_000)
    values = {
        key: value if isinstance(value, str) else "true" if value is True else f"{value:g}"
        for key, value in status.metadata.items()
    }
    name = status.filename.replace("ｒｅｐｏｒｔ", "report").lower()
    return (
        status.status is not DocumentPhase.DELETED
        and wanted.phase in {None, status.status}
        and (wanted.name_part or "").lower() in name
        and all(values.get(key) == value for key, value in wanted.metadata)
        and (wanted.since_us is None or at_us >= wanted.since_us)
        and (wanted.until_us is None or at_us < wanted.until_us)
    )


class ListsMachine(RuleBasedStateMachine):
    """One example: two knowledge bases in two partitions, any changes, any readers."""

    @initialize()
    def open(self) -> None:
        self.runner = asyncio.Runner()
        self.log = MemoryLog(partitions=PARTITIONS, clock_us=lambda: 1_000_000)
        self.views = MemoryViews(partitions=PARTITIONS, clock_ms=lambda: 1_000)
        self.workshop = Workshop(self.log)
        self.queries = Queries(self.log, self.views)
        self.lists = Lists(self.log, self.views, self.queries, Cursors(b"a secret of sixteen bytes or more"))
        self.bases = [self.run(self.workshop.create(f"kb {one}", partition=one)) for one in range(PARTITIONS)]
        self.documents: dict[KnowledgeBaseId, list[DocumentId]] = {base: [] for base in self.bases}
        self.tasks: list[TaskId] = []
        self.walks: list[Walk] = []
        for base in self.bases:
            self.submit(base, 4, NAMES[0], METADATA[1])

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            while self.walks:
                self.go_on(0)
            self.runner.close()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(call)

    @rule(
        base=st.integers(0, 1),
        count=st.integers(1, 3),
        name=st.sampled_from(NAMES),
        metadata=st.sampled_from(METADATA),
    )
    def insert(self, base: int, count: int, name: str, metadata: Metadata) -> None:
        self.submit(self.bases[base], count, name, metadata)

    @rule(
        base=st.integers(0, 1),
        chosen=st.integers(0, 30),
        turn=st.sampled_from(["start", "fail", "complete", "remove", "retry"]),
    )
    def change(self, base: int, chosen: int, turn: str) -> None:
        documents = self.documents[self.bases[base]]
        document = documents[chosen % len(documents)]
        with suppress(Refused, AssertionError):  # it may be somewhere else on its way: then nothing changes
            self.run(self._change(self.bases[base], document, turn))
        self.settle()

    @rule(base=st.integers(0, 1), wanted=filters, limit=st.integers(1, 4))
    def begin_with_documents(self, base: int, wanted: DocumentFilter, limit: int) -> None:
        knowledge_base = self.bases[base]

        async def read(cursor: str | None) -> tuple[list[str], str | None]:
            page = await self.lists.documents(knowledge_base, wanted=wanted, limit=limit, cursor=cursor)
            places = [(one.accepted_at, one.document_id) for one in page.data]
            assert places == sorted(places, reverse=True), "the newest first"
            assert all(is_meant(wanted, one) for one in page.data), "what is shown is what was asked for"
            if page.total is not None and wanted.until_us is None:
                assert page.total == len(await members())
            return [one.document_id for one in page.data], page.next_cursor

        async def members() -> set[str]:
            found = await self.queries.documents(base, self.documents[knowledge_base])
            return {one.document_id for one in found if is_meant(wanted, one)}

        self.walks.append(Walk(read, members, self.run(members())))

    @rule(phase=st.sampled_from([None, TaskPhase.QUEUED, TaskPhase.PROCESSING]), limit=st.integers(1, 4))
    def begin_with_tasks(self, phase: TaskPhase | None, limit: int) -> None:
        async def read(cursor: str | None) -> tuple[list[str], str | None]:
            page = await self.lists.tasks(phase=phase, limit=limit, cursor=cursor)
            places = [(one.submitted_at, one.task_id) for one in page.data]
            assert places == sorted(places, reverse=True)
            return [one.task_id for one in page.data], page.next_cursor

        async def members() -> set[str]:
            found: list[TaskStatus] = [await self.queries.task(task) for task in self.tasks]
            return {one.task_id for one in found if phase in {None, one.status}}

        self.walks.append(Walk(read, members, self.run(members())))

    @rule(base=st.sampled_from([None, 0, 1]), code=st.sampled_from([None, "no_text"]), limit=st.integers(1, 3))
    def begin_with_dead_letters(self, base: int | None, code: str | None, limit: int) -> None:
        query = DeadLetterQuery(code=code, knowledge_base_id=None if base is None else self.bases[base])

        async def read(cursor: str | None) -> tuple[list[str], str | None]:
            page = await self.lists.dead_letters(query, limit=limit, cursor=cursor)
            return [one.document_id for one in page.data], page.next_cursor

        async def members() -> set[str]:
            wanted = DocumentFilter(phase=DocumentPhase.FAILED)
            parts = range(PARTITIONS) if base is None else [base]
            found: set[str] = set()
            for part in parts:
                statuses = await self.queries.documents(part, self.documents[self.bases[part]])
                found |= {one.document_id for one in statuses if is_meant(wanted, one)}
            return found

        self.walks.append(Walk(read, members, self.run(members())))

    @precondition(lambda self: bool(getattr(self, "walks", ())))
    @rule(chosen=st.integers(0, 9))
    def read_a_page(self, chosen: int) -> None:
        self._read(self.walks[chosen % len(self.walks)])

    @precondition(lambda self: bool(getattr(self, "walks", ())))
    @rule(chosen=st.integers(0, 9))
    def go_on(self, chosen: int) -> None:
        """To the end of the list."""
        walk = self.walks[chosen % len(self.walks)]
        while walk in self.walks:
            self._read(walk)

    def submit(self, base: KnowledgeBaseId, count: int, name: str, metadata: Metadata) -> None:
        task, documents = self.run(self.workshop.submit(base, count, filename=name, metadata=metadata))
        self.tasks.append(task)
        self.documents[base] += documents
        self.settle()

    def settle(self) -> None:
        """The views catch up; whatever left a list, even for a moment, a reader need not meet."""
        self.run(project(self.log, self.views))
        for walk in self.walks:
            walk.always &= self.run(walk.members())

    def _read(self, walk: Walk) -> None:
        found, walk.cursor = self.run(walk.read(walk.cursor))
        walk.seen = walk.seen + found
        walk.pages += 1
        assert len(walk.seen) == len(set(walk.seen)), "met twice"
        if walk.cursor is None:
            assert walk.always <= set(walk.seen), "skipped although it was there all along"
            self.walks = [one for one in self.walks if one is not walk]

    async def _change(self, base: KnowledgeBaseId, document: DocumentId, turn: str) -> None:
        match turn:
            case "start":
                await self.workshop.start(document)
            case "fail":
                await self.workshop.fail(document)
            case "complete":
                await self.workshop.complete(document)
            case "remove":
                await self.workshop.work(document, c.RemoveDocument())
            case _:
                task = self.workshop.ids.task(base)
                await self.workshop.work(document, c.RequestReprocessing(reason="again", task_id=task))


def test_readers_of_changing_lists_meet_everything_once() -> None:
    assert examples_driven(ListsMachine, examples_max=60, steps_max=40) >= 60


def test_readers_of_lists_that_are_searched_a_few_rows_at_a_time_meet_everything_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pages that are cut short by the bound of a search, empty ones too."""
    monkeypatch.setattr(document_list, "SCAN_ROWS", 2)
    monkeypatch.setattr(document_list, "SCAN_ROWS_MAX", 3)
    assert examples_driven(ListsMachine, examples_max=40, steps_max=40) >= 40
