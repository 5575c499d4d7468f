"""Laws of digest claims, over documents with the same bytes that are driven at random through everything there is."""

import asyncio
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from domain import commands as c
from domain.deciders import DOCUMENT
from domain.document import DocumentState, Reached, Requested, record_of
from domain.errors import Refused
from domain.handle import handle, load
from domain.replacing import removals_of, replaced_by
from events.digests import digest_of
from events.document import DocumentAccepted, DocumentFetched, DocumentSkipped, OnDuplicate
from events.ids import DocumentId, unpack_stream_id
from events.memory import MemoryLog
from events.memory_derived import MemoryDerived
from tests.commands_by_state import document_command, tapes
from tests.examples import examples
from tests.histories import context_for
from tests.strategies import DOCUMENTS, KNOWLEDGE_BASE, TASKS
from tests.unit.domain.busy_log import new_log

SAME: Final = DOCUMENTS[:4]
SHAS: Final = ("0" * 64, "1" * 64)

Live = dict[str, set[DocumentId]]


async def states(log: MemoryLog) -> dict[DocumentId, DocumentState]:
    return {name: (await load(log, DOCUMENT, name)).state for name in SAME}


async def live(log: MemoryLog) -> Live:
    found: Live = {sha: set() for sha in SHAS}
    for name, state in (await states(log)).items():
        if isinstance(state, Reached) and not isinstance(state, Requested):
            found[record_of(state).about.sha256].add(name)
    return found


async def claims(log: MemoryLog) -> dict[str, list[DocumentId]]:
    found = await MemoryDerived(log).digests(KNOWLEDGE_BASE)
    return {sha: [DocumentId(unpack_stream_id(one)) for one in found.get(digest_of(sha), ())] for sha in SHAS}


@settings(max_examples=examples(150))
@given(st.lists(st.tuples(st.sampled_from(SAME), tapes()), max_size=60))
def test_what_claims_a_digest_is_what_lives_and_no_policy_is_broken(said: list[tuple[DocumentId, object]]) -> None:
    async def drive() -> None:
        log, context = new_log(), context_for(TASKS[0])
        for name, tape in said:
            before, held = await load(log, DOCUMENT, name), await claims(log)
            command = document_command(before.state, tape)  # type: ignore[arg-type]  # a tape
            replaced = replaced_by(before.state) if isinstance(command, c.RecordIndexed) else None
            beside = None if replaced is None else lambda old=replaced: removals_of(log, old, context)
            try:
                handled = await handle(log, DOCUMENT, name, [command], context, known=before, beside=beside)
            except Refused:
                continue
            kept = await claims(log)
            assert {sha: set(one) for sha, one in kept.items()} == await live(log)
            if handled.envelopes and isinstance(command, c.AcceptDocument | c.RecordFetched):
                check(command, handled.envelopes[0].event, name, held[command.sha256], kept[command.sha256])

    asyncio.run(drive())


def check(
    command: c.AcceptDocument | c.RecordFetched,
    event: object,
    name: DocumentId,
    held: list[DocumentId],
    kept: list[DocumentId],
) -> None:
    """By who claimed the bytes before: the holder came in first, or ahead of those that it is to replace."""
    match command.on_duplicate, event:
        case OnDuplicate.SKIP, DocumentSkipped(duplicate_of=holder):
            assert held[0] == holder
            assert kept == held
        case OnDuplicate.SKIP, DocumentAccepted(replaces=None) | DocumentFetched(replaces=None):
            assert not held
            assert kept == [name]
        case OnDuplicate.REPLACE, DocumentAccepted(replaces=replaced) | DocumentFetched(replaces=replaced):
            assert replaced == (held[0] if held else None)
            assert kept == [name, *held]
        case OnDuplicate.KEEP, DocumentAccepted(replaces=None) | DocumentFetched(replaces=None):
            assert kept == [*held, name]
        case _:
            raise AssertionError(event)
