"""The fold, measured twice beside the same peer: a loop that decodes and folds the same bytes by hand (`plain_fold`).

*Fold of states*: decoding and the domain's own folds, to the state of every document, task and knowledge base. *Fold
with rows*: what the projector makes of the same bytes, up to the bytes of its rows. Both go from page to page, as the
projector does. What the peer and the domain found out about each stream is compared in the same run.
"""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from bench.figures import Peer, note
from bench.plain_fold import Record, plain_fold
from domain.decider import Folded, run
from domain.deciders import DOCUMENT, TASK
from domain.document import DocumentState, awaited_step, is_recorded, record_of
from domain.knowledge_base import ActiveKnowledgeBase, DeletedKnowledgeBase, UnknownKnowledgeBase
from domain.knowledge_base import evolve as evolve_knowledge_base
from domain.status import document_phase
from domain.task import FinishedTask, OpenTask
from events.codec import decode, encode
from events.envelope import Envelope, Event
from events.ids import unpack_stream_id
from events.log import Write
from projections.batch import Batch
from projections.projection import RowKey
from projections.projector import PAGE_EVENTS
from projections.rows import Row, encode_row, is_at_rest

ROUNDS: Final = 5
GOAL: Final = 0.6

FOLDS: Final[dict[str, tuple[Folded[Any], Callable[[Any, Event, int], Any]]]] = {
    "d": (Folded(DOCUMENT.initial), DOCUMENT.evolve),
    "t": (Folded(TASK.initial), TASK.evolve),
    "k": (Folded(UnknownKnowledgeBase()), evolve_knowledge_base),
}
"""Where a stream begins and how it goes on, by the first letter of its id."""


def bare_loop(payloads: Sequence[bytes]) -> None:
    """Decodes and keeps a number: the least of any fold, and none."""
    decoder, state = msgspec.msgpack.Decoder(list[Any]), dict[bytes, int]()
    for payload in payloads:
        frame = decoder.decode(payload)
        state[frame[4]] = frame[5]


def fold_of_states(payloads: Sequence[bytes]) -> dict[str, Folded[Any]]:
    """What every stream stands at."""
    states = dict[str, Folded[Any]]()
    for start in range(0, len(payloads), PAGE_EVENTS):
        streams = defaultdict[str, list[Envelope]](list)
        for payload in payloads[start : start + PAGE_EVENTS]:
            envelope = decode(payload)
            streams[envelope.stream_id].append(envelope)
        for stream, events in streams.items():
            initial, evolve = FOLDS[stream[0]]
            states[stream] = run(evolve, states.get(stream, initial), events).end
    return states


def fold_with_rows(payloads: Sequence[bytes]) -> None:
    """As the projector does it, the bytes of the rows included, without reading and committing; what came to rest is
    let go."""
    rows: dict[RowKey, Row] = {}
    for start in range(0, len(payloads), PAGE_EVENTS):
        batch = Batch([decode(payload) for payload in payloads[start : start + PAGE_EVENTS]])
        batch.fold_documents({key: rows.get(key) for key in batch.first_keys()})
        changed = batch.fold_counts({key: rows.get(key) for key in batch.second_keys()}).rows
        for key, row in changed.items():
            encode_row(row)
            if is_at_rest(row):
                rows.pop(key, None)
            else:
                rows[key] = row


def measure_fold(writes: Sequence[Write]) -> None:
    payloads = [encode(envelope) for one in writes for envelope in one.envelopes]
    differing = differences(plain_fold(payloads), fold_of_states(payloads))
    assert not differing, differing[:3]
    sides: dict[str, Callable[[Sequence[bytes]], object]] = {
        "plain": plain_fold,
        "states": fold_of_states,
        "rows": fold_with_rows,
        "bare": bare_loop,
        "codec": lambda payloads: [decode(payload) for payload in payloads],
    }
    found: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(ROUNDS):
        for side, fold in sides.items():
            found[side].append(_rate(fold, payloads))
    plain = Peer("decode and fold by hand", found["plain"])
    states = note("fold of states", "/CPU s", found["states"], beside=plain)
    rows = note("fold with rows", "/CPU s", found["rows"], beside=plain)
    bare = note("decode and keep a number", "/CPU s", found["bare"], beside=plain)
    print(
        f"fold of states: {states.value:9,.0f} a CPU second   by hand {states.peer_value:9,.0f}"
        f"   ratio {states.ratio:.2f} (goal: {GOAL})\n"
        f"fold with rows: {rows.value:9,.0f}   ratio {rows.ratio:.2f}\n"
        f"for comparison: decode and keep a number {bare.value:9,.0f}"
        f"   codec alone {statistics.median(found['codec']):9,.0f}"
    )


def differences(records: dict[bytes, Record], states: dict[str, Folded[Any]]) -> list[tuple[str, object, object]]:
    """Streams of which the peer says something else than the domain."""
    by_hand = {unpack_stream_id(packed): record.told() for packed, record in records.items()}
    ours = {stream: told_of(folded) for stream, folded in states.items()}
    return [
        (stream, by_hand.get(stream), ours.get(stream))
        for stream in by_hand.keys() | ours.keys()
        if by_hand.get(stream) != ours.get(stream)
    ]


def told_of(folded: Folded[Any]) -> tuple[object, ...]:
    """A state in the words of `plain_fold`."""
    state = folded.state
    match state:
        case OpenTask() | FinishedTask():
            status = state.outcome if isinstance(state, FinishedTask) else "open"
            is_cancelled = state.cancelled_at_us is not None
            attempts = state.callback.attempts if isinstance(state, FinishedTask) else 0
            return (status, folded.version, state.submitted.documents, is_cancelled, attempts)
        case ActiveKnowledgeBase():
            return ("active", folded.version, state.name, state.generation, state.building)
        case DeletedKnowledgeBase():
            return ("deleted", folded.version, state.before.name, state.before.generation, state.before.building)
        case _:
            return _told_of_document(state, folded.version)


def _told_of_document(state: DocumentState, version: int) -> tuple[object, ...]:
    shown: Any = state
    while hasattr(shown, "before") or hasattr(shown, "reached"):
        shown = shown.before if hasattr(shown, "before") else shown.reached
    stages = record_of(shown).stages if is_recorded(shown) else ()
    text, chunks, vectors = (getattr(shown, name, None) for name in ("text", "chunks", "vectors"))
    return (
        document_phase(state) if version else "",
        version,
        awaited_step(state),
        sum(stage.attempts for stage in stages),
        text.pages if text else 0,
        chunks.chunks if chunks else 0,
        len(getattr(shown, "batches", ())),
        vectors.tokens if vectors else 0,
    )


def _rate(fold: Callable[[Sequence[bytes]], object], payloads: Sequence[bytes]) -> float:
    """Events a second of processor time: none of them does anything but compute, and others may be at work beside."""
    begun_s = time.process_time()
    fold(payloads)
    return len(payloads) / (time.process_time() - begun_s)
