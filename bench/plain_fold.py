"""The peer of our fold: the same facts folded by hand, with neither our structs nor our decider.

A decoder makes plain lists of the bytes, a record of each stream is changed in place, and facts are kept as the dicts
that they came in. Every type of event is handled, an event that cannot follow is refused, versions are checked, and
attempts and times of steps are kept: what our states hold, the records hold too. `tests/unit/bench/test_plain_fold.py`
holds it to the domain, history by history.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

Facts = dict[str, Any]

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
        "last_event_id",
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
        self.version = self.unknown = self.changes = 0
        self.status = ""
        self.step: str | None = None
        self.reached: str | None = None
        self.about: Facts = {}
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
        pages = self.text["pages"] if self.text else 0
        chunks = self.chunks["chunks"] if self.chunks else 0
        tokens = self.vectors["tokens"] if self.vectors else 0
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
        self.submitted: Facts = {}
        self.submitted_at_us = self.finished_at_us = 0
        self.cancelled_at_us: int | None = None
        self.tally: Facts = {}
        self.callback: tuple[int, bool, bool] = (0, False, False)
        self.last_event_id = self.correlation_id = b""

    def told(self) -> tuple[Any, ...]:
        """Status, version, documents, whether it was cancelled, attempts at its callback."""
        is_cancelled = self.cancelled_at_us is not None
        return (self.status, self.version, self.submitted.get("documents", 0), is_cancelled, self.callback[0])


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
        self.settings: Facts = {}
        self.generation = 1
        self.building: Facts | None = None
        self.created_at_us = self.changed_at_us = 0
        self.last_event_id = self.correlation_id = b""

    def told(self) -> tuple[Any, ...]:
        """Status, version, name, generation, and the one in the making."""
        building = self.building["generation"] if self.building else None
        return (self.status, self.version, self.name, self.generation, building)


Record = Document | Task | KnowledgeBase

RECORDS: Final[dict[int, type[Record]]] = {ord("d"): Document, ord("t"): Task, ord("k"): KnowledgeBase}
"""By the first byte of a packed id."""

_decode = msgspec.msgpack.Decoder(list[Any]).decode


def plain_fold(payloads: Iterable[bytes], records: dict[bytes, Record] | None = None) -> dict[bytes, Record]:
    """The records of all streams, by packed id; on top of those that there are. Raises Impossible."""
    records = {} if records is None else records
    for payload in payloads:
        event_id, stream, version, name, _, at_us, correlation_id, _, _, _, facts = _decode(payload)
        record = records.get(stream)
        if record is None:
            record = records[stream] = RECORDS[stream[0]]()
        if version != record.version + 1:
            if version <= record.version:
                continue
            raise Impossible(f"version {version} behind {record.version}")
        change = CHANGES.get(name)
        if change is None:
            record.unknown += 1
        else:
            change(record, facts, at_us)
        record.version = version
        record.last_event_id = event_id
        record.correlation_id = correlation_id
    return records


def _accepted(document: Document, facts: Facts, at_us: int) -> None:
    if document.status:
        raise Impossible
    document.about = facts
    document.task_id = facts["task_id"]
    document.accepted_at_us = at_us
    document.status, document.step = "queued", "parse"
    document.activity = (at_us, facts.get("not_before_us"))


def _requested(document: Document, facts: Facts, at_us: int) -> None:
    _accepted(document, facts, at_us)
    document.step = "fetch"


def _fetched(document: Document, facts: Facts, at_us: int) -> None:
    _done(document, "fetch", at_us)
    document.about = {**document.about, **facts}
    document.status, document.step = "parsing", "parse"


def _skipped(document: Document, facts: Facts, at_us: int) -> None:
    if document.status and document.step != "fetch":
        raise Impossible
    document.about = facts
    document.task_id = facts["task_id"]
    document.status, document.step, document.ended_at_us = "skipped", None, at_us


def _started(document: Document, facts: Facts, at_us: int) -> None:
    step = facts["step"]
    if step != document.step:
        raise Impossible
    stage = document.stages.get(step)
    if stage is None:
        document.stages[step] = [facts["attempt"], at_us, None, 0]
    else:
        if stage[0] == stage[3]:
            stage[1] = at_us
        stage[0], stage[2] = facts["attempt"], None
    document.status = AT_STEP[step]
    document.activity = (step, facts["attempt"], facts["worker"], at_us)


def _retried(document: Document, facts: Facts, _at_us: int) -> None:
    if facts["step"] != document.step:
        raise Impossible
    document.status = AT_STEP[facts["step"]]
    document.activity = (facts["step"], facts["code"], facts["message"], facts["retry_at_us"])


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
    document.text = facts
    document.status, document.step = "chunking", "chunk"


def _chunked(document: Document, facts: Facts, at_us: int) -> None:
    _done(document, "chunk", at_us)
    document.chunks = facts
    document.status, document.step = "embedding", "embed"


def _batch(document: Document, facts: Facts, _at_us: int) -> None:
    batches = document.batches
    if document.step != "embed" or facts["first_chunk"] != (batches[-1]["last_chunk"] + 1 if batches else 0):
        raise Impossible
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
    document.serving = (facts["generation"], facts["chunks"])


def _reprocessed(document: Document, facts: Facts, at_us: int) -> None:
    step = facts["from_step"]
    if document.status not in ENDED or STEPS.index(step) > STEPS.index(document.reached or "fetch"):
        raise Impossible
    document.earlier_tasks.append(document.task_id)
    document.task_id = facts["task_id"]
    for name in STEPS[STEPS.index(step) :]:
        if (stage := document.stages.get(name)) is not None:
            stage[2], stage[3] = None, stage[0]
    if "chunking" in facts:
        document.chunking = facts["chunking"]
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
    document.edits.pop(facts["chunk_id"], None)
    if facts.get("text") is not None or not facts.get("enabled", True):
        document.edits[facts["chunk_id"]] = facts
    document.changes += 1


def _changed(document: Document, facts: Facts, _at_us: int) -> None:
    if not document.status or document.status in {"skipped", "deleted"}:
        raise Impossible
    if facts.get("metadata") is not None:
        document.about = {**document.about, "metadata": facts["metadata"]}
    if facts.get("enabled") is not None:
        document.enabled = facts["enabled"]
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
    task.submitted, task.submitted_at_us, task.status = facts, at_us, "open"


def _task_cancelled(task: Task, _facts: Facts, at_us: int) -> None:
    if task.status != "open":
        raise Impossible
    task.cancelled_at_us = at_us


def _finished(task: Task, facts: Facts, at_us: int) -> None:
    if task.status != "open":
        raise Impossible
    task.tally, task.finished_at_us = facts, at_us
    if facts["failed"] == facts["cancelled"] == 0:
        task.status = "completed"
    elif facts["succeeded"] + facts["skipped"] > 0:
        task.status = "partial"
    else:
        task.status = "failed" if facts["failed"] else "cancelled"


def _delivered(task: Task, facts: Facts, _at_us: int) -> None:
    if task.status in {"", "open"}:
        raise Impossible
    task.callback = (facts["attempt"], True, True)


def _undelivered(task: Task, facts: Facts, _at_us: int) -> None:
    if task.status in {"", "open"}:
        raise Impossible
    task.callback = (facts["attempt"], False, facts.get("next_attempt_at_us") is None)


def _created(base: KnowledgeBase, facts: Facts, at_us: int) -> None:
    if base.status:
        raise Impossible
    base.name, base.description = facts["name"], facts.get("description", "")
    base.settings = facts.get("settings", {})
    base.status, base.created_at_us, base.changed_at_us = "active", at_us, at_us


def _base_changed(base: KnowledgeBase, facts: Facts, at_us: int) -> None:
    if base.status != "active":
        raise Impossible
    base.name = base.name if facts.get("name") is None else facts["name"]
    base.description = base.description if facts.get("description") is None else facts["description"]
    base.settings = base.settings if facts.get("settings") is None else facts["settings"]
    base.changed_at_us = at_us


def _generation_started(base: KnowledgeBase, facts: Facts, _at_us: int) -> None:
    if base.status != "active":
        raise Impossible
    base.building = facts


def _generation_activated(base: KnowledgeBase, facts: Facts, _at_us: int) -> None:
    if base.building is None or base.building["generation"] != facts["generation"]:
        raise Impossible
    base.settings = base.building.get("settings") or base.settings
    base.generation, base.building = facts["generation"], None


def _generation_abandoned(base: KnowledgeBase, facts: Facts, _at_us: int) -> None:
    if base.building is None or base.building["generation"] != facts["generation"]:
        raise Impossible
    base.building = None


def _deleted(base: KnowledgeBase, _facts: Facts, at_us: int) -> None:
    if base.status != "active":
        raise Impossible
    base.status, base.changed_at_us = "deleted", at_us


CHANGES: Final[dict[str, Callable[[Any, Facts, int], None]]] = {
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
