"""The one judge of all fault tests: waits until everything has come to rest, then holds log, index, blobs, views,
inboxes and answers against one another (invariants I1 to I6, I8, I9 and I12 of the fault table)."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakKeyDictionary

import msgspec

from domain.document import Failed, Indexed, Skipped, Unknown
from events.inbox import InboxKey
from events.pointer import INBOX_CODES
from ingest.problems import MEDIA_TYPE, ProblemCode
from millstream.stores import Stores, open_stores, views_of
from tests.faults.evidence import Evidence
from tests.faults.history import Call, History, Outcome
from tests.faults.mill import CANARY, Mill
from tests.faults.results import Figure
from tests.faults.stored import BlobFigures, RowFigures, blob_figures, knowledge_base_of, row_figures, view_differences

CONVERGED_S_MAX: Final = 15.0
"""Everything that was accepted has ended so soon after the last fault was healed."""

LOOK_EVERY_S: Final = 0.1
DOCUMENTED: Final = frozenset(code.value for code in ProblemCode) - {ProblemCode.INTERNAL_ERROR.value}
_UNEXPECTED: Final = re.compile(r'"event": "(unexpected_error|attempt_broke)"|Traceback \(most recent call last\)')

_told: WeakKeyDictionary[Mill, set[str]] = WeakKeyDictionary()


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """What a fault may rightly lead to: codes that documents fail with, unreadable log entries put in by the test,
    and whether the logs may tell of errors that nobody expected (a test that raises one)."""

    failures: Collection[str] = ()
    unreadable: int = 0
    unexpected: bool = False
    absent: int = 0
    """Blobs that the test itself took away."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one run. Those named in WRONG must all be zero; the others are for the table."""

    uploads: int
    documents: int
    events: int
    rows: int
    unknown_answers: int
    converged_s: float
    attempts_max: int
    unreferenced_blobs: int

    not_converged: int
    lost: int
    failed: int
    twice_accepted: int
    rows_twice: int
    rows_missing: int
    rows_stale: int
    terminal_violations: int
    log_gaps: int
    view_differences: int
    left_in_inboxes: int
    blobs_absent: int
    blobs_altered: int
    undocumented_answers: int
    tracebacks: int
    canaries_seen: int
    unexpected_errors: int
    unreadable: int
    remarks: tuple[str, ...] = ()

    def assert_clean(self) -> "Verdict":
        """Itself, for figures. Raises AssertionError that names every figure that is not zero."""
        wrong = {name: getattr(self, name) for name in WRONG if getattr(self, name)}
        assert not wrong, f"{wrong} {'; '.join(self.remarks)}"
        return self

    @property
    def figures(self) -> dict[str, Figure]:
        """For a row of the table: of what should be zero only what matters most, and what is not."""
        shown = ("documents", "lost", "rows_twice", "converged_s", "attempts_max", "unknown_answers")
        wrong = [name for name in WRONG if getattr(self, name) and name not in shown]
        return {name: getattr(self, name) for name in (*shown, *wrong)}


WRONG: Final = Verdict.__struct_fields__[Verdict.__struct_fields__.index("not_converged") : -1]


def verdict(
    mill: Mill,
    history: History,
    *kbs: str,
    within_s: float = CONVERGED_S_MAX,
    allows: Allowance = Allowance(),  # noqa: B008  frozen
) -> Verdict:
    """Waits for rest, then judges; for tests without an event loop. `kbs` are those whose rows are looked at."""
    return asyncio.run(examine(mill, history, *kbs, within_s=within_s, allows=allows))


async def examine(
    mill: Mill,
    history: History,
    *kbs: str,
    within_s: float = CONVERGED_S_MAX,
    allows: Allowance = Allowance(),  # noqa: B008  frozen
) -> Verdict:
    """The same within an event loop."""
    async with looking_into(mill) as stores:
        converged_s, is_quiet = await _converged(stores, within_s)
        evidence = await Evidence.read(stores.log)
        found = _Found(
            converged_s=converged_s,
            is_quiet=is_quiet,
            evidence=evidence,
            rows=[await row_figures(stores, evidence, kb) for kb in kbs],
            blobs=await blob_figures(stores, evidence),
            view_differences=await view_differences(stores),
            left=await left_over(stores),
            failed=_failed(evidence, kbs, allows),
            unexpected=[] if allows.unexpected else _unexpected(mill),
        )
    return _judged(found, history, kbs, allows, canaries_seen=_canaries(mill, history))


class _Found(msgspec.Struct, kw_only=True):
    """What was seen of one mill."""

    converged_s: float
    is_quiet: bool
    evidence: Evidence
    rows: list[RowFigures]
    blobs: BlobFigures
    view_differences: int
    left: Counter[str]
    failed: Counter[str]
    unexpected: list[str]


