"""The frames that a change leads to: what is told of a row as it is now."""

from collections.abc import Mapping

import msgspec

from events.ids import StreamKind
from projections.feed import Change
from projections.projection import TABLES
from projections.rows import Status, decode_row, status_of
from projections.subscription import Frame, frame_of
from projections.views import ViewStore


class Gone(msgspec.Struct, frozen=True):
    """The knowledge base was deleted."""

    id: str


def gone(row_id: str, version: int) -> Frame:
    """What is told of a knowledge base that was deleted."""
    return Frame(row_id, "gone", version, True, msgspec.json.encode(Gone(row_id)))


async def read_statuses(views: ViewStore, partition: int, changes: Mapping[str, Change]) -> dict[str, Status]:
    """The present states of changed rows by id, those that exist."""
    statuses: dict[str, Status] = {}
    for table in TABLES:
        ids = [row_id for row_id, change in changes.items() if change.kind is table.kind]
        payloads = await views.rows(partition, table, ids) if ids else []
        for row_id, payload in zip(ids, payloads, strict=True):
            status = None if payload is None else status_of(row_id, decode_row(table, payload))
            if status is not None:
                statuses[row_id] = status
    return statuses


def frame_for(topic: str, change: Change, status: Status | None) -> Frame | None:
    """What a change says to a topic; None for a row that is not shown."""
    if status is not None:
        return frame_of(change.id, _event(change.id, topic), status)
    return gone(change.id, change.version) if change.kind is StreamKind.KNOWLEDGE_BASE else None


def is_early_end(topic: str, change: Change, frame: Frame) -> bool:
    """Whether a task's end was read before the feed came to it: changes of documents may lie between, and who was told
    the end hears of nothing any more. Its own change follows, and tells it."""
    return frame.is_end and frame.id == topic and frame.version > change.version


def _event(row_id: str, topic: str) -> str:
    """What is watched sends its `status`, what belongs to it, or to everything, the name of its kind."""
    if row_id == topic:
        return "status"
    return {"doc": "document", "task": "task", "kb": "knowledge_base"}[row_id.partition("_")[0]]
