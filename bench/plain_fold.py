"""The peer of our fold: the same facts folded by hand, with neither our structs nor our decider.

A decoder makes plain lists of the bytes, a record of each stream is changed in place, and facts are kept as the lists
that they came in: fields are taken by their place (`events/document.py` has their order), those at the end may be
missing, and ids, digests and names of blobs are made the text that our states hold. Every type of event is handled, an
event that cannot follow is refused, versions are checked, and attempts and times of steps are kept: what our states
hold, the records hold too. `tests/unit/bench/test_plain_fold.py` holds it to the domain, history by history.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from events.ids import PACKED_BYTES
from events.type_codes import TYPE_CODES

Facts = list[Any]

STEPS: Final = ("fetch", "parse", "chunk", "embed", "index")
AT_STEP: Final = {
    "fetch": "fetching",
    "parse": "parsing",
    "chunk": "chunking",
    "embed": "embedding",
    "index": "indexing",
}
"""What a document is called that a step was begun on."""

ENDED: Final = frozenset({"completed", "failed", "cancelled"})
"""From which work may begin again."""


class Impossible(Exception):
    """An event that cannot follow what its stream holds."""


class Document:
    """`step` is the one that is awaited, None once it has ended; `stages` has attempts, start, end and attempts
    forgiven of each step; `error` the facts of the last failure."""

    __slots__ = (
        "about",
        "accepted_at_us",
        "activity",
        "batches",
        "changes",
        "chunking",
        "chunks",
        "correlation_id",
        "earlier_tasks",
        "edits",
        "enabled",
        "ended_at_us",
        "error",
        "fetched",
        "last_event_id",
        "metadata",
        "name",
        "reached",
        "serving",
        "stages",
        "status",
        "step",
        "task_id",
        "text",
        "unknown",
        "vectors",
        "version",
    )

    def __init__(self) -> None:
        self.name = ""
        self.version = self.unknown = self.changes = 0
        self.status = ""
        self.step: str | None = None
        self.reached: str | None = None
        self.about: Facts = []
        self.fetched: Facts = []
        self.metadata: Any = None
        self.task_id = ""
        self.earlier_tasks: list[str] = []
        self.stages: dict[str, list[Any]] = {}
        self.activity: tuple[Any, ...] = ()
        self.text: Facts | None = None
        self.chunks: Facts | None = None
        self.vectors: Facts | None = None
        self.batches: list[Facts] = []
        self.serving: tuple[int, int] | None = None
        self.edits: dict[str, Facts] = {}
        self.enabled = True
        self.chunking: Any = None
        self.error: Facts | None = None
        self.accepted_at_us = self.ended_at_us = 0
        self.last_event_id = self.correlation_id = b""

    def told(self) -> tuple[Any, ...]:
        """What is compared with our state: status, version, step, attempts, pages, chunks, batches, tokens."""
        attempts = sum(stage[0] for stage in self.stages.values())
        pages = self.text[2] if self.text else 0
        chunks = self.chunks[1] if self.chunks else 0
        tokens = self.vectors[2] if self.vectors else 0
        return (self.status, self.version, self.step, attempts, pages, chunks, len(self.batches), tokens)


class Task:
    """`tally` is what its documents ended as."""

    __slots__ = (
        "callback",
        "cancelled_at_us",
        "correlation_id",
        "finished_at_us",
        "last_event_id",
        "status",
        "submitted",
        "submitted_at_us",
        "tally",
        "unknown",
        "version",
    )

    def __init__(self) -> None:
        self.version = self.unknown = 0
        self.status = ""
        self.submitted: Facts = []
        self.submitted_at_us = self.finished_at_us = 0
        self.cancelled_at_us: int | None = None
        self.tally: Facts = []
        self.callback: tuple[int, bool, bool] = (0, False, False)
        self.last_event_id = self.correlation_id = b""

    def told(self) -> tuple[Any, ...]:
        """Status, version, documents, whether it was cancelled, attempts at its callback."""
        is_cancelled = self.cancelled_at_us is not None
        return (self.status, self.version, self.submitted[1] if self.submitted else 0, is_cancelled, self.callback[0])


class KnowledgeBase:
    """`settings` are those of the live index, `building` the facts of one in the making."""

    __slots__ = (
        "building",
        "changed_at_us",
        "correlation_id",
        "created_at_us",
        "description",
        "generation",
        "last_event_id",
        "name",
        "settings",
        "status",
        "unknown",
        "version",
    )

    def __init__(self) -> None:
        self.version = self.unknown = 0
        self.status = self.name = self.description = ""
        self.settings: Any = {}
        self.generation = 1
        self.building: Facts | None = None
        self.created_at_us = self.changed_at_us = 0
        self.last_event_id = self.correlation_id = b""

    def told(self) -> tuple[Any, ...]:
        """Status, version, name, generation, and the one in the making."""
        building = self.building[0] if self.building else None
        return (self.status, self.version, self.name, self.generation, building)


Record = Document | Task | KnowledgeBase

RECORDS: Final[dict[int, type[Record]]] = {ord("d"): Document, ord("t"): Task, ord("k"): KnowledgeBase}
KINDS: Final = {ord("d"): "doc", ord("t"): "task", ord("k"): "kb"}
"""Both by the first byte of a packed id."""

_decode = msgspec.msgpack.Decoder(list[Any]).decode


def plain_fold(payloads: Iterable[bytes], records: dict[bytes, Record] | None = None) -> dict[bytes, Record]:
    """The records of all streams, by packed id; on top of those that there are. Raises Impossible."""
    records = {} if records is None else records
    for payload in payloads:
        event_id, code, _, facts, pair, version, at_us, _, _, _ = _decode(payload)
        stream = pair[:PACKED_BYTES]
        record = records.get(stream)
        if record is None:
            record = records[stream] = RECORDS[stream[0]]()
            if type(record) is Document:
                record.name = f"doc_{stream[1:].hex()}"
        if version != record.version + 1:
            if version <= record.version:
                continue
            raise Impossible(f"version {version} behind {record.version}")
        change = CHANGES.get(code)
        record.correlation_id = pair[PACKED_BYTES:] or stream
        if change is None:
            record.unknown += 1
        else:
            change(record, facts, at_us)
        record.version = version
        record.last_event_id = event_id
    return records


_ids: dict[bytes, str] = {}


def _id(packed: bytes) -> str:
    found = _ids.get(packed)
    if found is None:
        found = _ids[packed] = f"{KINDS[packed[0]]}_{packed[1:].hex()}"
    return found


def _name(document: Document, facts: Facts) -> None:
    facts[0] = _id(facts[0])
    facts[1] = document.task_id = _id(facts[1] or document.correlation_id)


def _blob(document: Document, name: str) -> str:
    return f"documents/{document.name}{name}" if name[:1] == "/" else name


def _accepted(document: Document, facts: Facts, at_us: int) -> None:
    if document.status:
        raise Impossible
    document.about = facts
    _name(document, facts)
    facts[5] = facts[5].hex()
    facts[6] = _blob(document, facts[6])
    document.accepted_at_us = at_us
    document.status, document.step = "queued", "parse"
    document.activity = (at_us, facts[10] if len(facts) > 10 else None)


def _requested(document: Document, facts: Facts, at_us: int) -> None:
    if document.status:
        raise Impossible
    document.about = facts
    _name(document, facts)
    document.accepted_at_us = at_us
    document.status, document.step = "queued", "fetch"
    document.activity = (at_us, facts[8] if len(facts) > 8 else None)


def _fetched(document: Document, facts: Facts, at_us: int) -> None:
    _done(document, "fetch", at_us)
    facts[3] = facts[3].hex()
    facts[4] = _blob(document, facts[4])
    document.fetched = facts
    document.status, document.step = "parsing", "parse"


def _skipped(document: Document, facts: Facts, at_us: int) -> None:
    if document.status and document.step != "fetch":
        raise Impossible
    document.about = facts
    _name(document, facts)
    facts[5] = facts[5].hex()
    document.status, document.step, document.ended_at_us = "skipped", None, at_us


def _started(document: Document, facts: Facts, at_us: int) -> None:
    step = facts[0]
    if step != document.step:
        raise Impossible
    stage = document.stages.get(step)
    if stage is None:
        document.stages[step] = [facts[1], at_us, None, 0]
    else:
        if stage[0] == stage[3]:
            stage[1] = at_us
        stage[0], stage[2] = facts[1], None
    document.status = AT_STEP[step]
    document.activity = (step, facts[1], facts[2], at_us)


def _retried(document: Document, facts: Facts, _at_us: int) -> None:
    step, _, code, message, retry_at_us = facts
    if step != document.step:
        raise Impossible
    document.status = AT_STEP[step]
    document.activity = (step, code, message, retry_at_us)


def _failed(document: Document, facts: Facts, at_us: int) -> None:
    _end(document, "failed", at_us)
    document.error = facts


def _cancelled(document: Document, _facts: Facts, at_us: int) -> None:
    _end(document, "cancelled", at_us)


def _end(document: Document, status: str, at_us: int) -> None:
    if document.step is None:
        raise Impossible
    document.reached, document.step = document.step, None
    document.status, document.ended_at_us = status, at_us


def _done(document: Document, step: str, at_us: int) -> None:
    if document.step != step:
        raise Impossible
    stage = document.stages.get(step)
    if stage is None:
        document.stages[step] = [0, at_us, at_us, 0]
    else:
        stage[2] = at_us
    document.activity = (at_us,)


def _parsed(document: Document, facts: Facts, at_us: int) -> None:
    _done(document, "parse", at_us)
    facts[0] = _blob(document, facts[0])
    document.text = facts
    document.status, document.step = "chunking", "chunk"


def _chunked(document: Document, facts: Facts, at_us: int) -> None:
    _done(document, "chunk", at_us)
    facts[0] = _blob(document, facts[0])
    document.chunks = facts
    document.status, document.step = "embedding", "embed"


def _batch(document: Document, facts: Facts, _at_us: int) -> None:
    batches = document.batches
    if document.step != "embed" or facts[1] != (batches[-1][2] + 1 if batches else 0):
        raise Impossible
    facts[3] = _blob(document, facts[3])
    batches.append(facts)


def _embedded(document: Document, facts: Facts, at_us: int) -> None:
    _done(document, "embed", at_us)
    document.vectors = facts
    document.status, document.step = "indexing", "index"


def _indexed(document: Document, facts: Facts, at_us: int) -> None:
    if document.status != "completed":
        _done(document, "index", at_us)
        document.status, document.step, document.ended_at_us = "completed", None, at_us
        document.reached = "index"
    document.serving = (facts[0], facts[1])


def _reprocessed(document: Document, facts: Facts, at_us: int) -> None:
    step = facts[0]
    if document.status not in ENDED or STEPS.index(step) > STEPS.index(document.reached or "fetch"):
        raise Impossible
    document.earlier_tasks.append(document.task_id)
    document.task_id = _id(facts[2] or document.correlation_id)
    for name in STEPS[STEPS.index(step) :]:
        if (stage := document.stages.get(name)) is not None:
            stage[2], stage[3] = None, stage[0]
    if len(facts) > 3:
        document.chunking = facts[3]
    if step in {"fetch", "parse"}:
        document.text = None
    if step in {"fetch", "parse", "chunk"}:
        document.chunks = None
    if step != "index":
        document.vectors = None
        if not (step == "embed" and document.reached == "embed"):
            document.batches = []
    document.step, document.error = step, None
    document.status = "queued" if step in {"fetch", "parse"} else AT_STEP[step]
    document.activity = (at_us,)


def _edited(document: Document, facts: Facts, _at_us: int) -> None:
    if document.status != "completed":
        raise Impossible
    document.edits.pop(facts[0], None)
    if len(facts) > 1:
        document.edits[facts[0]] = facts
    document.changes += 1


def _changed(document: Document, facts: Facts, _at_us: int) -> None:
    if not document.status or document.status in {"skipped", "deleted"}:
        raise Impossible
    if facts and facts[0] is not None:
        document.metadata = facts[0]
    if len(facts) > 1:
        document.enabled = facts[1]
    document.changes += 1


def _removed(document: Document, _facts: Facts, at_us: int) -> None:
    if not document.status or document.status == "deleted":
        raise Impossible
    document.status, document.step, document.ended_at_us = "deleted", None, at_us


def _erased(document: Document, facts: Facts, _at_us: int) -> None:
    if document.status != "deleted":
        raise Impossible
    document.error = facts


def _submitted(task: Task, facts: Facts, at_us: int) -> None:
    if task.status:
        raise Impossible
    facts[0] = _id(facts[0])
    task.submitted, task.submitted_at_us, task.status = facts, at_us, "open"


def _task_cancelled(task: Task, _facts: Facts, at_us: int) -> None:
    if task.status != "open":
        raise Impossible
    task.cancelled_at_us = at_us


def _finished(task: Task, facts: Facts, at_us: int) -> None:
    if task.status != "open":
        raise Impossible
    task.tally, task.finished_at_us = facts, at_us
    succeeded, failed, cancelled, skipped = facts
    if failed == cancelled == 0:
        task.status = "completed"
    elif succeeded + skipped > 0:
        task.status = "partial"
    else:
        task.status = "failed" if failed else "cancelled"


def _delivered(task: Task, facts: Facts, _at_us: int) -> None:
    if task.status in {"", "open"}:
        raise Impossible
    task.callback = (facts[0], True, True)


def _undelivered(task: Task, facts: Facts, _at_us: int) -> None:
    if task.status in {"", "open"}:
        raise Impossible
    task.callback = (facts[0], False, len(facts) < 3)


def _created(base: KnowledgeBase, facts: Facts, at_us: int) -> None:
    if base.status:
        raise Impossible
    base.name, base.description = facts[0], facts[1] if len(facts) > 1 else ""
    base.settings = facts[2] if len(facts) > 2 else {}
    base.status, base.created_at_us, base.changed_at_us = "active", at_us, at_us


def _base_changed(base: KnowledgeBase, facts: Facts, at_us: int) -> None:
    if base.status != "active":
        raise Impossible
    name, description, settings = (*facts, None, None, None)[:3]
    base.name = base.name if name is None else name
    base.description = base.description if description is None else description
    base.settings = base.settings if settings is None else settings
    base.changed_at_us = at_us


def _generation_started(base: KnowledgeBase, facts: Facts, _at_us: int) -> None:
    if base.status != "active":
        raise Impossible
    base.building = facts


def _generation_activated(base: KnowledgeBase, facts: Facts, _at_us: int) -> None:
    if base.building is None or base.building[0] != facts[0]:
        raise Impossible
    base.settings = (base.building[1] if len(base.building) > 1 else None) or base.settings
    base.generation, base.building = facts[0], None


def _generation_abandoned(base: KnowledgeBase, facts: Facts, _at_us: int) -> None:
    if base.building is None or base.building[0] != facts[0]:
        raise Impossible
    base.building = None


def _deleted(base: KnowledgeBase, _facts: Facts, at_us: int) -> None:
    if base.status != "active":
        raise Impossible
    base.status, base.changed_at_us = "deleted", at_us


BY_NAME: Final[dict[str, Callable[[Any, Facts, int], None]]] = {
    "DocumentAccepted": _accepted,
    "DocumentRequested": _requested,
    "DocumentFetched": _fetched,
    "DocumentSkipped": _skipped,
    "StepStarted": _started,
    "StepFailed": _retried,
    "DocumentFailed": _failed,
    "DocumentCancelled": _cancelled,
    "DocumentParsed": _parsed,
    "DocumentChunked": _chunked,
    "ChunksEmbedded": _batch,
    "DocumentEmbedded": _embedded,
    "DocumentIndexed": _indexed,
    "ReprocessingRequested": _reprocessed,
    "ChunkEdited": _edited,
    "DocumentChanged": _changed,
    "DocumentRemoved": _removed,
    "DocumentErased": _erased,
    "TaskSubmitted": _submitted,
    "TaskCancelled": _task_cancelled,
    "TaskFinished": _finished,
    "CallbackDelivered": _delivered,
    "CallbackFailed": _undelivered,
    "KnowledgeBaseCreated": _created,
    "KnowledgeBaseChanged": _base_changed,
    "IndexGenerationStarted": _generation_started,
    "IndexGenerationActivated": _generation_activated,
    "IndexGenerationAbandoned": _generation_abandoned,
    "KnowledgeBaseDeleted": _deleted,
}
"""By type of event, what it makes of its stream's record."""

CHANGES: Final = {TYPE_CODES[name]: change for name, change in BY_NAME.items()}
