"""Pure: what msgspec says about a body that breaks a rule, as JSON pointers."""

import re
from typing import Final

import msgspec

from ingest.problems import Flaw, ProblemCode, Rejected

_PLACE: Final = re.compile(r"(?P<message>.*?) - at (?:`key` in )?`\$(?P<path>[^`]*)`", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_NAMED_FIELD: Final = re.compile(r"(?:missing required|contains unknown) field `([^`]*)`")


def flaw_of(error: msgspec.ValidationError, prefix: str = "") -> Flaw:
    """The broken rule and its place; msgspec names no keys of free-form objects, so those end at the object."""
    text = str(error)
    placed = _PLACE.fullmatch(text)
    message, path = (placed["message"], placed["path"]) if placed else (text, "")
    named_path = path.partition("[...]")[0]
    steps = [name or index for name, index in _STEP.findall(named_path)]
    if named := _NAMED_FIELD.search(message):
        steps.append(named[1])
    return Flaw(prefix + "".join(f"/{escape(step)}" for step in steps), message)


def escape(member: str) -> str:
    """A member's name within a JSON pointer (RFC 6901, section 3)."""
    return member.replace("~", "~0").replace("/", "~1")


def rejected(error: msgspec.ValidationError, prefix: str = "") -> Rejected:
    """The refusal to raise for a body that breaks a rule."""
    flaw = flaw_of(error, prefix)
    return Rejected(ProblemCode.VALIDATION_FAILED, flaw.message, (flaw,))