def _judged(found: _Found, history: History, kbs: Collection[str], allows: Allowance, *, canaries_seen: int) -> Verdict:
    evidence, rows, blobs = found.evidence, found.rows, found.blobs
    lost = _lost(found, history)
    is_open = len(evidence.open_documents) + len(evidence.open_tasks)
    shown = (*found.failed.items(), *found.left.items())
    return Verdict(
        uploads=len(history.accepted),
        documents=sum(knowledge_base_of(one.state) in kbs for one in evidence.documents.values()),
        events=len(evidence.envelopes),
        rows=sum(one.rows for one in rows),
        unknown_answers=history.unknown,
        converged_s=round(found.converged_s, 2),
        attempts_max=_attempts_max(evidence, kbs),
        unreferenced_blobs=blobs.unreferenced,
        not_converged=int(not found.is_quiet) + is_open,
        lost=len(lost),
        failed=sum(found.failed.values()),
        twice_accepted=sum(len(ids) > _files(history, key) for key, ids in history.documents_per_key.items()),
        rows_twice=sum(one.twice for one in rows),
        rows_missing=sum(one.missing for one in rows),
        rows_stale=sum(one.stale for one in rows),
        terminal_violations=evidence.terminal_violations,
        log_gaps=evidence.number_gaps + evidence.version_gaps + evidence.repeated_ids,
        view_differences=found.view_differences,
        left_in_inboxes=sum(found.left.values()),
        blobs_absent=max(0, blobs.absent - allows.absent),
        blobs_altered=blobs.altered,
        undocumented_answers=sum(not _is_documented(call) for call in history.calls),
        tracebacks=sum("Traceback" in call.body for call in history.calls),
        canaries_seen=canaries_seen,
        unexpected_errors=len(found.unexpected),
        unreadable=abs(evidence.unreadable - allows.unreadable),
        remarks=(*lost[:3], *map(str, shown), *(line[:400] for line in found.unexpected[:3])),
    )


async def left_over(stores: Stores) -> Counter[str]:
    """What still waits somewhere, by place; empty when the mill is at rest."""
    left: Counter[str] = Counter()
    client, keys, views = stores.clients.commands, stores.keys, views_of(stores)
    for partition in range(stores.log.partitions):
        for step, lane in INBOX_CODES:
            depth = await stores.inbox.depth(InboxKey(partition, step, lane))
            left[f"inbox {partition} {step} {lane}"] = depth.waiting + depth.pending
        left[f"timers {partition}"] = await client.zcard(keys.due(partition))
        head, stands = await stores.log.head(partition), await views.checkpoint(partition)
        left[f"not in the views of {partition}"] = head.number - stands.number
    # Every tally, in whatever partition.
    left["tallies"] = len([key async for key in client.scan_iter(match="ms:*:tally:*", count=1_000)])
    return +left


async def wait_for_rest(stores: Stores, within_s: float) -> bool:
    """Until nothing is left to do anywhere; False where that takes longer."""
    deadline = time.monotonic() + within_s
    while await left_over(stores):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(LOOK_EVERY_S)
    return True


@asynccontextmanager
async def looking_into(mill: Mill) -> AsyncIterator[Stores]:
    """The stores of a mill, opened beside its processes."""
    async with open_stores(mill.settings) as stores:
        yield stores


async def _converged(stores: Stores, within_s: float) -> tuple[float, bool]:
    began_s = time.monotonic()
    is_quiet = await wait_for_rest(stores, within_s)
    return time.monotonic() - began_s, is_quiet


def _attempts_max(evidence: Evidence, kbs: Collection[str]) -> int:
    """How often the step that was begun most often was begun."""
    states = {name: folded.state for name, folded in evidence.documents.items()}
    counts = [count for (name, _), count in evidence.starts.items() if knowledge_base_of(states[name]) in kbs]
    return max(counts, default=0)


def _lost(found: _Found, history: History) -> list[str]:
    """Documents that a client was promised and that are not there, hold other bytes, or have not ended although nothing
    is left to do."""
    lost: list[str] = []
    evidence = found.evidence
    forgotten = set(evidence.open_documents) if found.is_quiet else set()
    for call in history.accepted:
        for document, sha256 in zip(call.document_ids, call.sha256, strict=True):
            state = evidence.documents[document].state if document in evidence.documents else Unknown()
            if isinstance(state, Unknown) or document in forgotten:
                lost.append(f"{document} is {type(state).__name__}")
            elif isinstance(state, Indexed | Skipped) and _sha256_of(state) != sha256:
                lost.append(f"{document} holds other bytes than were sent")
    return lost


def _sha256_of(state: Indexed | Skipped) -> str:
    return state.sha256 if isinstance(state, Skipped) else state.record.about.sha256


def _failed(evidence: Evidence, kbs: Collection[str], allows: Allowance) -> Counter[str]:
    """Codes that documents of these knowledge bases ended with and that the fault does not explain."""
    states = [folded.state for folded in evidence.documents.values()]
    codes = Counter(one.code for one in states if isinstance(one, Failed) and knowledge_base_of(one) in kbs)
    return Counter({code: count for code, count in codes.items() if code not in allows.failures})


def _files(history: History, key: str) -> int:
    """Of how many files the request under a key was made; calls without a key count by themselves."""
    return next((len(call.sha256) for call in history.accepted if call.key == key), 1_000)


def _is_documented(call: Call) -> bool:
    if call.outcome is not Outcome.FAIL:
        return True
    return call.content_type.startswith(MEDIA_TYPE) and call.code in DOCUMENTED


def _canaries(mill: Mill, history: History) -> int:
    """Places in which a secret was written down: logs of all processes, everything in Redis, every answer."""
    texts = [*mill.logs().values(), *(call.body for call in history.calls)]
    files = [path for path in (mill.directory / "redis").rglob("*") if path.is_file()]
    return sum(CANARY in text for text in texts) + sum(CANARY.encode() in path.read_bytes() for path in files)


def _unexpected(mill: Mill) -> list[str]:
    """New lines of the logs that tell of an error for which no code is prepared: one test alone fails for each."""
    told = _told.setdefault(mill, set())
    lines = [(name, line) for name, log in mill.logs().items() for line in log.splitlines() if _UNEXPECTED.search(line)]
    new = [f"{name}: {line}" for name, line in lines if line not in told]
    told.update(line for _, line in lines)
    return new
