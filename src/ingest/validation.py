"""Pure: what msgspec says about a body that breaks a rule, as JSON pointers."""

import re
from typing import Any, Final

import msgspec

from ingest.choices import choices_at
from ingest.problems import Flaw, Rejected, invalid

_PLACE: Final = re.compile(r"(?P<message>.*?) - at (?:`key` in )?`\$(?P<path>[^`]*)`", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_NO_CHOICE: Final = "Invalid enum value"
_NAMED_FIELD: Final = re.compile(r"(?:missing required|contains unknown) field `([^`]*)`")


def flaw_of(error: msgspec.ValidationError, prefix: str = "", body: Any = None) -> Flaw:
    """The broken rule and its place; msgspec names no keys of free-form objects, so those end at the object.

    With the type `body` that was expected, a word that is none of those allowed is told which are.
    """
    text = str(error)
    placed = _PLACE.fullmatch(text)
    message, path = (placed["message"], placed["path"]) if placed else (text, "")
    named_path = path.partition("[...]")[0]
    steps = [name or index for name, index in _STEP.findall(named_path)]
    if named := _NAMED_FIELD.search(message):
        steps.append(named[1])
    if body is not None and message.startswith(_NO_CHOICE) and (words := choices_at(body, steps)):
        message = f"{message}: one of {', '.join(words)} is expected"
    return Flaw(prefix + "".join(f"/{escape(step)}" for step in steps), message)


def escape(member: str) -> str:
    """A member's name within a JSON pointer (RFC 6901, section 3)."""
    return member.replace("~", "~0").replace("/", "~1")


def rejected(error: msgspec.ValidationError, prefix: str = "", body: Any = None) -> Rejected:
    """The refusal to raise for a body that breaks a rule of its type `body`."""
    flaw = flaw_of(error, prefix, body)
    return invalid(flaw.pointer, flaw.message)
