"""Which documents claim the bytes they were made of, and on whose claim a decision rests.

Live is what was accepted, or requested and fetched, and has neither failed nor been cancelled or removed: what a search
finds, or is about to. The claims themselves are kept by the append (events/digests.py), so that of two uploads of the
same bytes at the same moment one is first.
"""

from msgspec.structs import replace

from domain import commands as c
from domain.document import Cancelled, DocumentState, Failed, Reached, Requested, is_reached
from events.digests import DigestChange, Move
from events.document import OnDuplicate
from events.ids import DocumentId


def digest_changes(before: DocumentState, after: DocumentState) -> tuple[DigestChange, ...]:
    """What an event does to the claim of its document, by difference.

    What replaces another comes in ahead of it: an upload in between is a duplicate of the newer one. Whatever begins
    again, after others may have taken its place, comes behind them.
    """
    if type(before) is type(after):
        return ()  # half of all facts: a step that has begun
    was, now = _live(before), _live(after)
    if was is not None and now is None:
        return (DigestChange(was.record.about.sha256, Move.RELEASE),)
    if was is None and now is not None:
        about = now.record.about
        is_ahead = about.replaces is not None and not isinstance(before, Failed | Cancelled)
        return (DigestChange(about.sha256, Move.FIRST if is_ahead else Move.LAST),)
    return ()


def digest_asked(command: c.DocumentCommand) -> str | None:
    """The digest whose holder a command wants to be told; None where it does not matter."""
    match command:
        case c.AcceptDocument() | c.RecordFetched() if command.on_duplicate is not OnDuplicate.KEEP:
            return command.sha256
        case _:
            return None


def told_holder(command: c.DocumentCommand, holder: DocumentId | None) -> c.DocumentCommand:
    """The same command, by who holds its digest."""
    match command:
        case c.AcceptDocument() | c.RecordFetched():
            return replace(command, holder=holder)
        case _:
            return command


def _live(state: DocumentState) -> Reached | None:
    return state if is_reached(state) and type(state) is not Requested else None
