"""What can be watched: how it begins, and where its changes are told."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from events.ids import KnowledgeBaseId, TaskId
from projections.queries import Queries
from projections.subscription import Frame, frame_of


class Subject(Protocol):
    """What is watched."""

    @property
    def topic(self) -> str: ...

    @property
    def partitions(self) -> Sequence[int]:
        """Whose feeds tell of it. Raises InvalidId."""
        ...

    async def present(self) -> Frame | None:
        """Its own state, where it has one. Raises Refused for what does not exist."""
        ...

    def beginning(self) -> AsyncIterator[Sequence[Frame]]:
        """The present state, a part at a time, at least one. Raises Refused."""
        ...


class WatchedTask:
    """A task and its documents."""

    def __init__(self, queries: Queries, task: TaskId) -> None:
        self._queries = queries
        self._task = task

    @property
    def topic(self) -> str:
        return self._task

    @property
    def partitions(self) -> Sequence[int]:
        return (self._queries.partition_of(self._task),)

    async def present(self) -> Frame:
        return frame_of(self._task, "status", await self._queries.task(self._task))

    async def beginning(self) -> AsyncIterator[Sequence[Frame]]:
        status = await self._queries.task(self._task)
        yield [frame_of(self._task, "status", status)]
        async for part in self._queries.documents_of_task(self._task, told=status.version):
            yield [frame_of(one.document_id, "document", one) for one in part]


class WatchedKnowledgeBase:
    """A knowledge base by itself: its documents may be millions."""

    def __init__(self, queries: Queries, knowledge_base: KnowledgeBaseId) -> None:
        self._queries = queries
        self._knowledge_base = knowledge_base

    @property
    def topic(self) -> str:
        return self._knowledge_base

    @property
    def partitions(self) -> Sequence[int]:
        return (self._queries.partition_of(self._knowledge_base),)

    async def present(self) -> Frame:
        status = await self._queries.knowledge_base(self._knowledge_base)
        return frame_of(self._knowledge_base, "status", status)

    async def beginning(self) -> AsyncIterator[Sequence[Frame]]:
        yield [await self.present()]
